"""Volumes, function, mass and wall thickness."""
