"""Readers of other programs' weights, and the mapping onto these networks."""
