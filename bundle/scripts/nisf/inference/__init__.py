"""Scans in, segmentations out."""
