"""The process group of a training, and what a program sets for its process."""
