"""Pages that would be too large: what they leave out, and by how much their numbers then differ."""

import numpy as np
import pytest

from nisf.io.latent_file import read_latent
from nisf.io.results import ScanResults
from nisf.report.living.data import living_data
from nisf.report.living.function import correction_data, values_of
from nisf.report.living.residuals import weights_of
from nisf.report.living.shelf import UNFIT, as_text, shelved, size_of
from nisf.report.living.size import kept_small, page_size
from nisf.report.living.tolerance import change, nearly, unsureness
from nisf.report.scan_folder import read_scan
from nisf.report.views import slices_view
from nisf.sampling.fitted_scan import FittedScan, network_of


@pytest.fixture(scope="module")
def scan(phantom_result):
    results = ScanResults.of_folder(phantom_result)
    saved = read_latent(results.latent)
    return read_scan(results, saved, FittedScan.of(saved, network_of(saved, None), 0))


def test_what_the_unet_adds_is_off_only_where_it_matters_little(scan):
    fitted = scan.fitted
    unsure, weights = unsureness(fitted), weights_of(values_of(fitted.correction))
    near = nearly(fitted, unsure, 1e-3, weights)
    moved = (near.values != fitted.correction.values).numpy()
    assert moved.mean() > 0.1 and unsure[moved].max() < 0.05 and not moved[unsure > 0.2].any()
    assert 1e-4 < change(fitted, near) < 1.2e-3
    sizes = [size_of(correction_data(one, weights)) for one in (fitted.correction, near)]
    assert sizes[1] < 0.95 * sizes[0]


def test_a_page_is_made_smaller_step_by_step_until_it_is_small_enough(scan):
    slices = slices_view(scan)
    whole = living_data(scan, {}, slices, None, None)
    assert whole["off"] == 0 and kept_small(whole, scan.fitted, slices) is whole
    sheets = lambda data: size_of(data["scan"]["sheets"])  # noqa: E731
    added = lambda data: size_of(data["function"]["correction"])  # noqa: E731
    coarser = kept_small(whole, scan.fitted, slices, page_size(whole) - 1)
    assert sheets(coarser) < sheets(whole) and added(coarser) == added(whole) and coarser["off"] == 0
    least = kept_small(whole, scan.fitted, slices, 0)
    assert added(least) < added(whole) and 1e-3 < least["off"] < 0.02


def test_any_bytes_become_letters_that_a_page_may_have():
    data = bytes(range(256)) * 3 + b"<\r\n\0"
    plain, text = shelved({"a": [data, 1], "b": b"xyz", "c": "d"})
    assert plain == {"a": [[0, len(data)], 1], "b": [len(data), 3], "c": "d"}
    assert text == as_text(data + b"xyz") and not set(text) & {chr(one) for one in UNFIT}
    letters = np.array([ord(one) & 127 for one in text], np.uint8)
    back = np.packbits(np.unpackbits(letters[:, None], axis=1)[:, 1:].ravel()).tobytes()
    assert back[: len(data) + 3] == data + b"xyz"
    assert len(text.encode()) <= 1.01 * size_of({"a": data + b"xyz"}) + 20
