"""Whole cycles: how smooth the LV volume is from frame to frame, and Dice where a frame is labelled.

    python benchmarks/cines.py ACDC ACDC_CINE -o output/cines --name shipped
    python benchmarks/cines.py ACDC ACDC_CINE -o output/cines --name new --hide_frames --set model=M.pt unet_model=U.pt

ACDC is the folder of 3D frames, ACDC_CINE that of their cropped cines.
Roughness of frame t: ``|v(t) - (v(t - 1) + v(t + 1)) / 2| / (max v - min v)`` of the LV volume v, the cycle closed.
``--hide_frames`` also fits each cine with every second frame hidden. It shows the PSNR there of the reconstruction, of
the reconstruction with what it leaves in the two neighbours, of the neighbours' mean (linear interpolation), and of the
fit that saw the frame; and Dice where a labelled frame is hidden.
Each call writes ``NAME.json`` and draws ``curves.png`` of all names in the folder. Cines
that end before the cycle does jump from the last frame to the first in the images too; the others are counted apart.
"""

import json
import time
from pathlib import Path

import nibabel as nib
import numpy as np
from about import about
from hidden_frames import psnr_of_frames, with_frames_hidden
from matplotlib.figure import Figure
from options import parser_of, settings_of, with_settings
from pooled_cohort import RULES
from segmented import segmented

from nisf import Segmenter
from nisf.geometry.affine import voxel_ml, world_to_voxel
from nisf.io.datalist import load_split
from nisf.utils.files import write_text

#: Largest step from the last frame back to the first, in units of the largest between neighbours, of a closed cine.
CLOSED = 1.25

LV, CLASSES = 1, {"LV": 1, "MYO": 2, "RV": 3}


def roughness(volume: np.ndarray) -> np.ndarray:
    """Roughness of each frame, [T]."""
    middle = (np.roll(volume, 1) + np.roll(volume, -1)) / 2
    return np.abs(volume - middle) / max(float(np.ptp(volume)), 1e-9)


def dice_in_crop(labels: np.ndarray, affine: np.ndarray, path: str, label_map: dict) -> dict[str, float]:
    """Dice of each class between one frame of a crop [X, Y, Z] and a label file of the full frame."""
    image = nib.load(path)
    full = np.vectorize({int(k): v for k, v in label_map.items()}.get)(np.asarray(image.dataobj).astype(int))
    start = np.round(world_to_voxel(image.affine, affine[None, :3, 3])[0]).astype(int)
    true = full[tuple(slice(low, low + n) for low, n in zip(start, labels.shape))]
    found = {}
    for name, value in CLASSES.items():
        one, other = labels == value, true == value
        if other.any():
            found[name] = float(2 * (one & other).sum() / (one.sum() + other.sum()))
    return found


def labelled_frames(subject: dict, frames: int) -> dict[str, int]:
    """Frame of a cine of ``frames`` frames at each labelled phase."""
    return {phase: round(subject["times"][place] * frames) for phase, place in subject["phases"].items()}


def is_closed(image: np.ndarray) -> bool:
    """Whether a cine [X, Y, Z, T] shows the whole cycle: its last and first frame differ as two neighbours may."""
    steps = np.abs(np.roll(image, -1, axis=-1) - image).mean(axis=(0, 1, 2))
    return bool(steps[-1] <= CLOSED * steps[:-1].max())


def dice_of(labels: np.ndarray, subject: dict, cine: Path, numbers: dict[str, int]) -> dict[str, dict[str, float]]:
    """Dice of each class at phases with their frame ``numbers``, of the labels [X, Y, Z, T] of the cine."""
    affine, files = nib.load(cine).affine, {phase: subject["label"][at] for phase, at in subject["phases"].items()}
    return {
        phase: dice_in_crop(labels[..., number], affine, files[phase], subject["label_map"])
        for phase, number in numbers.items()
    }


def examined(segmenter: Segmenter, subject: dict, cine: Path) -> dict:
    """Volumes, roughness, Dice and PSNR of one patient's cine."""
    _, item = segmented(segmenter, entry_of(subject, cine))
    labels = np.asarray(item["seg"])[0]
    volume = (labels == LV).sum(axis=(0, 1, 2)) * voxel_ml(nib.load(cine).affine)
    rough = roughness(volume)
    return {
        "closed": is_closed(np.asarray(nib.load(cine).dataobj).astype(float)),
        "volume": volume.round(2).tolist(),
        "roughness": float(rough.mean()),
        "worst": float(rough.max()),
        "last_two": float(rough[-2:].mean()),
        "others": float(rough[:-2].mean()),
        "dice": dice_of(labels, subject, cine, labelled_frames(subject, volume.size)),
        "psnr": psnr_of_frames(item),
    }


