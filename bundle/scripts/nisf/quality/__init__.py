"""Whether a fit is to be trusted."""
