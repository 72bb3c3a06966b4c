"""Image files, DICOM and data layouts."""
