"""Points of a scan are its voxels: those that their numbers name, spread evenly, or nearest to a place."""

import numpy as np
import pytest
import torch

from nisf.fit.points import GridPoints
from nisf.geometry.frame import CoordinateFrame
from nisf.utils.errors import InputError

GRID = (8, 7, 3)
TIMES = (0.0, 0.3, 0.6)
LARGE, MANY_TIMES = (16, 14, 6), tuple(t / 8 for t in range(8))


def a_frame(dims=4, grid=GRID, times=TIMES):
    affine = np.diag([2.0, 1.5, 8.0, 1.0])
    return CoordinateFrame.physical(affine, grid, times, dims, half_field=8.0, center=(1.0, -0.5))


def a_scan(kept=None, dims=4, channels=1):
    """Every voxel has an intensity of its own."""
    size = channels * int(np.prod(GRID)) * len(TIMES)
    image = torch.randperm(size, generator=torch.Generator().manual_seed(0)) / size
    return GridPoints(a_frame(dims), image.reshape(channels, *GRID, len(TIMES)), kept)


def a_large_scan(kept=None):
    return GridPoints(a_frame(4, LARGE, MANY_TIMES), torch.zeros(1, *LARGE, len(MANY_TIMES)), kept)


def where(points, numbers):
    """Voxel indices (x, y, slice, time) of points."""
    return torch.unravel_index(points.flat(numbers), points.image.shape[1:])


# ---- by number


@pytest.mark.parametrize("dims", [3, 4])
def test_points_are_the_voxels_that_their_numbers_name(dims):
    torch.manual_seed(0)
    frame, image = a_frame(dims), torch.rand(2, *GRID, len(TIMES))
    points = GridPoints(frame, image)
    numbers = torch.randint(len(points), (50,))
    coords, intensity = points.take(numbers)
    assert len(points) == image[0].numel()
    assert (coords.dtype, intensity.dtype) == (torch.float32, torch.float32)
    for n, (i, j, k, t) in enumerate(zip(*(axis.tolist() for axis in torch.unravel_index(numbers, image.shape[1:])))):
        where = [frame.axis(0)[i], frame.axis(1)[j], frame.axis(2)[k], TIMES[t]][:dims]
        np.testing.assert_allclose(coords[:, n], where, atol=1e-6)
        assert torch.equal(intensity[:, n], image[:, i, j, k, t])


def test_stored_intensities_of_8_bits_come_back_in_0_to_1():
    image = torch.randint(0, 256, (1, *GRID, len(TIMES)), dtype=torch.uint8)
    _, intensity = GridPoints(a_frame(), image).take(torch.arange(image.numel()))
    torch.testing.assert_close(intensity.flatten(), image.flatten() / 255)


@pytest.mark.parametrize("kept", [[0, 2], [1], [2, 0], [0, 1, 2]])
def test_held_out_slices_are_never_seen_and_all_others_once(kept):
    image = torch.arange(np.prod(GRID) * len(TIMES)).reshape(1, *GRID, len(TIMES)).float()
    points = GridPoints(a_frame(), image, kept_slices=kept)
    numbers = torch.arange(len(points))
    coords, intensity = points.take(numbers)
    assert sorted(intensity[0].tolist()) == sorted(image[:, :, :, sorted(kept)].flatten().tolist())
    assert torch.equal(image.flatten()[points.flat(numbers)], intensity[0])
    heights = {round(float(z), 4) for z in coords[2]}
    assert heights == {round(float(a_frame().axis(2)[k]), 4) for k in kept}


def test_image_and_frame_must_share_one_grid():
    with pytest.raises(InputError, match="grid"):
        GridPoints(a_frame(), torch.rand(1, 8, 7, 4, 3))


# ---- spread over the scan


@pytest.mark.parametrize("count", [64, 200, 2000])
def test_every_beginning_of_a_spread_fills_the_halves_of_the_axes_alike(count):
    """Also the quarters that two axes' halves make; of 64 random points a quarter would get 16 plus or minus 3.5."""
    points = a_large_scan()
    numbers = points.sampling_order(2000)
    assert numbers.shape == (2000,) and 0 <= numbers.min() and numbers.max() < len(points)
    lower = [(index < size / 2)[:count].float() for index, size in zip(where(points, numbers), points.image.shape[1:])]
    for a, half in enumerate(lower):
        assert abs(half.sum() - count / 2) <= 2
        for other in lower[:a]:
            assert abs((half * other).sum() - count / 4) <= 3


def test_a_spread_reaches_every_plane_of_every_axis():
    points = a_large_scan()
    for index, size in zip(where(points, points.sampling_order(500)), points.image.shape[1:]):
        counts = torch.bincount(index, minlength=size)
        assert len(counts) == size
        assert counts.min() > 0.8 * 500 / size and counts.max() < 1.2 * 500 / size


@pytest.mark.parametrize("kept", [[0, 2, 3, 5], [4], [5, 0]])
def test_a_spread_has_no_held_out_slice_and_the_others_alike(kept):
    points = a_large_scan(kept)
    numbers = points.sampling_order(400)
    assert 0 <= numbers.min() and numbers.max() < len(points)
    counts = torch.bincount(where(points, numbers)[2], minlength=6)
    assert counts.sum() == 400
    assert all(abs(count - 400 / len(kept)) <= 4 if k in kept else count == 0 for k, count in enumerate(counts))


