"""The layer of the draws' differences: its numbers, and what the page reads from them."""

import json
import re
import zlib

import numpy as np
import pytest
from helpers.browsers import require_browser
from nibabel.affines import apply_affine
from scipy.ndimage import map_coordinates

from nisf.sampling.fitted_scan import FittedScan

require_browser()

pytestmark = pytest.mark.browser

READ = "const [time, points] = arguments; return points.map((point) => living.uncertainty.atPoint(time, point));"


@pytest.fixture(scope="module")
def fitted(living_scan):
    return FittedScan.load(living_scan / "heart_latent.pt", draws=2)


@pytest.fixture(scope="module")
def about(living_scan):
    """What the page holds of the draws."""
    text = (living_scan / "view.html").read_text()
    found = json.loads(re.search(r'id="data">(.*?)</script>', text, re.S)[1])["uncertainty"]
    letters = np.array([ord(one) & 127 for one in re.search(r'id="shelf">([^<]*)</script>', text)[1]], np.uint8)
    shelf = np.packbits(np.unpackbits(letters[:, None], axis=1)[:, 1:].ravel())
    start, size = found["packed"]
    return {**found, "packed": shelf[start : start + size].tobytes()}


def test_at_its_points_the_lattice_has_what_the_draws_say(laptop, living_scan, opened, fitted, about):
    opened(laptop, living_scan / "view.html")
    lattice = np.random.default_rng(0).integers(0, about["shape"], (800, 3))
    points = apply_affine(np.linalg.inv([*about["to_lattice"], [0, 0, 0, 1]]), lattice)
    time = about["times"][1]
    own = fitted.uncertainty(points, time)[-1].numpy()
    read = np.array(laptop.execute_script(READ, time, points.tolist()))
    known = read > 1e-3
    assert own.max() > 0.1 and known.mean() < 0.7  # far from all borders draws are not read
    assert np.abs(read - own)[known].max() < 0.002 and own[~known].max() < 0.02


def test_between_points_and_times_it_is_linear(laptop, living_scan, opened, about):
    opened(laptop, living_scan / "view.html")
    to_world = np.linalg.inv([*about["to_lattice"], [0, 0, 0, 1]])
    places = np.random.default_rng(0).uniform(-1, about["shape"], (200, 3))  # some are beyond it
    stored = np.frombuffer(zlib.decompress(about["packed"]), np.uint8) * (about["most"] / 255)
    stored = stored.reshape(len(about["times"]), *about["shape"][::-1]).swapaxes(1, 3)
    share = (0.9 - about["times"][-1]) / (1 - about["times"][-1])  # between the last time point and the next beat
    values = (1 - share) * stored[-1] + share * stored[0]
    wanted = map_coordinates(values, places.T, order=1, mode="nearest")
    read = laptop.execute_script(READ, 0.9, apply_affine(to_world, places).tolist())
    assert wanted.max() > 0.05 and np.allclose(read, wanted, atol=1e-6)


def test_legend_and_readout_name_the_draws(laptop, living_scan, opened):
    find = opened(laptop, living_scan / "view.html")
    legends = [one.text for one in laptop.find_elements("class name", "legend")]
    assert any("standard deviation over 2 posterior draws" in text for text in legends)
    assert "; draws differ by ±" in find("cross").text
