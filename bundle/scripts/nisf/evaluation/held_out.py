"""Slices that a fit did not see: their position in a file, and baselines from the true labels of their neighbours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from monai.data import MetaTensor
from scipy.ndimage import distance_transform_edt

from nisf.evaluation import metrics
from nisf.transforms.scan import scan_of

SEEN, UNSEEN = "seen slices", "held-out slices"


@dataclass(frozen=True)
class HeldOut:
    """Held-out slices on a file's own grid.

    Attributes:
        axis: axis of the slices.
        kept: numbers of the slices that the fit saw, ascending.
        shape: shape of the grid, [X, Y, Z] in any order.
    """

    axis: int
    kept: tuple[int, ...]
    shape: tuple[int, int, int]

    @classmethod
    def of(cls, image: MetaTensor, affine: np.ndarray, shape: Sequence[int]) -> HeldOut | None:
        """The held-out slices of a fitted image whose ``Scan`` names ``kept_slices``; None if all were seen.

        Args:
            image: image in the canonical orientation, with an affine [4, 4] or [1, 4, 4].
            affine, shape: affine and shape of the file's grid, which has the same slices in its own order.
        """
        seen = scan_of(image).kept_slices
        if seen is None:
            return None
        to_fitted = np.linalg.inv(np.asarray(image.affine, dtype=float).reshape(4, 4)) @ affine
        axis = int(np.argmax(np.abs(to_fitted[2, :3])))
        places = np.rint(to_fitted[2, axis] * np.arange(shape[axis]) + to_fitted[2, 3]).astype(int)
        # along the other axes the slice stays the same
        kept = np.flatnonzero(np.isin(places, seen))
        return cls(axis, tuple(kept.tolist()), tuple(shape))

    def regions(self) -> dict[str, np.ndarray]:
        """Masks of the grid for ``metrics.score_subject``."""
        seen = np.zeros(self.shape, dtype=bool)
        np.moveaxis(seen, self.axis, -1)[..., list(self.kept)] = True
        return {SEEN: seen, UNSEEN: ~seen}

    def baselines(
        self,
        truth: np.ndarray,
        frames: Mapping[str, int] | Sequence[int],
        spacing: Sequence[float],
        class_names: Mapping,
        subject: str,
    ) -> list[dict]:
        """Score rows of baselines that fill the held-out slices from the true labels [X, Y, Z, T] of the seen ones.

        Regions ``held-out slices: nearest`` and ``held-out slices: shape-based``. A fit does not have these labels: it
        beats a baseline by intensities alone.
        """
        across = [s for axis, s in enumerate(spacing) if axis != self.axis]
        labels = np.moveaxis(truth, self.axis, 2)
        ways = {
            "nearest": lambda label: nearest_slice(label, self.kept),
            "shape-based": lambda label: shape_based(label, self.kept, across),
        }
        rows = []
        used = frames.values() if isinstance(frames, Mapping) else frames
        for name, way in ways.items():
            said = np.zeros_like(labels)
            for t in set(used):
                said[..., t] = way(labels[..., t])
            region = f"{UNSEEN}: {name}"
            one = {region: self.regions()[UNSEEN]}
            every = metrics.score_subject(
                np.moveaxis(said, 2, self.axis), truth, frames, spacing, class_names, subject, one
            )
            rows += [row for row in every if row["region"] == region]
        return rows


def nearest_slice(label: np.ndarray, kept: Sequence[int]) -> np.ndarray:
    """Each slice of [X, Y, Z] from the nearest of ``kept``; of two equally near, the basal one."""
    places = np.asarray(kept)
    nearest = [places[np.argmin(np.abs(places - z))] for z in range(label.shape[2])]
    return label[:, :, nearest]


def shape_based(label: np.ndarray, kept: Sequence[int], spacing: Sequence[float]) -> np.ndarray:
    """Each slice of [X, Y, Z] by shape-based interpolation between its neighbours in ``kept``.

    Signed distances to each class's outline in plane, background included, are interpolated linearly; a voxel gets
    the class that it is deepest in (Raya and Udupa, 1990). Beyond the outer slices the nearest is taken.

    Args:
        label: class numbers.
        kept: numbers of the slices whose labels may be used, ascending.
        spacing: mm along x and y.
    """
    classes = np.unique(label[:, :, list(kept)])
    depths = np.stack([_depths(label[:, :, list(kept)] == c, spacing[:2]) for c in classes])
    places = np.interp(np.arange(label.shape[2]), kept, np.arange(len(kept)))
    low, high = np.floor(places).astype(int), np.ceil(places).astype(int)
    share = places - low
    return classes[((1 - share) * depths[..., low] + share * depths[..., high]).argmax(axis=0)]


def _depths(inside: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """Signed distance in mm to the outline of [X, Y, Z], slice by slice, positive inside.

    A slice without an outline gets a quarter of the image width, so that a class in only one of two neighbours ends
    about half way between them.
    """
    far = 0.25 * min(n * s for n, s in zip(inside.shape, spacing))
    out = np.empty(inside.shape)
    for z in range(inside.shape[2]):
        one = inside[:, :, z]
        if one.all() or not one.any():
            out[:, :, z] = far if one.all() else -far
        else:
            out[:, :, z] = distance_transform_edt(one, spacing) - distance_transform_edt(~one, spacing)
    return out
