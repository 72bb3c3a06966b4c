"""Voxels as points and back."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTransform
from monai.utils import TraceKeys

from nisf.geometry import orientation
from nisf.transforms.invertible import POINTS, GridTransform
from nisf.transforms.load import UNLABELLED
from nisf.transforms.scan import scan_of, with_scan
from nisf.utils.tensors import as_intensity


class ToStored(MapTransform):
    """Makes what the store keeps of a preprocessed subject: 8-bit tensors that can be memory-mapped, frame by frame."""

    def __init__(self, image_key: str = "image", label_key: str = "label") -> None:
        super().__init__([image_key, label_key], allow_missing_keys=True)
        self.image_key, self.label_key = image_key, label_key

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        """The stored item.

        ``image`` uint8 [C, X, Y, Z, T] (intensity * 255), ``label`` int8 [1, X, Y, Z, T] (-1 where unlabelled),
        ``subject``, ``spacing`` in mm along the axes; for each frame ``boxes``, the voxel ranges of its labels, and
        ``seen``, those that were acquired; ``frame`` and ``unet_prob`` of the image's ``Scan``. All are plain types;
        ``training.store`` rebuilds the Scan.
        """
        image = torch.as_tensor(data[self.image_key]).mul(255).round().to(torch.uint8)
        label = data.get(self.label_key)
        shape = (1, *image.shape[1:])
        label = (
            torch.full(shape, UNLABELLED, dtype=torch.int8) if label is None else torch.as_tensor(label).to(torch.int8)
        )
        # frames outermost in memory, so that reading one frame touches only its own pages
        frames_first = [t.permute(4, 0, 1, 2, 3).contiguous().permute(1, 2, 3, 4, 0) for t in (image, label)]
        kept = {key: data[key] for key in ("subject", "phases", "label_pose") if key in data}
        scan = scan_of(data[self.image_key])
        if scan.frame is not None:
            kept["frame"] = scan.frame.to_dict()
        if scan.unet_prob is not None:
            values = scan.unet_prob.values.mul(255).round().to(torch.uint8)
            kept["unet_prob"] = {"values": values, "frames": scan.unet_prob.frames}
        seen = [[list(ends) for ends in box] for box in scan.seen or [[(0, n) for n in shape[1:4]]] * shape[4]]
        boxes = [label_box(label[0, ..., t]) or whole for t, whole in enumerate(seen)]
        spacing = list(orientation.spacing_of(np.asarray(data[self.image_key].affine)))
        return {
            "image": frames_first[0],
            "label": frames_first[1],
            "boxes": boxes,
            "seen": seen,
            "spacing": spacing,
            **kept,
        }


def label_box(label: torch.Tensor) -> list[list[int]] | None:
    """Half-open voxel ranges [[low, high]] * 3 of labelled voxels in [X, Y, Z]; None if there are none."""
    inside = (label > 0).nonzero()
    if len(inside) == 0:
        return None
    return [[int(low), int(high) + 1] for low, high in zip(inside.min(dim=0).values, inside.max(dim=0).values)]


def gather_points(item: Mapping[Hashable, object], indices: torch.Tensor) -> dict[str, torch.Tensor]:
    """``coords`` [D, N], ``intensity`` [C, N] and ``label`` [1, N] of flat grid indices [N] (the time axis fastest)."""
    frame, image = scan_of(item["image"]).frame, item["image"].as_subclass(torch.Tensor)
    where = np.unravel_index(indices.numpy(), image.shape[1:])
    points = {"coords": frame.points(indices), "intensity": as_intensity(_at(image, where))}
    if "label" in item:
        points["label"] = _at(item["label"].as_subclass(torch.Tensor), where).to(torch.int64)
    return points


def _at(tensor: torch.Tensor, where: tuple[np.ndarray, ...]) -> torch.Tensor:
    """Values [C, N] of [C, X, Y, Z, T] at grid positions; by numpy, whose small look-ups are cheaper than torch's."""
    return torch.from_numpy(tensor.numpy()[(slice(None), *where)])


class RandFramed(RandomizableTransform, MapTransform):
    """Draws one time frame: tensors [C, X, Y, Z, T] become [C, X, Y, Z, 1], the ``Scan`` keeps that time.

    Args:
        keys: the tensors.
        whole_share: share of the draws that are of frames that cover the whole grid, where others do not (``crops`` of
            a data list); within both kinds, and without others, frames are drawn uniformly.
    """

    def __init__(self, keys: KeysCollection = ("image", "label"), whole_share: float = 0.4) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys=True)
        RandomizableTransform.__init__(self, 1.0)
        self.whole_share = whole_share

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        """The item at the drawn frame."""
        item = dict(data)
        scan = scan_of(item["image"])
        count = len(scan.times)
        unit = torch.tensor(self.R.rand(), dtype=torch.double)
        drawn = int(frame_at(unit, torch.tensor(count), torch.tensor(whole_frames(item)), self.whole_share))
        for key in self.key_iterator(item):
            item[key] = item[key].as_subclass(torch.Tensor)[..., drawn : drawn + 1]
        item["image"] = with_scan(item["image"], scan.at(drawn))
        for key in ("boxes", "seen"):
            if key in item:
                item[key] = [item[key][drawn]]
        return item


