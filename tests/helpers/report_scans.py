"""Result folders for the tests of reports: a small phantom, really segmented, and measures from its label files."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np

from nisf.io.latent_file import read_latent
from nisf.io.results import ScanResults
from nisf.phantom.cohort import make_subject
from nisf.report.scan_folder import ScanFolder, read_scan
from nisf.sampling.fitted_scan import FittedScan, network_of
from nisf.utils.bundle import run_bundle

#: Text that a header may hold by malice, or because of mathematics.
HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">&amp;'\"$x"
SEGMENTS = [
    f"{level} {wall}"
    for level, walls in (
        ("basal", ("anterior", "anteroseptal", "inferoseptal", "inferior", "inferolateral", "anterolateral")),
        ("mid", ("anterior", "anteroseptal", "inferoseptal", "inferior", "inferolateral", "anterolateral")),
        ("apical", ("anterior", "septal", "inferior", "lateral")),
    )
    for wall in walls
]


def segmented(folder: Path, name: str = "heart", seed: int = 5, **options) -> Path:
    """Scan folder of a small phantom, segmented with the phantom's weights."""
    subject = make_subject(seed, **{"matrix": 40, "slices": 5, "frames": 4, "voxel_mm": 3.0, **options})
    image = nib.Nifti1Image(subject.render().astype(np.float32), subject.acquisition.affine)
    image.header.set_xyzt_units("mm", "sec")
    image.header.set_zooms([*image.header.get_zooms()[:3], 0.2])
    path = folder / f"{name}.nii.gz"
    nib.save(image, path)
    configs = ["inference.json", "phantom.json"]
    settings = {"layout": "images", "split_rule": {}, "section": "all", "final_points": 2048}
    run_bundle("inference", configs, dataset_dir=[str(path)], output_dir=str(folder / "out"), **settings)
    return folder / "out" / name


def read_again(folder: Path) -> ScanFolder:
    """A scan's folder as a report reads it."""
    results = ScanResults.of_folder(folder)
    saved = read_latent(results.latent)
    return read_scan(results, saved, FittedScan.of(saved, network_of(saved)))


def measured(folder: Path, **changes) -> dict:
    """Writes measures.json of a scan folder with volumes by the slices of its label files."""
    files = sorted(folder.glob("*_seg.nii.gz"))
    volumes = [nib.load(file) for file in files]
    labels = np.concatenate([np.asarray(one.dataobj).reshape(*one.shape[:3], -1) for one in volumes], axis=3)
    ml = abs(np.linalg.det(volumes[0].affine[:3, :3])) / 1000
    by_slices = {
        name: ((labels == i).sum(axis=(0, 1, 2)) * ml).tolist() for i, name in ((1, "LV"), (2, "MYO"), (3, "RV"))
    }
    frames = labels.shape[3]
    time = np.linspace(0, 1, 41)
    curves = {"time": time.tolist(), "seconds": (0.8 * time).tolist()}
    for name, values in by_slices.items():
        fine = np.interp(time, np.arange(frames + 1) / frames, [*values, values[0]])
        curves[name] = {"value": fine.tolist(), "low": (0.95 * fine).tolist(), "high": (1.05 * fine).tolist()}
        curves[name]["by_slices"] = values
    ed, es = int(np.argmax(by_slices["LV"])), int(np.argmin(by_slices["LV"]))
    content = {
        "subject": folder.name,
        "scan": folder.name,
        "phases": {"ED": ed, "ES": es},
        "heart_rate": 75.0,
        "body_surface_area": 1.9,
        "sex": None,
        "measures": _measures(by_slices, ed, es),
        "curves": curves,
        "wall_thickness": {"unit": "mm", "segments": [_segment(i, name) for i, name in enumerate(SEGMENTS)]},
        "quality": {"predicted_dice": None, "trusted": None, "flags": [], "numbers": {}},
        "versions": {"nisf": "0.1.0"},
        "settings": {"model": "phantom.pt"},
        **changes,
    }
    (folder / "measures.json").write_text(json.dumps(content))
    return content


def _segment(i: int, name: str) -> dict:
    return {"segment": i + 1, "name": name, "value": 6.0 + i / 4, "low": 5.0 + i / 4, "high": 7.0 + i / 4}


def _measures(volumes: dict, ed: int, es: int) -> list[dict]:
    found = []
    for side in ("LV", "RV"):
        edv, esv = volumes[side][ed], volumes[side][es]
        found += [
            _measure(f"{side}EDV", f"{side} end-diastolic volume", "mL", edv),
            _measure(f"{side}ESV", f"{side} end-systolic volume", "mL", esv),
            _measure(f"{side}SV", f"{side} stroke volume", "mL", edv - esv),
            _measure(f"{side}EF", f"{side} ejection fraction", "%", 100 * (edv - esv) / max(edv, 1e-6)),
        ]
    found.append(_measure("LVM", "LV mass", "g", 1.05 * volumes["MYO"][ed]))
    return found


def _measure(name: str, title: str, unit: str, value: float) -> dict:
    indexed = None if unit == "%" else value / 1.9
    return {
        "name": name,
        "title": title,
        "unit": unit,
        "value": value,
        "low": 0.95 * value,
        "high": 1.05 * value,
        "by_slices": value,
        "indexed": indexed,
        "indexed_unit": f"{unit}/m2",
    }
