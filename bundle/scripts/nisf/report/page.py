"""The page of one scan: measures, pictures and surfaces in the template; text from files is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path

import numpy as np
from markupsafe import Markup

from nisf.geometry.grid import mean_step
from nisf.measures import reference_ranges
from nisf.measures.volume_curve import cycle_seconds
from nisf.plots.style import class_colour
from nisf.report.charts import MOTION, THICKENING, bulls_eye
from nisf.report.curves import curves_svg, has_band, names_of
from nisf.report.scan_folder import ScanFolder
from nisf.report.views import View

TEMPLATES = Path(__file__).resolve().parent / "templates"

#: Measures shown large, in this order, where known.
KEY = ("LVEF", "LVEDV", "LVESV", "LVSV", "LVM", "RVEF", "RVEDV", "RVESV")

#: Meaning of the quality numbers of a fit.
NUMBERS = {
    "reconstruction_error": "root mean square difference of reconstruction and image, intensities 0 to 1",
    "prior_distance": "distance of the latent from the population's mean, in standard deviations",
    "pose_distance": "distance of position, direction and size from their expected values, in standard deviations",
    "uncertainty": "mean over the segmented voxels of one minus the probability of their class",
    "disagreement": "one minus the mean Dice between the fitted function's classes and those of the U-Net",
}


@lru_cache
def _environment():
    # jinja2 escapes what it puts into a page, and <, >, &, ' in JSON
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    found = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)
    found.filters["number"] = number
    found.trim_blocks = found.lstrip_blocks = True
    return found


def render(template: str, **values: object) -> str:
    """A template of the bundle as text, with style and scripts; values are escaped."""
    plain = {
        path.name.replace(".", "_"): Markup(path.read_text(encoding="utf-8")) for path in TEMPLATES.glob("*.[cj]s*")
    }
    made = datetime.now().strftime("%Y-%m-%d %H:%M")
    return _environment().get_template(template).render(**plain, made=made, **values)


def scan_page(
    scan: ScanFolder, measures: Mapping, slices: View, planes: Sequence[View], surface: Mapping | None, back: str | None
) -> str:
    """The page of a scan as HTML.

    Args:
        scan: scan as read from its folder.
        measures: content of measures.json.
        slices, planes: moving pictures.
        surface: surfaces from ``surface_data``.
        back: relative address of the cohort's page.
    """
    phases = {word: scan.times[i] for word, i in (measures.get("phases") or {}).items() if i is not None}
    curves = measures.get("curves") or {}
    wall = measures.get("wall_thickness") or {}
    data = {
        "views": [slices.plain(), *(plane.plain() for plane in planes)],
        "levels": [None, *(level_of(scan, plane) for plane in planes)],
        "numbers": slices.numbers,
        "surface": surface,
        "seconds": cycle_seconds(scan.fitted.duration),
        "phases": phases,
        "colours": {number: class_colour(number) for number in scan.class_names},
    }
    return render(
        "report.html",
        title=str(measures.get("subject") or scan.saved.subject or scan.name),
        scan=scan.name,
        back=back,
        facts=facts(scan, measures),
        quality=quality_words(scan, measures),
        key=key_measures(measures),
        rows=rows(measures),
        notes=notes(measures),
        sex=measures.get("sex") if measures.get("sex") in reference_ranges.SEXES else None,
        reference=reference_ranges,
        missing=scan.missing,
        corrected=corrected_labels(measures),
        classes=[(name, class_colour(number_)) for number_, name in scan.class_names.items()],
        slices=slices,
        planes=planes,
        moving=len(scan.times) > 1,
        curves=Markup(curves_svg(curves, phases, scan.times)) if has_curves(curves) else None,
        banded=any(isinstance(one, Mapping) and has_band(one) for one in curves.values()),
        wall=Markup(bulls_eye(wall["segments"], wall.get("unit", "mm"))) if wall.get("segments") else None,
        moved=wall_motion(measures),
        surface=surface,
        versions=measures.get("versions") or scan.saved.versions,
        settings=without_folders(measures.get("settings") or scan.saved.settings),
        data=data,
    )


def wall_motion(measures: Mapping) -> list[tuple[str, Markup]]:
    """Title and bull's eye of the wall's thickening and of its motion; empty where end systole is not known."""
    found = measures.get("wall_motion") or {}
    kinds = (
        ("thickening", "Wall thickening from end diastole to end systole, %", THICKENING),
        ("motion", "Inward motion of the endocardium, mm", MOTION),
    )
    return [
        (title, Markup(bulls_eye(found["segments"], found["units"][key], key, limits, title)))
        for key, title, limits in kinds
        if found.get("segments")
    ]


def without_folders(settings: Mapping | None) -> dict:
    """Settings with file names in place of paths."""
    return {
        name: Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value
        for name, value in (settings or {}).items()
    }


def corrected_labels(measures: Mapping) -> list[str]:
    """Names of the label files that were corrected by hand."""
    return list((measures.get("labels") or {}).get("corrected") or [])


def has_curves(curves: Mapping) -> bool:
    """Whether there is a curve of two time points or more."""
    return bool(names_of(curves)) and len(curves.get("time") or []) > 1


def number(value: float | None, like: float | None = None) -> str:
    """A measure as text: two decimals below 2, one below 20, else none; a dash where unknown.

    Args:
        value: value of the measure.
        like: number that sets the decimals; the value itself unless given.
    """
    if value is None or value != value:
        return "–"
    size = abs(value if like is None else like)
    return f"{value:.{2 if size < 2 else 1 if size < 20 else 0}f}"


def facts(scan: ScanFolder, measures: Mapping) -> list[str]:
    """Short facts about scan and subject."""
    x, y, z, t = scan.labels.shape
    found = [
        f"{z} slices",
        f"{t} frames" if t > 1 else "one frame",
        "{:.2f} × {:.2f} × {:.1f} mm".format(*scan.spacing),
    ]
    if seconds := cycle_seconds(scan.fitted.duration):
        found.append(f"{1000 * seconds * t * mean_step(scan.times):.0f} ms recorded")
    if measures.get("heart_rate"):
        found.append(f"heart rate {measures['heart_rate']:.0f}/min")
    if measures.get("body_surface_area"):
        found.append(f"body surface {measures['body_surface_area']:.2f} m²")
    if measures.get("sex"):
        found.append({"F": "female", "M": "male"}.get(measures["sex"], str(measures["sex"])))
    return found


def quality_words(scan: ScanFolder, measures: Mapping) -> dict:
    """The verdict on the result: a word for the style, a headline, flags, and numbers with their meaning."""
    quality = measures.get("quality") or {}
    trusted, dice = quality.get("trusted"), quality.get("predicted_dice")
    kind = "unknown" if trusted is None else "good" if trusted else "bad"
    words = {
        "unknown": "Quality: not assessed",
        "good": "Quality: trusted",
        "bad": "Quality: not to be trusted",
    }
    flags = sorted(quality.get("flags") or [], key=lambda flag: not flag.get("severe"))
    numbers = quality.get("numbers") or scan.saved.quality
    shown = [(name, value, NUMBERS.get(name, "")) for name, value in numbers.items() if isinstance(value, (int, float))]
    why = f"No Dice is expected, for {quality['uncalibrated']}." if quality.get("uncalibrated") else ""
    return {"kind": kind, "headline": words[kind], "dice": dice, "why": why, "flags": flags, "numbers": shown}


def rows_of(measures: Mapping) -> list[dict]:
    """The measures with every field, None or empty where unknown."""
    blank = {
        "unit": "",
        "indexed_unit": "",
        **dict.fromkeys(("value", "low", "high", "by_slices", "indexed", "interval", "of")),
        **dict.fromkeys(("convention", "whole_heart", "whole_heart_low", "whole_heart_high")),
    }
    return [{**blank, "title": one["name"], **one} for one in measures.get("measures") or []]


def key_measures(measures: Mapping) -> list[dict]:
    """The measures shown large."""
    known = {one["name"]: one for one in rows_of(measures) if one["value"] is not None}
    return [known[name] for name in KEY if name in known] or list(known.values())[:6]


def rows(measures: Mapping) -> list[dict]:
    """The table of measures: each with its reference ranges and whether it is outside them."""
    sex, found = measures.get("sex"), []
    for one in rows_of(measures):
        value, indexed = one["value"], one["indexed"]
        marks = [
            "" if v is None else reference_ranges.outside(v, one["name"], sex, of_index)
            for v, of_index in ((value, False), (indexed, True))
        ]
        refs = [reference_ranges.references(one["name"], sex, of_index) for of_index in (False, True)]
        unit = str(one["indexed_unit"] or "").replace("m2", "m²")
        found.append(
            {
                **one,
                "indexed_unit": unit,
                "outside": marks[0],
                "indexed_outside": marks[1],
                "refs": refs[0],
                "indexed_refs": refs[1],
            }
        )
    return found


def notes(measures: Mapping) -> list[str]:
    """What is missing or weak among the measures, and why; a sentence each."""
    found = rows_of(measures)
    names = {one["name"] for one in found}
    said = []
    if measures.get("uncalibrated"):
        said.append(
            "The intervals are those of the fit alone, not calibrated and so too narrow: "
            f"against the calibration {measures['uncalibrated']}."
        )
    if measures.get("unlike"):
        said.append(str(measures["unlike"]))
    said += [str(one["reason"]) for one in measures.get("refused") or []]
    if "LVSV" in names and "CO" not in names:
        said.append(
            "No cardiac output: the scan's files give no heart rate. Give it to nisf report, "
            "by --heart_rate or --people."
        )
    return said


def level_of(scan: ScanFolder, plane: View) -> list[float] | None:
    """a, b, c such that a x + b y + c is the slice number at pixel x, y of a plane."""
    if plane.affine is None:
        return None
    to_voxel = (np.linalg.inv(scan.fitted.frame.affine) @ plane.affine)[2]
    return [float(to_voxel[0]), float(to_voxel[1]), float(to_voxel[3])]
