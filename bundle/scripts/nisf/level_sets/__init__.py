"""Boundaries of classes: surfaces and label maps with few evaluations."""
