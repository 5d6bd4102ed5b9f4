"""Training with its report as one act; learning-rate range, seeds, folds, reproduction."""
