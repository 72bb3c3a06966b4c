"""A synthetic population of short-axis cine scans with exact labels in any plane: the embedded default data."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy.ndimage import gaussian_filter1d, zoom

from nisf.phantom.heart import NOT_HEART, Heart
from nisf.phantom.scanner import Acquisition
from nisf.utils.errors import InputError
from nisf.utils.files import check_writable, whole_file, write_text

VERSION = 1  # raised when the same seed gives other images, so that old cohorts are not reused

_OPTIONS = set(inspect.signature(Acquisition.random).parameters) - {"rng", "heart"}

SPLITS = ("training", "validation", "test")

LABELS = {"0": "background", "1": "LV", "2": "MYO", "3": "RV"}


@dataclass
class Subject:
    """One heart in one scanner."""

    heart: Heart
    acquisition: Acquisition
    noise_seed: np.random.SeedSequence = field(default_factory=lambda: np.random.SeedSequence(0))

    def render(self) -> np.ndarray:
        """The scan: float32 [X, Y, Z, T], in stored units, with partial volume, texture, bias and noise."""
        acquisition = self.acquisition
        rng = np.random.default_rng(self.noise_seed)
        world = acquisition.seen()
        image = self._anatomy(world.astype(np.float32), _texture(rng, acquisition.shape).ravel())
        image = image.reshape(acquisition.frames, *acquisition.shape)
        for axis in (1, 2):
            image = gaussian_filter1d(image, acquisition.blur, axis=axis, mode="nearest", truncate=3)
        offset = (world - self.heart.middle()) @ acquisition.bias / 200
        image *= np.exp(offset).astype(np.float32).reshape(acquisition.shape)
        real = rng.standard_normal(image.shape, dtype=np.float32) * np.float32(acquisition.noise) + image
        imaginary = rng.standard_normal(image.shape, dtype=np.float32) * np.float32(acquisition.noise)
        image = np.sqrt(real * real + imaginary * imaginary) * np.float32(acquisition.scale)
        return np.ascontiguousarray(np.moveaxis(image, 0, -1))

    def _anatomy(self, world: np.ndarray, texture: np.ndarray) -> np.ndarray:
        """Mean brightness over the slice thickness at `world` [N, 3]: float32 [T, N]."""
        acquisition, heart = self.acquisition, self.heart
        normal = acquisition.affine[:3, 2] / np.linalg.norm(acquisition.affine[:3, 2])
        steps = ((np.arange(acquisition.subsamples) + 0.5) / acquisition.subsamples - 0.5) * acquisition.thickness
        mean, std = acquisition.brightness.astype(np.float32), acquisition.texture.astype(np.float32)
        image = np.zeros((acquisition.frames, len(world)), np.float32)
        still = np.zeros(len(world), np.float32)
        middle = heart.middle().astype(np.float32)
        for step in steps:
            points = world + (normal * step).astype(np.float32)
            body = heart.body.tissue(points - middle)
            value = mean[body] + std[body] * texture
            still += value
            near = heart.reach(points)
            uvw, grain, rest = heart.to_heart(points[near]), texture[near], value[near]
            for frame, time in enumerate(acquisition.times):
                tissue = heart.moving_tissue(uvw, time)
                moving = np.flatnonzero(tissue != NOT_HEART)
                kind = tissue[moving]
                image[frame, near[moving]] += mean[kind] + std[kind] * grain[moving] - rest[moving]
        return (image + still) / np.float32(acquisition.subsamples)

    def labels(self) -> np.ndarray:
        """Exact label of what each voxel's centre shows (breath-hold shifts included): uint8 [X, Y, Z, T]."""
        world = self.acquisition.seen()
        near = self.heart.reach(world)
        out = np.zeros((len(world), self.acquisition.frames), np.uint8)
        for frame, time in enumerate(self.acquisition.times):
            out[near, frame] = self.heart.label(world[near], time)
        return out.reshape(*self.acquisition.shape, -1)

    def label_at(self, world: np.ndarray, time: float) -> np.ndarray:
        """Exact label at world points [N, 3] (RAS mm) and a fraction of the cycle: uint8 [N]; no breath-hold shifts."""
        return self.heart.label(world, time)

    def phases(self) -> dict[str, int]:
        """Frame indices of end diastole and end systole (the smallest true left ventricular cavity)."""
        return {"ED": 0, "ES": int(np.argmax([self.heart.activation(t) for t in self.acquisition.times]))}

    def true_volumes(self) -> dict[str, dict[str, float]]:
        """True volumes in mL of the whole heart, in the stack or not: {"ED": {"LV", "MYO", "RV"}, "ES": ...}."""
        times = self.acquisition.times
        return {phase: self.heart.cavity_volumes(times[frame]) for phase, frame in self.phases().items()}


