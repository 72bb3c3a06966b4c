"""Many scans by many workers."""
