"""The bundle on disk: journal, HDF5 layout, reader."""