def make_subject(seed: int | Sequence[int], heart: dict | None = None, **options) -> Subject:
    """Draw one subject.

    seed: any number or numbers; heart, scan and noise have separate random streams, so that options of one do not
    change the others
    heart: fields of `Heart` to fix, such as {"lv_ejection_fraction": 0.3}
    options: options of `Acquisition.random`
    Raises InputError for a field or option that does not exist.
    """
    _check_names(heart or {}, {f.name for f in fields(Heart)}, "heart")
    _check_names(options, _OPTIONS, "phantom")
    for_heart, for_scan, for_noise = np.random.SeedSequence(seed).spawn(3)
    drawn = Heart.random(np.random.default_rng(for_heart), **(heart or {}))
    return Subject(drawn, Acquisition.random(np.random.default_rng(for_scan), drawn, **options), for_noise)


def write_cohort(
    folder: str | Path,
    n_training: int = 200,
    n_validation: int = 8,
    n_test: int = 20,
    seed: int = 0,
    progress: Callable[[int, int, str], None] | None = None,
    **options,
) -> Path:
    """Write a cohort of 4D NIfTI scans and labels and its list `cohort.json`; returns the list's path.

    A subject depends only on (seed, split, index) and the options. A complete cohort made with the same arguments is
    left as it is. `options` are those of `make_subject`; `progress` is called with (done, total, subject).
    Raises InputError for a negative count or an unknown option, and where the folder has a data list of someone else's.
    """
    folder = Path(folder)
    counts = dict(zip(SPLITS, (n_training, n_validation, n_test)))
    if min(counts.values()) < 0:
        raise InputError(f"The phantom cohort's counts {counts} hold a negative number; give 0 or more.")
    made_with = json.loads(json.dumps({"version": VERSION, "seed": seed, **counts, "options": options}))
    listing = folder / "cohort.json"
    if _is_complete(listing, made_with):
        return listing
    if listing.exists() and not isinstance(_content_of(listing).get("made_with"), dict):
        raise InputError(f"{listing}: is no list of a phantom cohort and would be lost; choose another folder.")
    check_writable(folder)
    listing.unlink(missing_ok=True)  # never leave a list beside files that it does not describe
    cohort: dict = {"name": "phantom", "labels": LABELS, "made_with": made_with}
    done, total = 0, sum(counts.values())
    for number, (split, count) in enumerate(counts.items()):
        cohort[split] = []
        for index in range(count):
            subject = make_subject([seed, number, index], **options)
            cohort[split].append(_write_subject(subject, f"{split}{index:03d}", folder))
            done += 1
            if progress:
                progress(done, total, cohort[split][-1]["subject"])
    return write_text(listing, json.dumps(cohort, indent=1) + "\n")


def _write_subject(subject: Subject, name: str, folder: Path) -> dict:
    acquisition = subject.acquisition
    files = {"image": f"{name}_sa.nii.gz", "label": f"{name}_sa_gt.nii.gz"}
    image = np.clip(np.rint(subject.render()), 0, np.iinfo(np.int16).max).astype(np.int16)
    for array, file in ((image, files["image"]), (subject.labels(), files["label"])):
        nifti = nib.Nifti1Image(array, acquisition.affine)
        nifti.header.set_xyzt_units("mm", "sec")
        nifti.header.set_zooms([*nifti.header.get_zooms()[:3], acquisition.frame_duration])
        nifti.set_sform(acquisition.affine, code=1)
        nifti.set_qform(acquisition.affine, code=1)
        with whole_file(folder / file) as part:
            nib.save(nifti, part)
    return {
        "subject": name,
        **files,
        "times": None,
        "labelled_frames": None,
        "phases": subject.phases(),
        "label_map": None,
        "array_axes": None,
        "true_volumes_ml": subject.true_volumes(),
    }


def _content_of(listing: Path) -> dict:
    """The content of a data list; empty where there is none or it is damaged."""
    try:
        content = json.loads(listing.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _is_complete(listing: Path, made_with: dict) -> bool:
    cohort = _content_of(listing)
    try:
        subjects = [s for split in SPLITS for s in cohort[split]]
        files = [listing.parent / s[key] for s in subjects for key in ("image", "label")]
    except (KeyError, TypeError):
        return False
    return cohort.get("made_with") == made_with and all(file.is_file() for file in files)


def _check_names(given, known: set[str], what: str) -> None:
    unknown = sorted(set(given) - known)
    if unknown:
        raise InputError(f"Unknown {what} option {', '.join(unknown)}; known are {', '.join(sorted(known))}.")


def _texture(rng, shape) -> np.ndarray:
    """Smooth noise of unit size on the scan's grid, two octaves: float32 [X, Y, Z]."""
    out = np.zeros(shape, np.float32)
    for step, size in ((8, 0.8), (3, 0.6)):
        coarse = [max(2, n // step) if axis < 2 else n for axis, n in enumerate(shape)]
        small = rng.standard_normal(coarse, dtype=np.float32)
        big = zoom(small, [n / c for n, c in zip(shape, coarse)], order=1)
        out += np.float32(size) * big / (big.std() + np.float32(1e-6))
    return out
