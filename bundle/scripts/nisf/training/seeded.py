"""Draws from the store, each with its own seed, so that several processes draw what one would."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.utils.data import Dataset

from nisf.training.population import DrawnSampler
from nisf.training.store import MappedDataset


class SeededSampler(DrawnSampler):
    """``DrawnSampler`` that gives (subject, seed)."""

    def __iter__(self) -> Iterator[tuple[int, int]]:
        subjects = list(super().__iter__())
        seeds = torch.randint(2**31, (len(subjects),), generator=self.generator)
        return iter(list(zip(subjects, seeds.tolist())))


class SeededDraws(Dataset):
    """Items of (subject, seed): the random transforms depend only on the seed, not on earlier draws.

    Args:
        dataset: store of all subjects.
    """

    def __init__(self, dataset: MappedDataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, draw: tuple[int, int]) -> dict:
        subject, seed = draw
        self.dataset.transform.set_random_state(seed=seed)
        return self.dataset[subject]
