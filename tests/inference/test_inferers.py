"""A scan goes in and its prediction comes out on the same grid, whatever surrounds the inferer and the scan."""

from functools import partial

import numpy as np
import pytest
import torch
from monai.data import MetaTensor, decollate_batch, list_data_collate

from nisf.fit.adam import fit_adam
from nisf.fit.gauss_newton import fit_gauss_newton
from nisf.geometry.frame import CoordinateFrame
from nisf.inference.inferers import FitCurveInferer, NISFInferer, points_of
from nisf.models.nisf import NISF
from nisf.sampling.on_grid import sample_grid
from nisf.sampling.uncertainty import sample_uncertainty
from nisf.transforms.scan import Scan, scan_of, with_scan
from nisf.utils.errors import InputError

GRID = (6, 5, 3)
TIMES = (0.0, 0.4)
FIT = {"steps": 4, "lr": 0.05, "points_per_step": 64, "chunk": 50}


@pytest.fixture
def network():
    torch.manual_seed(0)
    network = NISF(num_classes=3, hidden_size=12, latent_size=4, num_layers=2)
    network.latent_mean.normal_()
    return network


def a_frame(half_field=6.0, grid=GRID):
    affine = np.diag([1.5, 2.0, 8.0, 1.0])
    affine[:3, 3] = [10.0, -20.0, half_field]
    return CoordinateFrame.physical(affine, grid, TIMES, half_field=half_field)


def a_scan(seed=0, half_field=6.0, **known):
    """A MetaTensor [1, X, Y, Z, T] as the preprocessing leaves it."""
    image = torch.rand(1, *GRID, len(TIMES), generator=torch.Generator().manual_seed(seed))
    frame = a_frame(half_field)
    meta = {"filename_or_obj": f"scan{seed}.nii.gz"}
    image = MetaTensor(image, affine=torch.from_numpy(frame.affine), meta=meta)
    return with_scan(image, Scan(TIMES, f"scan{seed}", frame=frame, **known))


def infer(scan, network, **settings):
    with torch.no_grad():
        return NISFInferer(partial(fit_adam, **{**FIT, **settings}), bf16=False)(scan, network)


# ---- a scan in, a prediction out


def test_prediction_lies_on_the_scans_grid_and_keeps_its_file_name(network):
    scan = a_scan()[None]
    out = infer(scan, network)
    assert isinstance(out, MetaTensor)
    assert (out.shape, out.dtype) == ((1, 1 + 3, *GRID, len(TIMES)), torch.float16)
    assert torch.equal(out.affine, scan.affine)
    assert out.meta["filename_or_obj"] == "scan0.nii.gz"
    assert scan_of(out).subject == "scan0" and scan_of(scan).fit is None, "what goes in stays as it is"
    torch.testing.assert_close(out[0, 1:].sum(dim=0).as_tensor(), torch.ones(*GRID, 2).half(), atol=2e-3, rtol=0)


def test_prediction_is_the_fit_sampled_in_the_scans_frame(network):
    out = infer(a_scan()[None], network)
    fit = scan_of(out).fit
    expected = sample_grid(network, fit.latent, a_frame())
    assert torch.equal(out[0].as_tensor(), expected)
    assert len(fit.history) == 4
    assert not torch.equal(fit.latent, network.latent_mean)


def test_without_meta_the_relative_frame_is_taken(network):
    image = a_scan().as_tensor()[None]
    inferer = NISFInferer(partial(fit_adam, **FIT), bf16=False)
    with torch.no_grad():
        out = inferer(image, network)
    assert type(out) is torch.Tensor
    frame = CoordinateFrame.relative(np.eye(4), GRID, (0.0, 0.5))
    assert torch.equal(out[0], sample_grid(network, inferer.fitted[0].fit.latent, frame))


def test_frame_times_are_taken_from_the_scan(network):
    image = with_scan(a_scan().as_tensor(), Scan((0.0, 0.3)))
    latent = scan_of(infer(image[None], network)).fit.latent
    frame = CoordinateFrame.relative(np.eye(4), GRID, (0.0, 0.3))
    assert torch.equal(infer(image[None], network)[0].as_tensor(), sample_grid(network, latent, frame))


def test_steps_are_the_networks_own_unless_given(network):
    network.fit_steps.fill_(7)
    assert len(scan_of(infer(a_scan()[None], network, steps=None)).fit.history) == 7
    assert len(scan_of(infer(a_scan()[None], network, steps=2)).fit.history) == 2


def test_held_out_slices_are_predicted_without_having_been_seen(network):
    scan = a_scan(kept_slices=[0, 2])
    changed = scan.clone()
    changed[:, :, :, 1] = 0
    before, after = infer(scan[None], network), infer(changed[None], network)
    assert torch.equal(before.as_tensor(), after.as_tensor())
    everything = infer(a_scan()[None], network)
    assert not torch.equal(before.as_tensor(), everything.as_tensor())


def test_scans_of_a_batch_do_not_touch_each_other(network):
    scans = [a_scan(1, 6.0), a_scan(2, 9.0), a_scan(3, 7.0)]
    alone = [infer(scan[None], network)[0].as_tensor() for scan in scans]
    for order in ([0, 1, 2], [2, 0, 1]):
        batch = list_data_collate([{"image": scans[i]} for i in order])["image"]
        together = infer(batch, network)
        for place, i in enumerate(order):
            assert torch.equal(together.as_tensor()[place], alone[i])
    plain = torch.stack([scan.as_tensor() for scan in scans])
    together = infer(plain, network)
    for place in range(3):
        assert torch.equal(together[place : place + 1], infer(plain[place : place + 1], network))


