"""Measurements that are run by hand, as `python -m alexnet.benchmark.scripts.NAME`; each prints its figures."""
