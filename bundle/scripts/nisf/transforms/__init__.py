"""Dictionary transforms from a file to points."""
