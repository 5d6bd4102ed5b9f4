"""The formats in which a model is handed to other programs."""
