"""Labelled hearts through a ``Segmenter``: the item on the way and at the end, Dice of the fit and of the U-Net alone.

Used by ``hearts.py``, ``turns.py`` and ``hidden_frames.py``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Compose

from nisf import InputError, Segmenter
from nisf.evaluation.metrics import score_subject, summarise
from nisf.geometry.orientation import spacing_of
from nisf.io.datalist import load_split
from nisf.transforms.load import LoadCined
from nisf.transforms.scan import scan_of
from nisf.transforms.spatial import CropToFieldd
from nisf.utils.errors import unwrapped

#: What is scored: the blended result of a fit, and the largest piece of what the U-Net says.
WAYS = ("fit", "U-Net alone")


def data_set_of(subject: Mapping) -> str:
    """Data set of an entry of ``pooled_cohort.py``."""
    return "ACDC" if subject["subject"].startswith("patient") else "M&Ms"


def hearts_of(cohort: str, section: str, first: int | None = None, only: Collection[str] | None = None) -> list[dict]:
    """Entries of a section, ``only`` those of these names or all, and of each data set the ``first`` or all."""
    entries = [one for one in load_split("cohort", cohort, section) if only is None or one["subject"] in only]
    return [one for name in ("ACDC", "M&Ms") for one in [e for e in entries if data_set_of(e) == name][:first]]


def labelled_segmenter(settings: Mapping[str, object]) -> Segmenter:
    """A Segmenter whose transforms take labels along."""
    return Segmenter(keys=["image", "label"], **settings)


def segmented(segmenter: Segmenter, subject: Mapping) -> tuple[dict, dict]:
    """The item before it is cropped to the field, with ``unet_class``, and at the end, as in ``Segmenter``."""
    steps = segmenter.preprocessing.transforms
    crop = next(number for number, step in enumerate(steps) if isinstance(step, CropToFieldd))
    whole = Compose(steps[:crop])(dict(subject))
    item = Compose(steps[crop:])(dict(whole))
    with torch.no_grad():
        item["pred"] = segmenter.inferer(item["image"].unsqueeze(0), segmenter.network)
    return whole, segmenter.postprocessing(item)


def scored(segmenter: Segmenter, subject: Mapping) -> dict[str, list[dict]]:
    """Rows of ``score_subject`` at the subject's phases for each of ``WAYS``.

    Where no heart is found, or the scan is refused, nothing was segmented: its Dice is 0.
    """
    phases, rest = subject["phases"], (segmenter.class_names, subject["subject"])
    try:
        with unwrapped():
            whole, item = segmented(segmenter, subject)
    except InputError as error:
        print(f"{subject['subject']}: {error}", flush=True)
        truth = LoadCined(("image", "label"))(dict(subject))["label"]
        rows = _rows(torch.zeros_like(truth), truth, phases, *rest)
        return {way: rows for way in WAYS}
    read = scan_of(whole["image"]).unet_prob.frames
    of_unet = {phase: read.index(frame) for phase, frame in phases.items()}
    return {
        "fit": _rows(item["seg"], item["truth"], phases, *rest),
        "U-Net alone": _rows(whole["unet_class"], whole["label"][..., read], of_unet, *rest),
    }


def _rows(labels: torch.Tensor, truth: MetaTensor, phases: Mapping[str, int], names: Mapping, subject: str) -> list:
    found, true = (torch.as_tensor(one)[0].numpy().astype(int) for one in (labels, truth))
    return score_subject(found, true, phases, spacing_of(np.asarray(truth.affine)), names, subject)


def mean_dice(rows: Sequence[Mapping], phase: str = "mean") -> dict[str, float]:
    """Mean Dice over subjects of each class and over all of them (``mean``)."""
    return {row["class"]: row["dice_mean"] for row in summarise(rows) if row["phase"] == phase}
