"""A prediction is taken apart, brought to the file's grid and written so that anything can read it."""

from dataclasses import replace
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
import torch
from helpers.tiny import disk_full_after, phantom_scans
from monai.data import MetaTensor
from monai.transforms import Compose, Invertd

from nisf import __version__
from nisf.fit.posterior import LatentFit
from nisf.geometry.frame import CoordinateFrame
from nisf.inference.postprocess import BackgroundElsewhered, OnlyClassesd, SplitPredictiond
from nisf.inference.save import SaveCined, SaveLatentd
from nisf.models.nisf import NISF
from nisf.quality.record import Quality
from nisf.transforms.load import LoadCined
from nisf.transforms.scan import Scan, scan_of, with_scan
from nisf.transforms.spatial import CanonicalOrientationd, CropToFieldd
from nisf.utils.errors import InputError
from nisf.utils.provenance import provenance
from nisf.utils.tensors import plain_array, save_tensors


@pytest.fixture(scope="module")
def entry(tmp_path_factory):
    return phantom_scans(tmp_path_factory.mktemp("cohort"), 1, seed=1)[0]


def fit():
    history = [{"step": 1, "loss": 0.5, "points": 10}, {"step": 2, "loss": 0.25, "points": 20}]
    return LatentFit(latent=torch.arange(5.0), history=history, points=20, seconds=1.5, reason="all 2 steps done")


def fitted(image):
    """The Scan of an image as an inferer returns it."""
    return replace(scan_of(image), fit=fit(), quality=Quality({"noise": 0.1}, {"empty": [2]}, 0.8, True))


def prediction(shape=(3, 4, 2, 2), channels=1):
    """[1, C + 4, X, Y, Z, T] as an inferer gives it."""
    values = torch.rand((channels + 4, *shape), generator=torch.Generator().manual_seed(0)).half()
    values[channels:] /= values[channels:].sum(dim=0)
    return with_scan(values[None], Scan((0.0, 0.5), "p1", fit=fit(), quality=Quality()))


# ---- taking apart


@pytest.mark.parametrize("channels", [1, 2])
def test_prediction_is_taken_apart(channels):
    pred = prediction(channels=channels)
    item = SplitPredictiond(channels)({"pred": pred})
    plain = pred[0].as_tensor()
    assert torch.equal(item["recon"].as_tensor(), plain[:channels])
    assert torch.equal(item["prob"].as_tensor(), plain[channels:])
    assert item["seg"].shape == (1, 3, 4, 2, 2) and item["seg"].dtype == torch.uint8
    assert np.array_equal(item["seg"][0], plain[channels:].float().numpy().argmax(axis=0))
    assert item["scan"].fit.reason == "all 2 steps done" and item["scan"].subject == "p1"
    assert isinstance(item["seg_fitted"], np.ndarray) and np.array_equal(item["seg_fitted"], item["seg"])


def test_what_follows_the_classes_is_the_uncertainty():
    pred = prediction()
    more = MetaTensor(torch.cat([pred.as_tensor(), torch.rand(1, 6, 3, 4, 2, 2).half()], dim=1), meta=pred.meta)
    item = SplitPredictiond()({"pred": more})
    assert torch.equal(item["uncertainty"].as_tensor(), more[0, 5:].as_tensor())
    assert torch.equal(item["prob"].as_tensor(), more[0, 1:5].as_tensor())
    assert "uncertainty" not in SplitPredictiond()({"pred": pred})


def test_outside_the_field_maps_of_uncertainty_are_sure_of_the_background():
    maps = torch.zeros(4 + 2, 3, 2, 2, 1)
    maps[:, 1] = 0.25
    out = BackgroundElsewhered()({"uncertainty": MetaTensor(maps.clone())})["uncertainty"].as_tensor()
    assert torch.equal(out[:, 1], maps[:, 1])
    assert torch.all(out[0, [0, 2]] == 1) and not out[1:, [0, 2]].any()


def test_outside_the_field_is_background_and_inside_nothing_changes():
    inside = torch.softmax(torch.rand(4, 2, 3, 2, 1), dim=0)
    prob = torch.zeros(4, 4, 3, 2, 1)
    prob[:, 1:3] = inside
    out = BackgroundElsewhered()({"prob": MetaTensor(prob.clone())})["prob"].as_tensor()
    assert torch.equal(out[:, 1:3], inside)
    for x in (0, 3):
        assert torch.all(out[0, x] == 1) and not out[1:, x].any()
    half = BackgroundElsewhered("p")({"p": prob.half()})["p"]
    assert torch.allclose(half.sum(dim=0).float(), torch.ones(4, 3, 2, 1), atol=2e-3)


def saver(folder, settings):
    """Of latents that a small network was fitted with."""
    names = {"1": "LV", "2": "MYO", "3": "RV"}
    return SaveLatentd(
        str(folder), settings, NISF(latent_size=5, hidden_size=8, num_layers=2), "m.pt", names, {"weights": "a"}
    )


# ---- from the scan to its files


