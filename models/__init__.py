"""Diffraction and numbers: patterns, networks, tracking and decision rules. No Bluesky."""
