"""What can be measured: a module each, with its formula and where that comes from."""
