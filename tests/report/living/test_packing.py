"""How small the function of a page is packed; that it comes back whole is tested in a browser, ``test_values.py``."""

import zlib

import numpy as np
import pytest
from wasmtime import wat2wasm

from nisf.report.living.function import function_data
from nisf.report.living.modules import WEB
from nisf.report.living.packing import packed
from nisf.report.living.residuals import packed_residuals
from nisf.sampling.fitted_scan import FittedScan


@pytest.fixture(scope="module")
def fitted(phantom_result):
    return FittedScan.load(phantom_result / "heart_latent.pt")


def test_what_the_unet_adds_takes_less_room_than_differences_of_rows(fitted):
    values = fitted.correction.values.numpy().transpose(0, 4, 3, 2, 1)
    rows = np.diff(values.view(np.uint8), axis=3, prepend=np.uint8(0))
    streams = packed_residuals(values)["packed"]
    sizes = [len(zlib.decompress(one)) for one in streams]
    assert sum(sizes) == values.size and sizes[0] > 0.3 * values.size
    assert sum(map(len, streams)) < 0.9 * len(packed(rows))


def test_weights_take_two_bytes(fitted):
    data = function_data(fitted)
    numbers = sum(one.linear.weight.numel() for one in fitted.network.layers)
    assert len(data["steps"]) < 1.05 * 2 * numbers


def test_the_code_of_the_layers_is_built_from_its_source():
    assert (WEB / "kernel.wasm").read_bytes() == wat2wasm((WEB / "kernel.wat").read_text())
