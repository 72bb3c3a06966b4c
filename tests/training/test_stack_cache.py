"""Stacks kept on a device: the points that the store would give, drawn alike, in the same training."""

import json
import logging

import numpy as np
import pytest
import torch
from helpers.bundle_runs import PLAIN, PRIOR, TINY, run, weights
from helpers.stores import posed_store
from helpers.tiny import TINY as SMALL
from helpers.tiny import phantom_scans
from ignite.distributed.auto import DistributedProxySampler
from monai.transforms import Compose, RandScaleIntensityd

from nisf.phantom.cohort import write_cohort
from nisf.training import stack_cache
from nisf.training.seeded import SeededDraws, SeededSampler
from nisf.training.stack_cache import CachedLoader, CachedStacks, bytes_of
from nisf.training.store import MappedDataset
from nisf.transforms.points import RandFramed, RandPointsd, gather_points
from nisf.transforms.virtual_subjects import RandVirtualSubjectd

FRAMES, POINTS, VIRTUAL = RandFramed(), RandPointsd(64, 0.5), RandVirtualSubjectd(3, 7)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Posed subjects of two sizes and lengths."""
    folder = tmp_path_factory.mktemp("data")
    subjects = phantom_scans(folder / "a", 2) + phantom_scans(folder / "b", 2, seed=3, frames=5, slices=6, matrix=28)
    return posed_store(subjects, folder / "store", RandFramed(), POINTS, VIRTUAL)


class Seeded(SeededSampler):
    """``SeededSampler`` of a generator that is seeded anew for each epoch."""

    def __iter__(self):
        self.generator.manual_seed(self.generator.initial_seed())
        return super().__iter__()


def loader(store, processes=1, rank=0, steps=4, seed=11, cache=True):
    seeds = torch.Generator().manual_seed(seed)
    sampler = DistributedProxySampler(Seeded(store, num_samples=4 * steps, generator=seeds), processes, rank)
    return CachedLoader(SeededDraws(store), store, cache, CPU, seeds, batch_size=4 // processes, sampler=sampler)


def test_every_point_is_what_the_store_and_the_virtual_subject_say(store):
    stacks, virtual = CachedStacks(store, range(4), CPU), VIRTUAL.every(range(4), CPU)
    places = torch.tensor([2, 0, 3, 1])
    frame, voxels = stacks.draw(places, FRAMES, POINTS, torch.Generator().manual_seed(0))
    rows = places * 3 + torch.tensor([0, 1, 2, 1])
    found = virtual.rows(rows).show(stacks.at(places, frame, voxels))
    for place, subject in enumerate(places.tolist()):
        item = store.stored(subject)
        grid = item["image"].shape[1:]
        where = [*voxels[place].numpy(), np.full(64, int(frame[place]))]
        said = gather_points(item, torch.from_numpy(np.ravel_multi_index(where, grid)))
        one = VIRTUAL.virtual(int(rows[place]))
        torch.testing.assert_close(found["coords"][place], one.move(said["coords"]), atol=1e-6, rtol=1e-5)
        shaded = one.shade(said["intensity"], said["coords"])
        torch.testing.assert_close(found["intensity"][place], shaded, atol=1e-6, rtol=1e-5)
        assert torch.equal(found["label"][place], said["label"])
        assert {name: found[name].dtype for name in said} == {name: value.dtype for name, value in said.items()}


def test_half_of_the_points_lie_about_the_labels_and_frames_are_drawn_alike(store):
    stacks, generator = CachedStacks(store, range(4), CPU), torch.Generator().manual_seed(0)
    many = RandPointsd(4000, 0.5, margin=1)
    frame, voxels = stacks.draw(torch.full((400,), 2), FRAMES, many, generator)
    assert set(frame.tolist()) == set(range(5)) and max(frame.bincount()) < 2 * min(frame.bincount())
    item = store.stored(2)
    low, high = np.array(item["boxes"][int(frame[0])]).T
    near = voxels[0][:, 2000:].numpy()
    wanted_low, wanted_high = np.maximum(low - 1, 0), np.minimum(high + 1, item["image"].shape[1:4])
    assert np.array_equal(near.min(axis=1), wanted_low) and np.array_equal(near.max(axis=1) + 1, wanted_high)
    everywhere = voxels[0][:, :2000].numpy()
    assert np.array_equal(everywhere.max(axis=1) + 1, item["image"].shape[1:4]) and not everywhere.min()


def test_points_of_a_cropped_frame_lie_in_its_part_of_the_grid(store):
    stacks, generator = CachedStacks(store, [2], CPU), torch.Generator().manual_seed(0)
    grid = torch.tensor(store.stored(2)["image"].shape[1:4])
    part = torch.stack([torch.tensor([3, 4, 1]), grid - torch.tensor([4, 2, 2])], dim=1)
    stacks.seen[2:] = part  # all but the first two frames
    stacks.whole[0] = 2
    frame, voxels = stacks.draw(torch.zeros(400, dtype=torch.long), RandFramed(whole_share=0.4), POINTS, generator)
    assert 0.3 < (frame < 2).float().mean() < 0.5 and set(frame.tolist()) == set(range(5))
    cropped = voxels[frame >= 2]
    assert (cropped >= part[:, :1]).all() and (cropped < part[:, 1:]).all()
    assert (voxels[frame < 2].amax(dim=(0, 2)) == grid - 1).all()


def test_nothing_is_left_on_another_device(store):
    stacks, virtual = CachedStacks(store, range(4), "meta"), VIRTUAL.every(range(4), "meta")
    places = torch.zeros(4, dtype=torch.long, device="meta")
    found = virtual.rows(places).show(stacks.at(places, *stacks.draw(places, FRAMES, POINTS, torch.Generator())))
    tensors = [*found.values(), *vars(stacks).values(), *vars(virtual).values()]
    assert {value.device.type for value in tensors if torch.is_tensor(value)} == {"meta"}


def test_batches_depend_on_the_epochs_seed_alone_and_hold_each_subject_as_often(store):
    batches = loader(store)
    first, again, other = list(batches), list(batches), list(loader(store, seed=12))
    assert len(first) == len(batches) == 4
    for one, two in zip(first, again):
        assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(first[0]["coords"], other[0]["coords"])
    assert sorted(torch.cat([batch["index"] for batch in first]).div(3, rounding_mode="floor").tolist()) == sorted(
        [*range(4)] * 4
    )


@pytest.mark.parametrize("cache", [True, False])
def test_two_processes_draw_what_one_draws(store, monkeypatch, cache):
    whole = list(loader(store, cache=cache))
    monkeypatch.setattr(stack_cache.distributed, "world", lambda: 2)
    monkeypatch.setattr(stack_cache.distributed, "all_of", lambda things: things)
    for rank in range(2):
        monkeypatch.setattr(stack_cache.distributed, "rank", lambda rank=rank: rank)
        own = list(loader(store, processes=2, rank=rank, cache=cache))
        assert len(own) == len(whole)
        for step, part in zip(whole, own):
            assert all(torch.equal(step[name][rank::2], part[name]) for name in part)


@pytest.mark.parametrize(
    "change, reason",
    [
        (
            lambda steps: [*steps, RandScaleIntensityd("intensity", 0.5, prob=1.0)],
            "the random transforms are not those",
        ),
        (lambda steps: [*steps[:-2], RandPointsd(None), VIRTUAL], "every voxel is wanted"),
    ],
)
def test_other_ways_of_drawing_stay_with_the_store(store, tmp_path, caplog, change, reason):
    steps = change(list(store.transform.transforms))
    other = MappedDataset(store.data, Compose(steps), str(tmp_path)).fill()
    with caplog.at_level(logging.WARNING):
        batches = loader(other)
        iter(batches)
    assert reason in caplog.text and "points are drawn from the store" in caplog.text and batches.cached is None


def test_stacks_that_do_not_fit_are_read_from_the_store(store, monkeypatch, caplog):
    monkeypatch.setattr(stack_cache, "free_bytes", lambda device: bytes_of(store, range(4)))
    with caplog.at_level(logging.WARNING):
        batches = loader(store)
        found = list(batches)
    assert "they do not fit, points are drawn from the store" in caplog.text and batches.cached is None
    plain = list(loader(store, cache=False))
    assert all(torch.equal(one["coords"], two["coords"]) for one, two in zip(found, plain))


def test_training_from_the_cache_learns_as_from_the_store_and_resumes_as_unbroken(tmp_path):
    cohort = write_cohort(tmp_path / "cohort", 5, 2, 0, **SMALL)  # 16 times 5 is an epoch
    settings = {
        **TINY,
        "dataset_dir": cohort,
        "max_epochs": 4,
        "val_interval": 4,
        "checkpoint_interval": 2,
        "device": "cpu",
    }
    settings |= {"cache_dir": "store", "points_per_subject": 256}

    def last_loss(name, **more):
        done = run("training", [*PRIOR, *PLAIN], tmp_path, output_dir=name, **settings, **more)
        assert done.returncode == 0, done.stderr[-3000:]
        assert ("the stacks are kept there" in done.stdout + done.stderr) == more["cache_stacks"]
        return json.loads((tmp_path / name / "training.json").read_text())[-1]["loss"]

    cached = last_loss("cached", cache_stacks=True)
    assert cached == pytest.approx(last_loss("plain", cache_stacks=False), rel=0.1)
    unbroken = weights(tmp_path / "cached")
    (tmp_path / "cached" / "checkpoint_epoch=4.pt").unlink()
    last_loss("cached", cache_stacks=True, resume=True)
    assert all(torch.equal(value, unbroken[name]) for name, value in weights(tmp_path / "cached").items())
