"""Datasets: readers of each format, splits, augmentation, loading, packing, downloading."""
