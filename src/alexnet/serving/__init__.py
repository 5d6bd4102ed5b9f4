"""The HTTP API and the page: models behind one process."""
