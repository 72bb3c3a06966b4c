"""A place that several lists have in common is evaluated once, and each list gets its own values."""

import numpy as np
import torch

from nisf.sampling.shared_places import SharedPlaces


def test_common_places_are_evaluated_once_at_each_time():
    voxels = np.random.default_rng(0).uniform(-2, 9, (50, 3))
    lists = [(voxels, 0.2), (voxels[::-1] + 1e-7, 0.2), (voxels[:7], 0.6), (np.zeros((0, 3)), 0.6)]
    asked = []

    def evaluate(places, time):
        asked.append((time, len(places)))
        return torch.from_numpy(places.T + time)

    found = SharedPlaces.of(lists).values(evaluate)
    assert sorted(asked) == [(0.2, 50), (0.6, 7)]
    for (places, time), values in zip(lists, found):
        np.testing.assert_allclose(values, places.T + time, atol=1e-6)
    assert SharedPlaces.of([]).values(evaluate) == []
