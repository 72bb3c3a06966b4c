"""A fitted scan as a function of world and time: the same numbers as on its own grid, everywhere in the right place."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from nibabel.affines import apply_affine
from scipy.spatial.transform import Rotation

from nisf.fit.blending import Correction, blend
from nisf.fit.points import GridPoints
from nisf.fit.posterior import LatentFit
from nisf.geometry.frame import CoordinateFrame
from nisf.geometry.grid import Grid
from nisf.geometry.pose import Pose
from nisf.models.nisf import NISF
from nisf.models.weights import digest_of, save_weights
from nisf.sampling.fitted_scan import FittedScan
from nisf.sampling.on_grid import sample_grid
from nisf.sampling.uncertainty import sample_uncertainty
from nisf.utils.errors import InputError
from nisf.utils.tensors import save_tensors

SHAPE, TIMES = (6, 5, 4), (0.0, 0.25, 0.5, 0.75)


def a_network(**options):
    torch.manual_seed(0)
    network = NISF(hidden_size=16, latent_size=8, num_layers=3, num_probes=64, **options).eval()
    network.temperature.fill_(1.3)
    return network


def a_frame(pose=None):
    affine = np.eye(4)
    affine[:3, :3] = Rotation.random(random_state=3).as_matrix() * (12.0, 13.0, 15.0)
    affine[:3, 3] = [5.0, -7.0, 40.0]
    return CoordinateFrame.posed(affine, SHAPE, TIMES, pose or Pose(0.1, -0.1, 0.05, 0.4, 0.1, -0.2))


def a_scan(corrected=False):
    network, frame = a_network(), a_frame()
    latent = torch.randn(8, generator=torch.Generator().manual_seed(1))
    scan = FittedScan(network, latent, frame, class_names={1: "LV", 2: "MYO", 3: "RV"}, subject="one")
    if not corrected:
        return scan
    own = sample_grid(network, latent, frame, dtype=torch.float32)[1:]
    seen = torch.randn(4, *SHAPE, 2, generator=torch.Generator().manual_seed(2)).softmax(dim=0)
    unet_prob = GridPoints(replace(frame, times=(0.0, 0.5)), seen, [0, 2, 3])
    return replace(scan, correction=Correction.of(own, unet_prob, 0.7, 1.3, [0, 2]))


@pytest.mark.parametrize("corrected", [False, True])
def test_on_the_fitted_grid_it_says_what_the_prediction_says(corrected):
    scan = a_scan(corrected)
    expected = sample_grid(scan.network, scan.latent, scan.frame, dtype=torch.float32)
    if corrected:
        expected[1:] = blend(expected[1:], scan.correction, TIMES, 1.3)
    points = Grid.of_scan(scan.frame).world()
    for t, time in enumerate(TIMES):
        torch.testing.assert_close(scan.read(points, time), expected[..., t].flatten(1), rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(scan.read(points, time), scan.read(points, time + 2), rtol=1e-4, atol=1e-5)


def test_the_size_of_a_call_changes_nothing():
    scan = a_scan(True)
    points = Grid.of_scan(scan.frame, (5.0, 5.0, 5.0)).world()
    whole = scan.read(points, 0.1)
    parts = torch.cat([replace(scan, chunk=37).read(part, 0.1) for part in np.array_split(points, 3)], dim=1)
    torch.testing.assert_close(whole, parts, rtol=1e-4, atol=1e-5)


def test_how_far_a_point_lies_outside_is_in_mm_from_the_outer_voxels_edges():
    scan = a_scan()
    at = np.array([[0, 0, 0], [-0.5, 2, 1], [-1.5, 2, 1], [2, 5.5, 4.5]])
    points = apply_affine(scan.frame.affine, at)
    np.testing.assert_allclose(scan.beyond(points), [0, 0, 12.0, np.hypot(13.0, 15.0)], atol=1e-9)


@pytest.fixture
def files(tmp_path):
    scan = a_scan(True)
    save_weights(scan.network, tmp_path / "model.pt")
    network = {"options": scan.network.options(), "weights": str(tmp_path / "model.pt")}
    network["digest"] = digest_of(scan.network)
    names = {str(number): name for number, name in scan.class_names.items()}
    content = {"latent": scan.latent, "frame": scan.frame.to_dict(), "network": network, "class_names": names}
    content |= {"correction": scan.correction.to_dict(), "subject": "one", "duration": 0.8}
    save_tensors(content, tmp_path / "one_latent.pt")
    return tmp_path


def test_it_comes_back_from_its_files(files):
    scan, found = a_scan(True), FittedScan.load(files / "one_latent.pt")
    points = Grid.of_scan(scan.frame, (5.0, 5.0, 5.0)).world()
    assert torch.equal(found.read(points, 0.3), scan.read(points, 0.3))
    assert (found.class_names, found.duration) == (scan.class_names, 0.8)


@pytest.mark.parametrize("closed", [True, False])
def test_how_time_enters_the_network_comes_from_its_file(files, closed):
    """Results that do not name ``closed_cycle`` have time as a plain number."""
    network = a_network(closed_cycle=closed)
    save_weights(network, files / "model.pt")
    content = torch.load(files / "one_latent.pt", weights_only=True)
    content["network"] |= {"options": network.options(), "digest": digest_of(network)}
    assert ("closed_cycle" in content["network"]["options"]) is closed
    save_tensors(content, files / "one_latent.pt")
    found = FittedScan.load(files / "one_latent.pt")
    assert found.network.closed_cycle is closed
    points = Grid.of_scan(found.frame).world()
    expected = sample_grid(network, found.latent, found.frame, dtype=torch.float32)
    torch.testing.assert_close(found.read(points, 0.25)[0], expected[0, ..., 1].flatten(), rtol=1e-3, atol=1e-3)


def test_what_is_wrong_with_its_files_is_said(files):
    with pytest.raises(InputError, match="no such latent file"):
        FittedScan.load(files / "two_latent.pt")
    with pytest.raises(InputError, match="model.pt: is no latent file"):
        FittedScan.load(files / "model.pt")
    other = a_network()
    other.latent_mean += 1
    for network in (other, a_network(closed_cycle=True)):
        save_weights(network, files / "other.pt")
        with pytest.raises(InputError, match="fitted with other weights than .*other.pt; name the right ones"):
            FittedScan.load(files / "one_latent.pt", files / "other.pt")
    (files / "cut_latent.pt").write_bytes((files / "one_latent.pt").read_bytes()[:900])
    with pytest.raises(InputError, match="cut_latent.pt: the latent file is damaged"):
        FittedScan.load(files / "cut_latent.pt")
    (files / "model.pt").rename(files / "moved.pt")
    with pytest.raises(InputError, match="name the weights with --model"):
        FittedScan.load(files / "one_latent.pt")
    assert FittedScan.load(files / "one_latent.pt", files / "moved.pt").subject == "one"


def test_draws_of_the_posterior_say_where_it_is_unsure(files):
    """The same maps as the prediction's on the scan's own grid, by draws of latent and pose."""
    scan = a_scan(True)
    content = torch.load(files / "one_latent.pt", weights_only=True)
    change = torch.tensor([0.02, 0.0, -0.01, 0.1, 0.0, 0.05])
    start = a_frame()
    content |= {"covariance": 0.01 * torch.eye(14, dtype=torch.double), "pose": change}
    content |= {"frame": start.moved(Pose.of(change)).to_dict(), "start_frame": start.to_dict()}
    save_tensors(content, files / "one_latent.pt")
    found = FittedScan.load(files / "one_latent.pt", draws=4, seed=3)
    fit = LatentFit(content["latent"], covariance=content["covariance"], pose=change, correction=scan.correction)
    expected = sample_uncertainty(scan.network, fit, fit.sample(4, 3), start, dtype=torch.float32)
    points = Grid.of_scan(start).world()
    torch.testing.assert_close(found.uncertainty(points, 0.25), expected[..., 1].flatten(1), rtol=1e-3, atol=1e-3)
    assert float(expected[-1].max()) > 1e-3
