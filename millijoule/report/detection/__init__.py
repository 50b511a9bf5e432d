"""Detectors: what they find, drawn on the images, and how good it is."""
