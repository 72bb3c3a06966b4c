"""Flat indices become those along each axis."""

import torch

from nisf.utils.tensors import unravelled


def test_indices_along_each_axis_of_flat_ones():
    grid = torch.arange(24).reshape(2, 3, 4)
    number = torch.tensor([0, 23, 5, 17])
    where = unravelled(number, grid.shape)
    assert torch.equal(grid[where], number) and len(where) == 3
