"""The check of the whole catalog against its published sources."""
