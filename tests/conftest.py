"""Shared by all tests."""

import torch

# the sizes are tiny: a second thread costs more than it gives, and much more where the cores are shared
torch.set_num_threads(1)
