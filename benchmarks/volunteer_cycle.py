"""The volunteer's 4- and 2-chamber planes through the cycle, over the images of these planes, unseen by the fit.

    python benchmarks/volunteer_cycle.py -o docs/figures/volunteer_cycle.png
    python benchmarks/volunteer_cycle.py -o docs/figures/volunteer_cycle.png --set model=MODEL.pt

The six short-axis slices in ``bundle/examples/volunteer``, 17.7 mm apart, are fitted with the shipped settings; the
planes are read on the grids and at the frame times of the long-axis images.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from matplotlib.figure import Figure
from options import parser_of, settings_of, with_settings

from nisf import Segmenter
from nisf.plots.panels import contour_panel
from nisf.plots.style import LABELS, class_handles, save_png
from nisf.sampling.resample import sample_to_files

IMAGES = Path(__file__).resolve().parent.parent / "bundle" / "examples" / "volunteer"
PLANES = {"4-chamber": "4ch.nii.gz", "2-chamber": "2ch.nii.gz"}
#: Number of times shown, and margin about the heart in pixels.
TIMES, MARGIN = 6, 12


def draw(planes: dict[str, tuple[np.ndarray, np.ndarray, Sequence[float]]], path: str) -> None:
    """A row for each plane, of images [U, V, T] with the predicted outlines; classes [U, V, T], pixel size in mm."""
    figure = Figure(figsize=(11, 4.3), layout="constrained")
    axes = figure.subplots(len(planes), TIMES)
    for row, (name, (image, classes, pixel)) in zip(axes, planes.items()):
        found = np.argwhere((classes > 0).any(axis=-1))
        low, high = np.maximum(found.min(axis=0) - MARGIN, 0), found.max(axis=0) + MARGIN
        box = (slice(low[0], high[0]), slice(low[1], high[1]))
        frames = np.linspace(0, image.shape[-1], TIMES, endpoint=False).round().astype(int)
        for ax, frame in zip(row, frames):
            title = f"{name}, {frame / image.shape[-1]:.0%}"
            contour_panel(ax, image[box][..., frame], classes[box][..., frame], pixel, title)
    handles = class_handles(LABELS)
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    save_png(figure, path)


def main() -> None:
    """Fits, reads and draws."""
    parser = with_settings(parser_of(__doc__))
    parser.add_argument("-o", "--output", required=True)
    options = parser.parse_args()
    result, planes = Segmenter(**settings_of(options))(IMAGES / "sax.nii.gz"), {}
    with tempfile.TemporaryDirectory() as folder:
        (latent,) = [file for file in result.save(folder) if file.name.endswith("_latent.pt")]
        for name, file in PLANES.items():
            image, read = nib.load(IMAGES / file), Path(folder) / file
            sample_to_files(latent, read, like=IMAGES / file)
            planes[name] = (
                np.asarray(image.dataobj)[:, :, 0],
                np.asarray(nib.load(read).dataobj)[:, :, 0],
                image.header.get_zooms()[:2],
            )
    draw(planes, options.output)


if __name__ == "__main__":
    main()
