"""What every folder uses: errors, files, devices, processes."""
