"""Datasets: reading them, splitting them, augmenting them."""