def whole_frames(item: Mapping[Hashable, object]) -> int:
    """Number of frames that cover the whole grid; they come first."""
    grid = [[0, n] for n in item["image"].shape[1:4]]
    return sum(box == grid for box in item.get("seen", [grid] * item["image"].shape[4]))


def frame_at(unit: torch.Tensor, count: torch.Tensor, whole: torch.Tensor, whole_share: float) -> torch.Tensor:
    """Numbers of frames from uniform numbers in [0, 1); ``whole_share`` of them are of the first ``whole``.

    Args:
        unit: uniform numbers [B], float64.
        count, whole: numbers of frames, and of those that cover the whole grid, [B].
        whole_share: see ``RandFramed``.
    """
    share = torch.where(whole == count, 1.0, whole_share).to(unit)
    first = (unit / share * whole).long()
    rest = whole + ((unit - share) / (1 - share).clamp_min(1e-12) * (count - whole)).long()
    return torch.where(unit < share, first, rest).minimum(count - 1)


class RandPointsd(RandomizableTransform):
    """Draws points of the grid: an item of ``coords`` [D, N], ``intensity`` [C, N], ``label`` [1, N] and ``index``.

    Args:
        num_points: N; None takes every voxel once, as the paper does.
        foreground: share of the points drawn from the bounding box of the label (the first frame's if there are
            several), widened by ``margin`` voxels in plane and one slice; the others come from all that was acquired.
        margin: widening in voxels.
    """

    def __init__(self, num_points: int | None = 1024, foreground: float = 0.0, margin: int = 6) -> None:
        super().__init__(1.0)
        self.num_points, self.foreground, self.margin = num_points, foreground, margin

    @property
    def near(self) -> int:
        """Number of points drawn around the label."""
        return round(self.num_points * self.foreground)

    @property
    def margins(self) -> tuple[int, int, int]:
        """Voxels by which the label's box is widened along the three axes."""
        return self.margin, self.margin, 1

    def _draw(self, number: int, ranges: list) -> np.ndarray:
        return np.stack([self.R.randint(low, high, number) for low, high in ranges])

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        """The drawn points."""
        shape = tuple(data["image"].shape[1:])
        if self.num_points is None:
            return {**gather_points(data, torch.arange(int(np.prod(shape)))), "index": data["index"]}
        near, seen = self.near, data["seen"][0]
        drawn = self._draw(self.num_points - near, [*seen, (0, shape[3])])
        if near:
            around = zip(data["boxes"][0], self.margins, seen)
            box = [(max(start, low - m), min(end, high + m)) for (low, high), m, (start, end) in around]
            drawn = np.concatenate([drawn, self._draw(near, [*box, (0, shape[3])])], axis=1)
        indices = torch.from_numpy(np.ravel_multi_index(tuple(drawn), shape))
        return {**gather_points(data, indices), "index": data["index"]}


class GridToPointsd(GridTransform):
    """Turns the voxels of the grid into a point set, and predictions at the points back into a grid.

    Adds ``coords`` [D, N], ``intensity`` [C, N] and, with a label, ``label_points`` [1, N]. With
    ``monai.transforms.Invertd``, ``intensity`` as the original key and the whole chain as the transform, a prediction
    [K, N] (as a MetaTensor, which Invertd asks for) becomes [K, X, Y, Z, T] on the scan's own grid, with its affine and
    file name.

    Args:
        keys: keys of the point sets that can be inverted; ``image`` and ``label`` are read from the item.
    """

    def __init__(self, keys: KeysCollection = (POINTS,)) -> None:
        super().__init__(keys, allow_missing_keys=True)

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        """The item with its point set."""
        item = dict(data)
        image = item["image"]
        points = gather_points(item, torch.arange(int(np.prod(image.shape[1:]))))
        item["coords"], item["intensity"] = points["coords"], self.note(
            points["intensity"], image, grid=list(image.shape[1:])
        )
        if "label" in points:
            item["label_points"] = points["label"]
        return item

    def inverse(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        """Point values [K, N] back on the grid [K, X, Y, Z, T]."""
        item = dict(data)
        for key in self.noted(item):
            extra = self.pop_transform(item[key])[TraceKeys.EXTRA_INFO]
            item[key] = self.restore(item[key], item[key].as_tensor().reshape(-1, *extra["grid"]), extra)
        return item
