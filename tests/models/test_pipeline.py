"""The shipped calibrations hold for the shipped weights as they are used by default, and for nothing else."""

from functools import partial

import pytest
import torch

from nisf.fit.gauss_newton import fit_gauss_newton
from nisf.measures.intervals import load_intervals
from nisf.models.nisf import NISF
from nisf.models.pipeline import difference, pipeline_of
from nisf.models.weights import load_weights, save_weights
from nisf.quality.verdict import Judge
from nisf.utils.bundle import bundle_root, parser_of

HEART = {"1": "LV", "2": "MYO", "3": "RV"}


def made_by(*configs, **settings):
    return parser_of(["inference", *configs], **settings).get_parsed_content("pipeline")


def calibrations(made, weights="model.pt"):
    """Why the shipped intervals and the shipped expected Dice do not hold."""
    path = bundle_root() / "models" / weights
    judge, intervals = Judge.beside(path, made, HEART), load_intervals(path, made)
    assert (judge.prediction is None) == bool(judge.uncalibrated)
    assert bool(intervals.widenings) != bool(intervals.uncalibrated)
    return judge.uncalibrated, intervals.uncalibrated


@pytest.mark.parametrize("configs, weights", [([], "model.pt"), (["phantom"], "phantom.pt")])
def test_shipped_calibrations_hold_by_default(configs, weights):
    assert calibrations(made_by(*configs), weights) == ("", "")


def test_device_chunks_draws_seeds_and_files_do_not_matter():
    where = {"chunk": 100, "bf16": False, "uncertainty_draws": 3, "seed": 5, "save_probabilities": True, "only": "LV"}
    assert made_by(output_dir="elsewhere", **where) == made_by()


@pytest.mark.parametrize(
    "settings, why",
    [
        ({"unet_blend": 0.0}, "unet_blend is 0.0 in place of 0.75"),
        ({"prior_weight": 0.001}, "prior_weight is 0.001 in place of 0.0001"),
        ({"fit#iterations": 5}, "iterations is 5 in place of 30"),
        ({"unet_frames": 4}, "unet_frames is 4 in place of None"),
        ({"unet_model": None}, "the U-Net has other weights"),
        ({"grid_step": 16.0}, "grid_step is 16.0 in place of 8.0"),
        ({"final_points": 8192, "grid_step": 12}, "final_points is 8192 in place of 4096, and 1 more difference"),
    ],
)
def test_another_setting_has_no_calibration_and_says_which(settings, why):
    assert calibrations(made_by(**settings)) == (why, why)


@pytest.mark.parametrize("step", [0, 2.5, 8])
def test_calibrations_hold_whether_every_voxel_is_sampled_or_those_where_something_changes(step):
    assert calibrations(made_by(grid_step=step)) == ("", "")


def test_another_unet_has_no_calibration(tmp_path):
    parser = parser_of(["inference"])
    unet = load_weights(parser.get_parsed_content("unet_def"), bundle_root() / "models" / "unet.pt")
    with torch.no_grad():
        next(unet.parameters()).mul_(1.001)
    made = made_by(unet_model=str(save_weights(unet, tmp_path / "unet.pt")))
    assert calibrations(made) == ("the U-Net has other weights",) * 2


def test_a_default_and_the_same_value_given_are_alike():
    network = NISF(hidden_size=8, latent_size=4, num_layers=2)
    plain, given = (pipeline_of(network, None, partial(fit_gauss_newton, **k), {}) for k in ({}, {"growth": 0.2}))
    assert plain == given == pipeline_of(network, None, fit_gauss_newton, {})
    assert difference({**plain, "series": True}, plain) == "other series were fitted too"
    assert (
        difference(plain, {**plain, "weights": "", "growth": 1})
        == "the network has other weights, and 1 more difference"
    )