@pytest.mark.parametrize("kept", [None, [0, 2]])
@pytest.mark.parametrize("more", [0, 1, 1000])
def test_a_spread_of_no_fewer_points_than_the_scan_has_is_each_of_them_once(kept, more):
    points = a_scan(kept)
    numbers = points.sampling_order(len(points) + more)
    assert torch.equal(numbers.sort().values, torch.arange(len(points)))
    # in random order, so that a beginning is no corner of the scan
    x = where(points, numbers[: len(points) // 3])[0]
    assert 2.5 < x.float().mean() < 4.5


@pytest.mark.parametrize("count", [100, 10**4])
def test_a_spread_follows_its_seed_and_leaves_the_callers_random_state_alone(count):
    points = a_scan()
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    first, again, other = (
        points.sampling_order(count, seed=5),
        points.sampling_order(count, seed=5),
        points.sampling_order(count, seed=6),
    )
    assert torch.equal(torch.rand(2), expected)
    assert torch.equal(first, again) and not torch.equal(first, other)


# ---- nearest to a place


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("kept", [None, [1], [2, 0]])
def test_nearest_to_a_voxels_own_coordinates_is_that_voxel(channels, kept):
    points = a_scan(kept, channels=channels)
    coords, intensity = points.take(torch.arange(len(points)))
    assert torch.equal(points.nearest(coords), intensity)


def test_nearest_without_time_is_of_the_first_frame():
    points = a_scan(dims=3)
    coords = points.frame.points(torch.arange(points.frame.size))
    expected = points.image[..., :1].expand(points.image.shape).reshape(1, -1)
    assert torch.equal(points.nearest(coords), expected)


def test_nearest_holds_up_to_half_a_voxel():
    points = a_scan()
    coords, intensity = points.take(torch.arange(len(points)))
    half = torch.tensor([*points.frame.scale, 0.3])[:, None] / 2
    for part in (0.9, -0.9):
        assert torch.equal(points.nearest(coords + part * half), intensity)
    x = coords.clone()
    x[0] += 1.1 * half[0]  # the neighbour is nearer
    inside = torch.arange(len(points)).reshape(*GRID, len(TIMES))[:-1].flatten()
    step = int(np.prod(GRID[1:])) * len(TIMES)
    assert torch.equal(points.nearest(x)[:, inside], intensity[:, inside + step])


@pytest.mark.parametrize("time, frame", [(0.95, 0), (0.85, 0), (1.0, 0), (0.75, 2), (0.5, 2), (0.4, 1), (0.1, 0)])
def test_nearest_frame_is_that_of_a_closed_cycle(time, frame):
    points = a_scan()
    coords = points.frame.points(torch.arange(points.frame.size))[:, :: len(TIMES)].clone()
    coords[3] = time
    assert torch.equal(points.nearest(coords), points.image[..., frame].reshape(1, -1))


def test_nearest_outside_the_grid_is_the_outermost_voxel():
    points = a_scan()
    far = torch.tensor([[-9.0, 9.0], [-9.0, 9.0], [-9.0, 9.0], [0.3, 0.3]])
    expected = torch.stack([points.image[:, 0, 0, 0, 1], points.image[:, -1, -1, -1, 1]], dim=1)
    assert torch.equal(points.nearest(far), expected)


@pytest.mark.parametrize("kept, seen", [([0, 2], {0: 0, 1: None, 2: 2}), ([2, 1], {0: 1, 1: 1, 2: 2}), ([0], {2: 0})])
def test_nearest_in_a_held_out_slice_is_of_the_nearest_slice_that_may_be_seen(kept, seen):
    points = a_scan(kept)
    every = points.frame.points(torch.arange(points.frame.size)).reshape(4, *GRID, len(TIMES))
    for asked, given in seen.items():
        found = points.nearest(every[:, :, :, asked].flatten(1))[0]
        if given is None:  # as near to one as to the other
            assert set(found.tolist()) <= set(points.image[:, :, :, kept].flatten().tolist())
        else:
            assert torch.equal(found, points.image[0, :, :, given].flatten())


def test_nearest_scales_8_bit_images():
    image = torch.randint(0, 256, (2, *GRID, len(TIMES)), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    points = GridPoints(a_frame(), image)
    coords = points.frame.points(torch.arange(len(points)))
    torch.testing.assert_close(points.nearest(coords), image.flatten(1) / 255)


# ---- a mask


@pytest.mark.parametrize("kept", [None, [0, 2, 5]])
def test_only_voxels_inside_the_mask_are_points(kept):
    mask = torch.zeros(LARGE, dtype=torch.bool)
    mask[3:9, 2:12, 1:] = True
    points = GridPoints(a_frame(4, LARGE, MANY_TIMES), torch.rand(1, *LARGE, 8), kept, mask=mask)
    slices = [k for k in (kept or range(6)) if k > 0]
    assert len(points) == 6 * 10 * len(slices) * 8
    everything = torch.stack(where(points, torch.arange(len(points))))
    assert len(everything.unique(dim=1)[0]) == len(points)
    x, y, z, t = everything
    assert mask[x, y, z].all() and set(z.tolist()) == set(slices) and set(t.tolist()) == set(range(8))
    spread = points.sampling_order(200)
    assert len(spread) == 200 and int(spread.max()) < len(points)
    shares = torch.bincount(where(points, spread)[2], minlength=6)[slices] / 200
    assert (shares * len(slices) - 1).abs().max() < 0.25  # even over the slices
    assert sorted(points.sampling_order(10**6).tolist()) == list(range(len(points)))


def test_an_empty_mask_is_refused():
    with pytest.raises(InputError, match="leaves no voxel"):
        GridPoints(a_frame(), torch.rand(1, *GRID, 3), mask=torch.zeros(GRID, dtype=torch.bool))
