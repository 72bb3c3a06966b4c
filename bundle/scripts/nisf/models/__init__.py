"""The networks, their losses and their weight files."""
