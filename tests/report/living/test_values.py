"""The numbers of the page in Chromium, on its graphics card (a software one) and in its worker, beside PyTorch's."""

import shlex

import nibabel as nib
import numpy as np
import pytest
from helpers.browsers import require_browser, wait
from helpers.functions import beating, joined, still
from nibabel.affines import apply_affine

from nisf.cli.main import run
from nisf.report.living.function import function_data
from nisf.report.living.shelf import shelved
from nisf.sampling.fitted_scan import FittedScan

require_browser()

pytestmark = pytest.mark.browser

#: What the page says of its backends, by the end of the address that asks for them.
BACKENDS = {"gpu": "WebGL2", "cpu": "WebAssembly", "js": "JavaScript"}
#: Values of many points: the data of a function and its shelf or null for the page's own, a backend, time, voxels.
EVALUATE = """
const [data, shelf, kind, time, voxels, done] = arguments, { parts } = living;
(async () => {
  const model = data ? await living.modelOf(data, new living.Shelf(shelf)) : living.model;
  const evaluator = await living.Evaluator.of(model, parts, kind);
  const values = await evaluator.evaluate(time, Float64Array.from(voxels.flat()));
  return [evaluator.words, Array.from(values)];
})().then(done, (error) => done([String(error), []]));"""


def differences(browser, fitted, kind, time, count, data=None, shelf=None):
    """Differences of the page's values to the function's [1 + K, N], and the share of points of another class."""
    voxels = np.random.default_rng(1).uniform(-2.0, np.array(fitted.frame.shape) + 1.0, (count, 3))
    words, values = browser.execute_async_script(EVALUATE, data, shelf, kind, time, voxels.tolist())
    assert f"({BACKENDS[kind]})" in words
    values = np.array(values).reshape(count, -1).T
    read = fitted.read(apply_affine(fitted.frame.affine, voxels), time).numpy()
    read = np.concatenate([read[:1], read[fitted.network.in_channels :]])
    return np.abs(values - read), (values[1:].argmax(axis=0) != read[1:].argmax(axis=0)).mean()


@pytest.mark.parametrize("kind, count", [("gpu", 600), ("cpu", 4000), ("js", 500)])
def test_a_fitted_heart(laptop, living_scan, opened, kind, count):
    opened(laptop, living_scan / "view.html")
    fitted = FittedScan.load(living_scan / "heart_latent.pt")
    away, other = differences(laptop, fitted, kind, 0.37, count)
    assert away.max() < 1e-3 and other < 1e-3


@pytest.mark.parametrize("kind", BACKENDS)
@pytest.mark.parametrize("fitted", [beating(), joined(), still()], ids=["beating", "joined", "still"])
def test_every_part_of_a_function(laptop, living_scan, opened, fitted, kind):
    opened(laptop, living_scan / "view.html")
    for time in (0.1, 0.9, 1.45):  # in front of, behind and between the U-Net's frames
        away, _ = differences(laptop, fitted, kind, time, 100, *shelved(function_data(fitted)))
        assert away.max() < 1e-4


def test_a_turned_plane_is_what_the_copied_command_writes(laptop, living_scan, opened, tmp_path, monkeypatch):
    opened(laptop, living_scan / "view.html")
    laptop.execute_script(
        "const { state } = living, [, plane] = state.planes; state.at(0.4); state.turn(plane, plane.right, 0.5);"
        "plane.zoom(0.8, state.point); state.changed()"
    )
    wait(lambda: laptop.execute_script("return living.views[1].picture().level") >= 1)
    command, values, rows = laptop.execute_script(
        "const { state, views, about } = living, { plane, values, model } = views[1].picture();"
        "return [plane.command(about.latent, state.time), Array.from(values), model.rows]"
    )
    monkeypatch.chdir(tmp_path)
    words = [str(living_scan / word) if word.endswith("_latent.pt") else word for word in shlex.split(command)]
    run(words[1:])
    read = [nib.load(f"plane_{name}.nii.gz").get_fdata()[:, :, 0, 0] for name in ("recon", "prob")]
    read = np.concatenate([read[0][..., None], read[1]], axis=-1)
    own = np.array(values).reshape(257, 257, rows).swapaxes(0, 1)  # rows run down the page
    assert read.shape == own.shape
    assert np.abs(own - read)[::4, ::4].max() < 1e-3
    assert (read[::4, ::4, 0] == 0).any()  # some of it is beyond what is given


def test_code_that_is_refused_is_replaced_by_plain_javascript(laptop, living_scan, opened):
    opened(laptop, living_scan / "view.html")
    words = laptop.execute_async_script(
        "const [done] = arguments, { Evaluator, model, parts } = living;"
        "Evaluator.of(model, { ...parts, code: new Uint8Array(9) }, 'cpu').then((found) => done(found.words));"
    )
    assert words == "computed by the processor (JavaScript): as asked"
