"""One writer a bundle: journal, folds, lease."""
