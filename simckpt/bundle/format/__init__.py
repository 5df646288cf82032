"""The bytes of a bundle: records, frames, and the HDF5 layout."""
