"""The prior and the U-Net trained on a population."""
