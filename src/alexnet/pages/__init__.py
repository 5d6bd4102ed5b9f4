"""Templates, styles and assets of every HTML page."""
