"""Shared code: errors, files, devices, processes."""
