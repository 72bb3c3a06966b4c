"""Flags: one plain sentence for each thing about a scan that a user of its segmentation should check."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

#: Limits beyond which a number is flagged, unless a calibration says otherwise.
LIMITS = {
    "least_volume": 15.0,  # mL, all classes
    "largest_volume": 1500.0,
    "upside_down": 0.1,  # nats per point of the U-Net probabilities
    "contrast": 0.02,  # of the intensities' range
    "disagreement": 0.35,
    "slice_shift": 6.0,  # mm
    "noise": 0.12,
    "prior_distance": 1.5,  # standard deviations
    "slice_error": 0.25,
    "roughness": 0.05,
    "base_cut": 0.6,  # of the largest slice's area
    "apex_cut": 0.6,
}

#: Disagreement of latent and U-Net from which a scan is not trusted, and the same for the share of empty slices.
SPLIT, HOLES = 0.5, 1 / 3

#: Factors by which limits are set beyond the worst of good scans, and for the smallest and largest volume.
BEYOND, LEAST, LARGEST = 1.5, 1 / 3, 2.0


def flags_of(numbers: Mapping[str, float], slices: Mapping[str, list], limits: Mapping[str, float]) -> list[dict]:
    """The flags of a scan, each with ``name``, ``text`` and whether it is ``severe``.

    Args:
        numbers, slices: results of ``quality.assess``; slices that the files lack may be in ``missing``, by number.
        limits: limits with the names of ``LIMITS``.
    """
    found: list[dict] = []

    def add(name: str, text: str, severe: bool = False) -> None:
        found.append({"name": name, "text": text, "severe": severe})

    if numbers["volume"] < limits["least_volume"]:
        # without a heart nothing else about it is true
        add(
            "no_heart",
            f"No heart was found, only {numbers['volume']:.0f} mL of something like one; is it in view?",
            True,
        )
        return [*found, *_of_image(numbers, limits)]
    if numbers["volume"] > limits["largest_volume"]:
        text = f"The outlines enclose {numbers['volume']:.0f} mL, more than a heart has; check the voxel size."
        add("large_volume", text)
    if numbers["upside_down"] > limits["upside_down"]:
        text = "The stack seems to be upside down, its apex where the file says the base is; check the orientation."
        add("upside_down", text, True)
    if numbers["contrast"] < limits["contrast"]:
        add("contrast", "Blood is not brighter than muscle in this image; is it a bright-blood cine?", True)
    if numbers["disagreement"] > limits["disagreement"]:
        text = f"The outlines of the whole heart and of single slices differ (Dice {1 - numbers['disagreement']:.2f})"
        add("disagreement", f"{text}; check the outlines.", numbers["disagreement"] > SPLIT)
    return [*found, *_of_slices(numbers, slices, limits), *_of_image(numbers, limits)]


def _of_slices(numbers: Mapping[str, float], slices: Mapping[str, list], limits: Mapping[str, float]) -> list[dict]:
    """Flags that name slices or an end of the stack."""
    found = []
    missing = slices.get("missing", [])
    empty = sorted({*slices["empty"], *missing})
    if empty:
        holes = len(empty) / max(len(slices["number"]) + len(missing), 1) > HOLES
        found.append({"name": "empty_slices", "text": f"{_named(empty)} no image.", "severe": holes})
    for name, what, limit in (
        ("slice_shift", "shift_mm", limits["slice_shift"]),
        ("slice_error", "error", limits["slice_error"]),
    ):
        far = [k for k, value in zip(slices["number"], slices[what]) if value > limit and k not in slices["empty"]]
        if not far:
            continue
        text = f"{_named(far, 'lie')} up to {numbers['slice_shift']:.0f} mm out of line with the others (breathing?)."
        if name == "slice_error":
            text = f"{_named(far, 'look')} unlike anything the model can draw; check for artefacts."
        found.append({"name": name, "text": text, "severe": False})
    for end in ("base", "apex"):
        if numbers[f"{end}_cut"] > limits[f"{end}_cut"]:
            text = f"The stack seems to end before the {end} of the heart; volumes may be too small."
            found.append({"name": f"{end}_cut", "text": text, "severe": False})
    return found


def _of_image(numbers: Mapping[str, float], limits: Mapping[str, float]) -> list[dict]:
    """Flags of the scan as a whole."""
    words = {
        "noise": "The image is much noisier than usual.",
        "prior_distance": "This heart is unlike those that the model has learned from; check the outlines.",
        "roughness": "The LV volume jumps from frame to frame; are the frames in order and well triggered?",
    }
    return [
        {"name": name, "text": text, "severe": False} for name, text in words.items() if numbers[name] > limits[name]
    ]


def _named(slices: Sequence[int], verb: str = "hold") -> str:
    """Slices by their number from the base, and a verb: "Slices 3 and 5 from the base hold"."""
    numbers = [str(k + 1) for k in slices]
    if len(numbers) == 1:
        return f"Slice {numbers[0]} from the base {verb}s"
    return f"Slices {', '.join(numbers[:-1])} and {numbers[-1]} from the base {verb}"


def limits_of(good: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Limits from the numbers of good scans: somewhat beyond the worst of them.

    Limits with a meaning independent of the model (mm out of line, an end cut off) stay or become milder.
    """
    found = {}
    for name in ("disagreement", "slice_shift", "noise", "prior_distance", "slice_error", "roughness"):
        known = [one[name] for one in good if not math.isnan(one[name])]
        if known:
            found[name] = BEYOND * max(known)
    found["slice_shift"] = max(found.get("slice_shift", 0.0), LIMITS["slice_shift"])
    found["roughness"] = max(found.get("roughness", 0.0), LIMITS["roughness"])
    for end in ("base_cut", "apex_cut"):  # if good stacks usually end early, that needs no check
        found[end] = max(LIMITS[end], max(one[end] for one in good))
    volumes = [one["volume"] for one in good]
    return {**LIMITS, **found, "least_volume": LEAST * min(volumes), "largest_volume": LARGEST * max(volumes)}
