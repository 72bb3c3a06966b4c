"""Synthetic hearts with exact labels."""
