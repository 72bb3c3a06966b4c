"""Subjects as stacks, and their fits with and without faults, stored on disk."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
from faults import FAULTS, Stack, spoilt
from monai.bundle import ConfigParser

from nisf.geometry.orientation import spacing_of
from nisf.io.datalist import load_split
from nisf.phantom.cohort import SPLITS, make_subject

BUNDLE = Path(__file__).resolve().parent.parent / "bundle"
#: The most fitted frames of a cine.
FRAMES = 4


def stacks_of(layout: str, data: str, section: str, count: int) -> Iterator[tuple[dict, Stack]]:
    """Entries of a data list and their stacks; a ``phantom`` cohort or ``acdc``."""
    rule = {"given": True} if layout == "phantom" else {"last_digit": {"validation": [2], "test": [0]}}
    subjects = load_split("cohort" if layout == "phantom" else layout, data, section, rule=rule)[:count]
    for number, entry in enumerate(subjects):
        single = not isinstance(entry["image"], (list, tuple))
        files = [[entry[key]] if single else entry[key] for key in ("image", "label")]
        opened = [[nib.load(file) for file in of_key] for of_key in files]
        image, label = (np.concatenate([_frames(one) for one in of_key], axis=3) for of_key in opened)
        mapping = {int(k): int(v) for k, v in (entry.get("label_map") or {}).items()}
        label = np.vectorize(lambda v: mapping.get(v, v), otypes=[np.uint8])(label.astype(np.uint8))
        times = entry.get("times") or [t / image.shape[3] for t in range(image.shape[3])]
        phases = dict(entry["phases"])
        chosen = _chosen(image.shape[3], list(phases.values()))
        affine = opened[0][0].affine
        scale = np.percentile(image, 99)
        stack = Stack(image[..., chosen] / scale, label[..., chosen], affine, spacing_of(affine))
        if layout == "phantom":
            stack.elsewhere = Elsewhere(Path(data), section, number)
        wanted = {key: entry[key] for key in ("subject", "array_axes") if entry.get(key)}
        phases = {name: chosen.index(t) for name, t in phases.items()}
        yield {**wanted, "times": [times[t] for t in chosen], "phases": phases}, stack


def _frames(image: nib.Nifti1Image) -> np.ndarray:
    array = np.asarray(image.dataobj, dtype=np.float32)
    return array if array.ndim == 4 else array[..., None]


def _chosen(frames: int, needed: list[int]) -> list[int]:
    """At most ``FRAMES`` frames, about evenly spaced, including the needed ones."""
    even = {round(t * frames / FRAMES) for t in range(min(frames, FRAMES))} - set(needed)
    spare = max(0, min(frames, FRAMES) - len(set(needed)))
    # those nearest to a needed frame are dropped first
    away = sorted(even, key=lambda t: -min(abs(t - n) for n in needed))[:spare]
    return sorted({*needed, *away})


class Elsewhere:
    """Renders a phantom subject's body in stacks without any part of the ventricles.

    Args:
        folder: folder of the cohort.
        section: section of the subject.
        number: number of the subject in it.
    """

    def __init__(self, folder: Path, section: str, number: int) -> None:
        made = json.loads((folder / "cohort.json").read_text())["made_with"]
        self.seed, self.options = [made["seed"], SPLITS.index(section), number], made["options"]

    def __call__(self, draw: np.random.Generator) -> Stack:
        """A stack above the base, below the apex or beside the heart."""
        subject = make_subject(self.seed, **self.options)
        acquisition = subject.acquisition
        acquisition.frames = FRAMES
        axis = int(draw.choice([2, 2, 0, 1]))
        towards = acquisition.affine[:3, axis] / np.linalg.norm(acquisition.affine[:3, axis]) * draw.choice([-1, 1])
        for _ in range(20):
            acquisition.affine[:3, 3] += 15 * towards
            label = subject.labels()
            if not label.any():
                break
        image = subject.render()
        image = image / np.percentile(image, 99)
        return Stack(image, label, acquisition.affine, spacing_of(acquisition.affine))


class Fitter:
    """Preprocessing, fit and sampling as ``nisf segment`` does them, in one process.

    Args:
        config: override file beside ``inference.json``, ``phantom`` or ``acdc``.
    """

    def __init__(self, config: str) -> None:
        parser = ConfigParser()
        parser.read_config([str(BUNDLE / "configs" / f"{name}.json") for name in ("inference", config)])
        parser.update({"bundle_root": str(BUNDLE), "keys": ["image", "label"], "device": "$torch.device('cpu')"})
        parser.get_parsed_content("imports")
        self.network = parser.get_parsed_content("network").eval()
        self.preprocessing = parser.get_parsed_content("preprocessing")
        self.inferer = parser.get_parsed_content("inferer")
        self.pipeline = parser.get_parsed_content("pipeline")
        self.model = Path(str(parser.get_parsed_content("model")))

    def __call__(self, entry: dict, stack: Stack, folder: Path) -> dict:
        """The fitted item with its prediction and ``Scan``. Raises the errors of preprocessing and fit."""
        files = {"image": folder / "image.nii.gz", "label": folder / "label.nii.gz"}
        image = np.rint(1000 * stack.image).clip(-32000, 32000).astype(np.int16)
        for array, file in zip((image, stack.label.astype(np.uint8)), files.values()):
            nib.save(nib.Nifti1Image(np.ascontiguousarray(array), stack.affine), file)
        item = self.preprocessing({**entry, **{key: str(file) for key, file in files.items()}})
        prediction = self.inferer(item["image"].unsqueeze(0), self.network)[0]
        return {"item": item, "prediction": prediction.as_tensor(), "scan": self.inferer.fitted[0]}


def dice_of(found: dict, phases: dict[str, int]) -> float:
    """Mean Dice over classes, ED and ES; labels outside the fitted field count as missed. 0 without a heart."""
    item, classes = found["item"], found["prediction"][1:].argmax(dim=0)
    label, truth = item["label"].as_tensor()[0], item["truth"].as_tensor()[0]
    scores = []
    for frame in phases.values():
        for kind in (1, 2, 3):
            said, right = classes[..., frame] == kind, label[..., frame] == kind
            total = int(said.sum()) + int((truth[..., frame] == kind).sum())
            scores += [2 * int((said & right).sum()) / total] if total else []
    return float(np.mean(scores)) if scores else 0.0


def every_fault(layout: str, data: str, section: str, count: int, seed: int, faults: list[str]) -> Iterator[tuple]:
    """Name, fault, entry and maker of each spoilt stack, subject by subject."""
    for number, (entry, stack) in enumerate(stacks_of(layout, data, section, count)):
        for fault in faults or FAULTS:
            made = lambda stack=stack, fault=fault, number=number: spoilt(stack, fault, number, seed)  # noqa: E731
            yield entry["subject"], fault, entry, made
