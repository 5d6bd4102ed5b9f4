"""A model ready to use: predict, evaluate, views."""
