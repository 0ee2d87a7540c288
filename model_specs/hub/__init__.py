"""Weights on disk, wherever they come from."""
