"""Where the data of a rank lies: grids, boxes, cells and particles, and their tiles."""
