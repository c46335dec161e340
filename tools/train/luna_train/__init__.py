"""Trains a small text-to-image model in SD1.5's layout on pictures that this package draws."""
