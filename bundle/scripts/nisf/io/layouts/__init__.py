"""How data sets are stored on disk, one module for each layout."""
