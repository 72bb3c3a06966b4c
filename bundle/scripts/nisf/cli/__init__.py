"""The command nisf."""
