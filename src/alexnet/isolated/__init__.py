"""Readers of HDF5, MATLAB and Parquet files, each in a process of its own: damaged files have ended their libraries."""