def entry_of(subject: dict, cine: Path) -> dict:
    """The cine as an entry of a data list, without labels; its frames are spread evenly."""
    return {**subject, "image": str(cine), "label": None, "times": None}


def summary(patients: dict[str, dict]) -> dict[str, float]:
    """Means over the patients."""
    found = {
        key: float(np.mean([one[key] for one in patients.values()]))
        for key in ("roughness", "worst", "last_two", "others")
    }
    for key in ("dice", "dice_hidden"):
        for phase in ("ED", "ES"):
            scores = [np.mean([*one[key][phase].values()]) for one in patients.values() if one.get(key, {}).get(phase)]
            if scores:
                found[f"{key}_{phase}"] = float(np.mean(scores))
    hidden = [one["hidden"] for one in patients.values() if "hidden" in one]
    for key in ("psnr_hidden", "psnr_residual", "psnr_linear", "psnr_seen") if hidden else ():
        found[key] = float(np.mean([np.mean([row[key] for row in rows]) for rows in hidden]))
    return found


def with_hidden(one: dict, settings: dict, subject: dict, cine: Path) -> dict:
    """What ``examined`` found, with ``hidden`` (PSNR of each frame) and ``dice_hidden`` (as ``dice``)."""
    rows, labels = with_frames_hidden(settings, entry_of(subject, cine), len(one["volume"]))
    rows = [{**row, "psnr_seen": one["psnr"][row["frame"]]} for row in rows]
    known, was_hidden = labelled_frames(subject, len(one["volume"])), {row["frame"] for row in rows}
    numbers = {phase: number for phase, number in known.items() if number in was_hidden}
    return {**one, "hidden": rows, "dice_hidden": dice_of(labels, subject, cine, numbers)}


def draw(folder: Path) -> Path:
    """The curves of all runs in the folder, a panel for each patient."""
    runs = {path.stem: json.loads(path.read_text())["patients"] for path in sorted(folder.glob("*.json"))}
    names = sorted(set().union(*runs.values()))
    figure = Figure(figsize=(16, 3 * -(-len(names) // 5)), layout="constrained")
    for axes, name in zip(figure.subplots(-(-len(names) // 5), 5, squeeze=False).ravel(), names):
        for run, patients in runs.items():
            volume = patients[name]["volume"]
            axes.plot(np.arange(len(volume) + 1) / len(volume), [*volume, volume[0]], marker=".", label=run)
        axes.set(title=name, xlabel="fraction of the cycle", ylabel="LV in the crop, mL")
    figure.axes[0].legend()
    path = folder / "curves.png"
    figure.savefig(path, dpi=100)
    return path


def main() -> None:
    """Segments the cines, prints the means and draws the curves."""
    parser = with_settings(parser_of(__doc__))
    parser.add_argument("acdc")
    parser.add_argument("cines")
    parser.add_argument("-o", "--output", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--section", default="test")
    parser.add_argument("--subjects", type=int, metavar="N", help="only the first N")
    parser.add_argument("--hide_frames", action="store_true", help="also fit with every second frame hidden")
    options = parser.parse_args()
    settings, started = settings_of(options), time.time()
    segmenter, patients = Segmenter(**settings), {}
    for subject in load_split("acdc", options.acdc, options.section, RULES["acdc"])[: options.subjects]:
        cine = Path(options.cines) / f"{subject['subject']}.nii.gz"
        one = examined(segmenter, subject, cine)
        one = with_hidden(one, settings, subject, cine) if options.hide_frames else one
        patients[subject["subject"]] = one
        print(subject["subject"], {key: round(one[key], 4) for key in ("roughness", "worst", "last_two")}, flush=True)
    found = summary(patients)
    path = Path(options.output) / f"{options.name}.json"
    content = {"summary": found, "patients": patients, **about(options, segmenter)}
    write_text(path, json.dumps(content, indent=1) + "\n")
    closed = {name: one for name, one in patients.items() if one["closed"]}
    print(f"\n| cines | {' | '.join(found)} |\n|{'---|' * (1 + len(found))}")
    for words, values in (("all", found), (f"the {len(closed)} that close", summary(closed))):
        print(f"| {words} | {' | '.join(f'{one:.4f}' for one in values.values())} |")
    print("do not close:", *(name for name in patients if name not in closed))
    print(f"{len(patients)} cines, {time.time() - started:.0f} s; {draw(path.parent)}")


if __name__ == "__main__":
    main()
