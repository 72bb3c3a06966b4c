"""Series fitted together: what one does not show another may, whatever its brightness."""

from functools import partial

import numpy as np
import pytest
import torch
from helpers.known_scans import a_network, clean_scans, draws

from nisf.fit.gauss_newton import fit_gauss_newton
from nisf.fit.joint import JointPoints, SeriesPoints, fit_together
from nisf.fit.posterior import LatentFit
from nisf.geometry.grid import Grid
from nisf.utils.errors import InputError

FIT = partial(fit_gauss_newton, prior_weight=1e-4, final_points=4000, start_points=500)


def series_of(network, latent, scan, gain=1.0, offset=0.0, time=0.0):
    """What a subject shows between the voxels of its scan, on a finer grid, by another scanner's brightness."""
    frame = scan.frame
    points = Grid.of_scan(frame).resampled(np.linalg.norm(frame.affine[:3, :3], axis=0) / 1.7).world()
    coords = frame.world_to_normalised(points).T
    coords = np.concatenate([coords, np.full((1, len(points)), time)])[: frame.dims]
    with torch.no_grad():
        values = network(torch.from_numpy(coords).float().unsqueeze(0), latent.unsqueeze(0))[0, : network.in_channels]
    return points, np.full(len(points), time), gain * values.sigmoid() + offset


@pytest.fixture(scope="module")
def network():
    return a_network()


def blind(scan):
    """The scan with a single slice to be seen, and that constant enough to say little."""
    scan.kept_slices = [0]
    scan.__post_init__()
    return scan


def test_a_series_tells_what_the_scan_does_not_show(network):
    better = []
    for latent in draws(network, 4):
        (scan,) = clean_scans(network, latent.unsqueeze(0))
        points, times, values = series_of(network, latent, scan)
        one = SeriesPoints.of_world(scan.frame, points, times, values)
        alone = FIT(network, blind(scan))
        together = fit_together(network, scan, [one], FIT)
        assert together.points > alone.points
        better.append([(fit.latent - latent).norm().item() for fit in (together, alone)])
    errors = np.mean(better, axis=0)
    assert errors[0] < 0.7 * errors[1]


def test_another_brightness_is_matched_by_gain_and_offset(network):
    (latent,) = draws(network, 1)
    (scan,) = clean_scans(network, latent.unsqueeze(0))
    points, times, values = series_of(network, latent, scan, gain=0.4, offset=0.3)
    one = SeriesPoints.of_world(scan.frame, points, times, values)
    right = LatentFit(latent)
    found = one.matched(network, right)
    expected = SeriesPoints.of_world(scan.frame, *series_of(network, latent, scan))
    torch.testing.assert_close(found.intensity, expected.intensity, atol=1e-3, rtol=0)
    dark = SeriesPoints.of_world(scan.frame, points, times, 1 - values)
    assert torch.equal(dark.matched(network, right).intensity, dark.intensity), "an inverted series is not believed"


def test_points_far_from_the_scan_are_left_out(network):
    (scan,) = clean_scans(network, draws(network, 1))
    inside = Grid.of_scan(scan.frame).world()
    far = inside + 1e4
    both = SeriesPoints.of_world(
        scan.frame, np.concatenate([far, inside]), np.zeros(2 * len(far)), torch.rand(1, 2 * len(far))
    )
    assert len(both) == len(inside)
    with pytest.raises(InputError, match="no point of the series lies within the scan"):
        SeriesPoints.of_world(scan.frame, far, np.zeros(len(far)), torch.rand(1, len(far)))


def test_joint_points_are_those_of_the_scan_and_then_of_the_series(network):
    (scan,) = clean_scans(network, draws(network, 1))
    points = Grid.of_scan(scan.frame).world()[::3]
    series = SeriesPoints.of_world(scan.frame, points, np.full(len(points), 0.25), torch.rand(1, len(points)))
    joint = JointPoints(scan, [series, series])
    assert len(joint) == len(scan) + 2 * len(series)
    number = torch.tensor([len(scan) + 3, 5, len(scan) + len(series) + 1])
    coords, intensity = joint.take(number)
    assert torch.equal(coords[:, 1], scan.take(torch.tensor([5]))[0][:, 0])
    assert torch.equal(coords[:, 0], series.take(torch.tensor([3]))[0][:, 0])
    assert torch.equal(intensity[:, 2], series.take(torch.tensor([1]))[1][:, 0])
    spread = joint.sampling_order(60)
    assert len(spread.unique()) == 60
    for part in (spread[:30], spread[30:]):
        assert 0.3 < (part < len(scan)).float().mean() < 0.7  # half and half, from the beginning on
