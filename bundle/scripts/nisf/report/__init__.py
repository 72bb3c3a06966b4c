"""Pages and pictures of segmented scans."""
