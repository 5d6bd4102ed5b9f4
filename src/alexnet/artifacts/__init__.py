"""What training leaves: the typed card, figures, the run folder, the store of weights."""
