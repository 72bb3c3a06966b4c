"""The bundle in the form of MONAI's model zoo: builds the folder and the zip, and runs the checks of the zoo's CI.

This package is not part of the bundle.
"""
