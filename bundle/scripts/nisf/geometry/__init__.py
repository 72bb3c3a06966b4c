"""Orientation, coordinate frame, pose and grids; world coordinates are RAS millimetres."""
