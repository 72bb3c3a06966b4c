"""A latent fitted to a scan with the network frozen."""
