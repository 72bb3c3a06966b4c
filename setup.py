"""What setup.cfg cannot say: the packages are those found, and the bundle's other files as ``nisf/bundle``."""

from setuptools import find_packages, setup

setup(packages=[*find_packages("bundle/scripts"), "nisf.bundle"])
