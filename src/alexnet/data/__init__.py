"""Picture sets: reading them, splitting them, augmenting them."""
