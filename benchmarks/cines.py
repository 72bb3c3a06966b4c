"""Whole cycles: how smooth the LV volume is from frame to frame, and Dice where a frame is labelled.

    python benchmarks/cines.py ACDC ACDC_CINE -o output/cines --name shipped
    python benchmarks/cines.py ACDC ACDC_CINE -o output/cines --name new --set model=M.pt unet_model=U.pt

Roughness of frame t: ``|v(t) - (v(t - 1) + v(t + 1)) / 2| / (max v - min v)`` of the LV volume v, with the cycle closed.
Each call writes ``NAME.json`` and draws ``curves.png`` of all names in the folder.
"""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import yaml
from matplotlib.figure import Figure
from options import parser_of

from nisf import Segmenter
from nisf.geometry.affine import world_to_voxel
from nisf.io.datalist import load_split
from nisf.utils.files import write_text

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


def examined(segmenter: Segmenter, subject: dict, cine: Path) -> dict:
    """Volumes, roughness and Dice of one patient's cine."""
    entry = {**subject, "image": str(cine), "label": None, "times": None}
    result = segmenter(entry)
    volume = result.volumes()["LV"]
    frames = volume.size
    dice = {}
    for phase, place in subject["phases"].items():
        number = round(subject["times"][place] * frames)
        labels = result.labels[..., number]
        dice[phase] = dice_in_crop(labels, result.affine, subject["label"][place], subject["label_map"])
    rough = roughness(volume)
    return {
        "volume": volume.round(2).tolist(),
        "roughness": float(rough.mean()),
        "worst": float(rough.max()),
        "last_two": float(rough[-2:].mean()),
        "others": float(rough[:-2].mean()),
        "dice": dice,
    }


def summary(patients: dict[str, dict]) -> dict[str, float]:
    """Means over the patients."""
    found = {
        key: float(np.mean([one[key] for one in patients.values()]))
        for key in ("roughness", "worst", "last_two", "others")
    }
    for phase in ("ED", "ES"):
        scores = [np.mean(list(one["dice"][phase].values())) for one in patients.values() if one["dice"].get(phase)]
        found[f"dice_{phase}"] = float(np.mean(scores))
    return found


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
    parser = parser_of(__doc__)
    parser.add_argument("acdc")
    parser.add_argument("cines")
    parser.add_argument("-o", "--output", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--section", default="test")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="settings of inference.json")
    options = parser.parse_args()
    settings = {name: yaml.safe_load(value) for name, _, value in (one.partition("=") for one in options.set)}
    segmenter = Segmenter(**settings)
    rule = {"last_digit": {"validation": [2], "test": [0]}}
    patients = {}
    for subject in load_split("acdc", options.acdc, options.section, rule):
        cine = Path(options.cines) / f"{subject['subject']}.nii.gz"
        patients[subject["subject"]] = one = examined(segmenter, subject, cine)
        print(subject["subject"], {key: one[key] for key in ("roughness", "worst", "dice")}, flush=True)
    found = summary(patients)
    folder = Path(options.output)
    folder.mkdir(parents=True, exist_ok=True)
    content = {"settings": settings, "summary": found, "patients": patients}
    write_text(folder / f"{options.name}.json", json.dumps(content, indent=1) + "\n")
    print({key: round(value, 4) for key, value in found.items()}, draw(folder))


if __name__ == "__main__":
    main()