def test_perfect_prediction_is_written_as_the_truth_on_the_files_grid(tmp_path, entry):
    """Load, turn, crop, predict the label, split, invert, write: the file equals the label file."""
    loading = Compose([LoadCined(), CanonicalOrientationd(), CropToFieldd(half_field=200.0)])
    item = loading(entry)
    label = item["label"][0].as_tensor().long()
    values = torch.cat([item["image"].as_tensor() / 1000, torch.nn.functional.one_hot(label, 4).movedim(-1, 0)])
    pred = with_scan(values[None].half(), fitted(item["image"]))
    keys = ["seg", "prob", "recon"]
    after = Compose(
        [
            SplitPredictiond(),
            Invertd(keys, loading, orig_keys="image", nearest_interp=False),
            BackgroundElsewhered(),
            SaveCined(keys, str(tmp_path)),
            saver(tmp_path, {"lr": 0.01}),
        ]
    )({**item, "pred": pred})
    folder = tmp_path / "test000_sa"
    names = ["test000_sa_latent.pt", "test000_sa_prob.nii.gz", "test000_sa_recon.nii.gz", "test000_sa_seg.nii.gz"]
    assert sorted(p.name for p in folder.iterdir()) == names
    assert sorted(after["saved"]) == [str(folder / name) for name in names]
    truth, seg = nib.load(entry["label"]), nib.load(folder / "test000_sa_seg.nii.gz")
    assert np.array_equal(np.asarray(seg.dataobj), np.asarray(truth.dataobj)) and seg.get_data_dtype() == np.uint8
    assert np.array_equal(seg.affine, nib.load(entry["image"]).affine)
    assert seg.header.get_zooms() == nib.load(entry["image"]).header.get_zooms()
    prob = nib.load(folder / "test000_sa_prob.nii.gz")
    assert np.array_equal(prob.get_fdata().argmax(axis=-1), np.asarray(truth.dataobj))
    recon = nib.load(folder / "test000_sa_recon.nii.gz").get_fdata()
    assert np.allclose(recon, nib.load(entry["image"]).get_fdata() / 1000, atol=2e-3)


# ---- latents


def test_latent_file_is_plain_and_rebuilds_the_coordinate_frame(tmp_path, entry):
    item = Compose([LoadCined(), CanonicalOrientationd(), CropToFieldd(half_field=50.0)])(entry)
    item["scan"] = fitted(item["image"])
    settings = {"lr": 0.01, "hold_out": None, "field_shift": [-15.0, 0.0], "model": "m.pt"}
    (saved,) = saver(tmp_path, settings)(item)["saved"]
    assert saved == str(tmp_path / "test000_sa" / "test000_sa_latent.pt")
    content = torch.load(saved, weights_only=True)
    assert torch.equal(content["latent"], torch.arange(5.0)) and content["history"] == fit().history
    assert (content["points"], content["seconds"], content["reason"]) == (20, 1.5, "all 2 steps done")
    assert (content["subject"], content["files"]) == ("test000", ["test000_sa.nii.gz"]), "no path of this machine"
    frame, expected = CoordinateFrame.from_dict(content["frame"]), item["scan"].frame
    assert frame.shape == item["image"].shape[1:4] and np.array_equal(frame.affine, item["image"].affine.numpy())
    everything = torch.arange(frame.size)
    assert torch.equal(frame.points(everything), expected.points(everything))
    assert content["made_with"]["settings"]["lr"] == 0.01
    assert NISF(**content["network"]["options"]).latent_size == 5 and content["class_names"]["3"] == "RV"
    assert content["duration"] == pytest.approx(item["scan"].frame_duration * item["image"].shape[-1])
    assert content["quality"]["noise"] == 0.1 and content["quality"]["slices"] == {"empty": [2]}
    assert (content["quality"]["predicted_dice"], content["quality"]["trusted"]) == (0.8, True)
    assert content["made_with"]["versions"]["nisf"] == __version__


def test_provenance_is_plain():
    plain = provenance({"a": 1, "b": None, "c": [1, 2], "d": True, "e": SimpleNamespace})
    assert plain["settings"]["a"] == 1 and plain["settings"]["c"] == "[1, 2]" and plain["settings"]["b"] is None
    assert all(isinstance(v, (int, float, bool, str, type(None))) for v in plain["settings"].values())
    assert set(plain["versions"]) == {"nisf", "monai", "torch", "numpy"}
    assert all(type(v) is str for v in plain["versions"].values())


def test_full_disk_leaves_no_half_latent(tmp_path):
    target = save_tensors({"latent": torch.zeros(4)}, tmp_path / "a" / "x.pt")
    with disk_full_after(5000), pytest.raises(InputError, match="x.pt: cannot be written .*; free space"):
        save_tensors({"latent": torch.rand(100_000)}, target)
    assert [p.name for p in target.parent.iterdir()] == ["x.pt"]
    assert torch.equal(torch.load(target, weights_only=True)["latent"], torch.zeros(4)), "what was there before"


def test_latent_folder_that_is_a_file_is_said_in_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="a file stands where its folder should be"):
        save_tensors({}, tmp_path / "file" / "x.pt")


def test_plain_array_has_no_meta():
    assert type(plain_array(MetaTensor(torch.ones(2)))) is np.ndarray


def test_only_some_classes_stay_with_their_numbers():
    names = {"1": "LV", "2": "MYO", "3": "RV"}
    label = torch.tensor([[0, 1, 2, 3, 1]], dtype=torch.uint8)

    def kept(only):
        return OnlyClassesd(only, names)({"seg": label.clone()})["seg"].tolist()

    assert kept(["lv", "3"]) == [[0, 1, 0, 3, 1]]
    assert kept("MYO") == [[0, 0, 2, 0, 0]]
    assert kept(None) == kept([]) == label.tolist()
    with pytest.raises(InputError, match="the class 'LA' of only is unknown; use LV, MYO, RV"):
        OnlyClassesd(["LA"], names)
