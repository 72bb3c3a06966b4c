"""A population without end: groups that come and go, fits inside the training, and how it goes on after a stop."""

import json
import shutil

import pytest
import torch
from helpers.bundle_runs import PLAIN, PRIOR, TINY, run, weights
from helpers.stores import posed_store
from helpers.tiny import phantom_scans
from torch.nn import functional as F

from nisf.models.nisf import NISF
from nisf.phantom.cohort import write_cohort
from nisf.training.endless import EndlessLoader
from nisf.training.fitted_population import FittedLatents, FittedPopulation, prepare_fitted
from nisf.transforms.points import RandPointsd
from nisf.transforms.virtual_subjects import RandVirtualSubjectd
from nisf.utils.errors import InputError

CPU = torch.device("cpu")
GROUPS, VISITS = 3, 4


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Six posed phantoms."""
    folder = tmp_path_factory.mktemp("data")
    return posed_store(phantom_scans(folder / "scans", 6), folder / "store")


def loader(store, steps=6, seed=5, **options):
    given = {"subjects": 4, "groups": GROUPS, "visits": VISITS, "fit_points": 32, **options}
    seeds = torch.Generator().manual_seed(seed)
    virtual = RandVirtualSubjectd(1, 7)
    return EndlessLoader(store, virtual, RandPointsd(16, 0.5), CPU, seeds, steps=steps, **given)


def test_a_group_is_shown_for_its_visits_and_then_replaced(store):
    batches = list(loader(store, steps=GROUPS * VISITS * 3))
    for group in range(GROUPS):
        own = [b for b in batches if int(b["index"][0]) == group * 4]
        new = [int(b["new"]) for b in own]
        assert sum(new) in (3, 4)
        starts = [place for place, one in enumerate(new) if one]
        assert all(second - first == VISITS for first, second in zip(starts, starts[1:]))
    first = batches[0]
    assert first["coords"].shape == (4, 4, 16) and first["fit_coords"].shape == (4, 4, 32)
    assert first["label"].shape == first["intensity"].shape == (4, 1, 16)


def test_batches_depend_on_seeds_and_on_what_a_checkpoint_holds(store):
    first, same = (loader(store) for _ in range(2))
    a, b = list(first), list(same)
    resumed = loader(store)
    resumed.load_state_dict(first.state_dict())
    c, d, e = list(first), list(resumed), list(loader(store))
    for one, two in [*zip(a, b), *zip(c, d)]:
        assert all(torch.equal(one[name], two[name]) for name in one)
    assert any(not torch.equal(one["coords"], two["coords"]) for one, two in zip(d, e))


def test_stacks_that_do_not_fit_are_refused(store, monkeypatch):
    monkeypatch.setattr("nisf.training.stack_cache.free_bytes", lambda device: 1000)
    with pytest.raises(InputError, match="do not fit; train with the latent table"):
        next(iter(loader(store)))


@pytest.mark.parametrize("name", ["groups", "visits", "fit_points", "steps"])
def test_a_number_below_one_is_refused(store, name):
    with pytest.raises(InputError, match=name):
        loader(store, **{name: 0})


def small_population(**options):
    torch.manual_seed(0)
    net, latents = NISF(4, latent_size=8, hidden_size=16, num_layers=3), FittedLatents(GROUPS * 4, 8)
    return net, latents, FittedPopulation(net, latents, compile=False, bf16=False, **options)


def test_classes_but_not_intensities_change_how_a_fit_ends(store):
    """With ``through_fit`` a loss of the classes moves what only the fit uses; one of intensities does not."""
    coords, _, rest, _ = prepare_fitted(next(iter(loader(store, fit_points=256))), CPU)
    found = {}
    for through in (False, True):
        net, _, population = small_population(through_fit=through)
        output, _ = population(coords, *rest)
        of_classes = torch.autograd.grad(output[:, 1:].square().mean(), net.intensity_head.weight, retain_graph=True)[0]
        of_image = torch.autograd.grad(output[:, :1].square().mean(), net.first.linear.weight)[0]
        found[through] = output.detach(), of_classes, of_image
    (plain, no_classes, image), (output, classes, same) = found[False], found[True]
    torch.testing.assert_close(output, plain)
    assert not no_classes.any() and classes.any()
    torch.testing.assert_close(image, same)


def test_latents_follow_the_intensities_from_visit_to_visit(store):
    net, latents, population = small_population()
    seen: dict[int, list[float]] = {}
    for batch in loader(store, steps=GROUPS * VISITS, fit_points=256):
        coords, target, rest, _ = prepare_fitted(batch, CPU)
        output, latent = population(coords, *rest)
        assert output.shape == (4, 5, 16) and torch.equal(latents.weight[batch["index"]], latent)
        with torch.no_grad():
            loss = F.binary_cross_entropy_with_logits(net(batch["fit_coords"], latent)[:, :1], batch["fit_intensity"])
            mean = net(batch["fit_coords"], net.latent_mean.expand(4, -1))[:, :1]
            seen.setdefault(int(batch["index"][0]), []).append(
                float(loss - F.binary_cross_entropy_with_logits(mean, batch["fit_intensity"]))
            )
    assert all(min(losses) < -0.01 and losses[-1] < 0 for losses in seen.values())


def test_a_stopped_training_goes_on_as_if_it_had_not_been(tmp_path):
    size = {"matrix": 24, "voxel_mm": 6, "slices": 4, "thickness_mm": 18, "gap_mm": 2, "frames": 3, "subsamples": 1}
    cohort = write_cohort(tmp_path / "cohort", 4, 1, 1, **size)
    given = {**TINY, "groups": 3, "visits": 4, "steps_per_epoch": 8, "checkpoint_interval": 1, "val_interval": 2}
    given |= {"dataset_dir": cohort, "cache_dir": tmp_path / "store", "bf16": False, "schedule": "constant"}
    configs = [*PRIOR, *PLAIN, "endless.json"]

    def train(folder, **more):
        done = run("training", configs, tmp_path, output_dir=folder, max_epochs=2, **given, **more)
        assert done.returncode == 0, done.stderr[-3000:]

    train("whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "stopped")
    for last in ("checkpoint_epoch=2.pt", "model.pt"):
        (tmp_path / "stopped" / last).unlink()
    train("stopped", resume=True)
    whole, stopped = (weights(tmp_path / folder) for folder in ("whole", "stopped"))
    assert all(torch.equal(whole[name], stopped[name]) for name in whole)
    assert len(json.loads((tmp_path / "whole" / "training.json").read_text())) > 0
