"""The networks: layers, initialization, the catalog, their summary."""
