"""Training recipes: one TOML file per experiment, and the schema of their keys."""
