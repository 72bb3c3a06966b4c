"""The living page of scans in headless Chromium: are its numbers those of PyTorch, and how many pictures a second.

    python benchmarks/living_view.py OUT/scan... [--points 10000] [--json FILE]

Writes each scan's page, evaluates random points in and about the stack at four times with WebGL2 (headless Chromium
has a software renderer) and in the worker, with WebAssembly and without, and compares them with ``FittedScan.read``. A
picture is one plane: coarse 33 x 33 points, sharp 257 x 257. Needs chromium, chromedriver and selenium; run it alone on
the machine.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import time
from pathlib import Path

import numpy as np
import psutil
from nibabel.affines import apply_affine
from selenium import webdriver

from nisf.io.results import ScanResults
from nisf.models.nisf import NISF
from nisf.report.living.write import view
from nisf.report.write import read_measures
from nisf.sampling.fitted_scan import FittedScan
from nisf.utils.files import write_text

TIMES = (0.0, 0.13, 0.517, 0.99)
COARSE, SHARP = 33, 257
#: Backends, as the end of a page's address names them: WebGL2, the worker with and without WebAssembly.
KINDS = ("gpu", "cpu", "js")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--enable-unsafe-swiftshader", "--window-size=1366,768")

START = """
const [kind, done] = arguments, { Evaluator, model, parts } = living;
living.views.forEach((view) => { view.canvas.style.display = "none"; }); // the page itself rests
Evaluator.of(model, parts, kind).then((found) => { living.tried = found; done(found.words); });"""
EVALUATE = """
const [time, voxels, done] = arguments, began = performance.now();
living.tried.evaluate(time, Float64Array.from(voxels.flat()))
  .then((values) => done([performance.now() - began, Array.from(values)]));"""
PICTURE = """
const [level, done] = arguments;
(async () => {
  const picture = living.views[0].picture(Math.random()), began = performance.now();
  while (picture.level < level) await picture.refine(living.tried, living.tried.backend.most);
  return performance.now() - began;
})().then(done);"""


def multiply_adds(network: NISF) -> int:
    """Multiplications of a point with a weight, the latent folded into the first layer."""
    hidden, rows = network.hidden_size, 1 + network.num_classes
    return 3 * 2 * hidden + (network.num_layers - 1) * 2 * hidden**2 + rows * hidden


def compared(browser: webdriver.Chrome, fitted: FittedScan, kind: str, count: int) -> dict:
    """Differences to the function, and seconds of a coarse and a sharp picture, of one way to compute them."""
    words = browser.execute_async_script(START, kind)
    voxels = np.random.default_rng(0).uniform(-1.5, np.array(fitted.frame.shape) + 0.5, (count, 3))
    away, other = [], []
    for moment in TIMES:
        _, values = browser.execute_async_script(EVALUATE, moment, voxels.tolist())
        own = np.array(values).reshape(count, -1).T
        read = fitted.read(apply_affine(fitted.frame.affine, voxels), moment).numpy()
        read = np.concatenate([read[:1], read[fitted.network.in_channels :]])
        away.append(np.abs(own - read).max(axis=1))
        other.append(float((own[1:].argmax(axis=0) != read[1:].argmax(axis=0)).mean()))
    coarse = [browser.execute_async_script(PICTURE, 0) for _ in range(5)]
    away = np.max(away, axis=0)
    return {
        "how": words,
        "intensity": float(away[0]),
        "probability": float(away[1:].max()),
        "other_class": max(other),
        "coarse_a_second": 1000 / float(np.median(coarse)),
        "sharp_a_second": 1000 / browser.execute_async_script(PICTURE, 3),
    }


def main() -> None:
    """Writes the page of each result folder, compares both engines with PyTorch, and prints what it found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scans", nargs="+", type=Path)
    parser.add_argument("--points", type=int, default=10_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    chrome = webdriver.ChromeOptions()
    chrome.binary_location = shutil.which("chromium")
    for flag in FLAGS:
        chrome.add_argument(flag)
    browser, found = webdriver.Chrome(chrome, webdriver.ChromeService(shutil.which("chromedriver"))), {}
    browser.set_script_timeout(600)
    print("| scan | page | computed by | intensity | probability | other class | coarse a second | sharp a second |")
    print("|---|---|---|---|---|---|---|---|")
    try:
        for folder in options.scans:
            results = ScanResults.of_folder(folder)
            page = view(results, read_measures(results.measures) if results.is_measured() else {})
            fitted = FittedScan.load(results.latent)
            browser.get(f"{page.absolute().as_uri()}#cpu")
            while not browser.execute_script("return !!window.living?.views"):
                time.sleep(0.1)
            count, size = multiply_adds(fitted.network), page.stat().st_size
            found[results.scan] = {"bytes": size, "multiply_adds": count, "shape": list(fitted.frame.shape)}
            for kind in KINDS:
                one = found[results.scan][kind] = compared(browser, fitted, kind, options.points)
                print(
                    f"| {results.scan} | {size / 1e6:.2f} MB | {one['how']} | {one['intensity']:.1e} | "
                    f"{one['probability']:.1e} | {one['other_class']:.2%} | {one['coarse_a_second']:.1f} | "
                    f"{one['sharp_a_second']:.3f} |",
                    flush=True,
                )
        at_one = 1e12 / (2 * count)
        print(f"\n{count:,} multiply-adds a point: at 1 TFLOP/s, as reckoned, ", end="")
        print(f"{at_one / COARSE**2:.0f} coarse, {at_one / SHARP**2:.0f} sharp pictures a second")
    finally:
        browser.quit()
    if options.json:
        about = {"machine": f"{platform.machine()}, {psutil.cpu_count()} processors", "load": psutil.getloadavg()[0]}
        write_text(options.json, json.dumps({**about, "scans": found}, indent=2))


if __name__ == "__main__":
    main()