def test_a_collated_batch_can_be_taken_apart_again(network):
    batch = list_data_collate([{"image": a_scan(1, 6.0)}, {"image": a_scan(2, 9.0)}])
    inferer = NISFInferer(partial(fit_adam, **FIT), bf16=False)
    with torch.no_grad():
        batch["pred"] = inferer(batch["image"], network)
    items = decollate_batch(batch)
    assert [item["pred"].meta["filename_or_obj"] for item in items] == ["scan1.nii.gz", "scan2.nii.gz"]
    assert float(items[1]["pred"].affine[2, 3]) == 9.0
    for item, scan in zip(items, inferer.fitted, strict=True):
        assert scan_of(item["pred"]).subject == scan.subject and scan_of(item["pred"]).fit is scan.fit
    assert scan_of(items[0]["image"]).fit is None


def test_a_stored_8_bit_scan_gives_the_same_as_its_intensities(network):
    stored = (a_scan().as_tensor() * 255).round().to(torch.uint8)
    out, expected = infer(stored[None], network), infer(stored[None] / 255, network)
    torch.testing.assert_close(out, expected, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("shape", [(1, 1, *GRID), (1, 2, *GRID, 2), (1, *GRID, 2)])
def test_a_scan_of_the_wrong_shape_gives_one_clear_sentence(network, shape):
    with pytest.raises(InputError, match=r"the scan has shape .*; \[1, X, Y, Z, T\] is needed"):
        infer(torch.rand(shape), network)


@pytest.mark.parametrize("name", ["steps", "points_per_step", "chunk"])
def test_a_setting_below_one_gives_one_clear_sentence(network, name):
    with pytest.raises(InputError, match=f"{name} of the fit is 0"):
        infer(a_scan()[None], network, **{name: 0})
    with pytest.raises(InputError, match="chunk is 0"):
        NISFInferer(chunk=0)


def test_gauss_newton_is_the_fit_unless_another_is_given(network):
    scan = a_scan()[None]
    with torch.no_grad():
        found = scan_of(NISFInferer()(scan, network)).fit
    expected = fit_gauss_newton(network, points_of(scan[0], network))
    assert torch.equal(found.latent, expected.latent) and found.covariance is not None


def test_uncertainty_follows_the_prediction(network):
    scan = a_scan()[None]
    with torch.no_grad():
        plain = NISFInferer(bf16=False)(scan, network)
        out = NISFInferer(uncertainty_draws=5, seed=3, bf16=False)(scan, network)
    assert out.shape[1] == 1 + 3 + 3 + 2
    assert torch.equal(out[:, :4].as_tensor(), plain.as_tensor())
    fit = scan_of(out).fit
    assert torch.equal(out[0, 4:].as_tensor(), sample_uncertainty(network, fit, fit.sample(5, 3), a_frame()))


# ---- the curve of a fit, for the early stop


@torch.no_grad()
def curve(scan, label, network, **settings):
    return FitCurveInferer(**{**FIT, **settings})(scan, network, label)


def test_labels_score_a_fit_and_do_not_touch_it(network):
    scan = a_scan()[None]
    labels = [torch.randint(0, 3, (1, 1, *GRID, 2), generator=torch.Generator().manual_seed(s)) for s in (0, 1)]
    first, second = (curve(scan, label, network) for label in labels)
    assert torch.equal(first["loss"], second["loss"])
    assert not torch.equal(first["dice"], second["dice"])
    plain = fit_adam(network, points_of(scan[0], network), **FIT)
    assert first["loss"][0].tolist() == pytest.approx([entry["loss"] for entry in plain.history])


def test_dice_of_a_step_is_that_of_the_prediction_at_that_step(network):
    frame = a_frame()
    predicted = sample_grid(network, network.latent_mean, frame)[1:].argmax(dim=0)
    label = predicted.clone()
    label[label == 2] = 1  # class 2 is missing from the truth
    label[:2] = 0
    found = curve(a_scan()[None], label[None, None], network, points_per_step=None, steps=2)
    assert (found["dice"].shape, found["loss"].shape) == ((1, 2, 2), (1, 2))
    p, t = predicted == 1, label == 1
    assert float(found["dice"][0, 0, 0]) == pytest.approx(2 * int((p & t).sum()) / int(p.sum() + t.sum()))
    assert float(found["dice"][0, 0, 1]) == 0 if (predicted == 2).any() else found["dice"][0, 0, 1].isnan()


def test_frames_without_label_do_not_count(network):
    predicted = sample_grid(network, network.latent_mean, a_frame())[1:].argmax(dim=0)
    label = predicted.clone()
    label[..., 1] = -1
    found = curve(a_scan()[None], label[None, None], network, points_per_step=None, steps=1)["dice"][0, 0]
    present = [c for c in (1, 2) if (label == c).any()]
    assert present and all(float(found[c - 1]) == 1.0 for c in present)
    assert all(found[c - 1].isnan() for c in (1, 2) if c not in present)
