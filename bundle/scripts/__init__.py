"""A MONAI bundle names its code ``scripts``; this one's is the package ``nisf`` beside this file."""

import sys
from pathlib import Path

if (here := str(Path(__file__).resolve().parent)) not in sys.path:
    sys.path.insert(0, here)
