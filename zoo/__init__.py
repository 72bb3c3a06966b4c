"""The bundle as MONAI's model zoo takes it: building the folder and the zip, and the checks that the zoo's CI makes.

Nothing here is part of the bundle.
"""
