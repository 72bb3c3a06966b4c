"""Further series of a subject on a part of its voxel grid, such as a cropped cine over the full labelled frames."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Transform

from nisf.geometry.affine import world_to_voxel
from nisf.transforms.load import UNLABELLED
from nisf.transforms.scan import Box, scan_of, with_scan
from nisf.utils.errors import InputError


@dataclass(frozen=True)
class Placed:
    """A series on the subject's own grid.

    Attributes:
        image: intensities [C, X, Y, Z, T]; outside ``box`` those of the subject's first frame.
        label: classes [1, X, Y, Z, T], unlabelled outside ``box``.
        times: fractions of the cardiac cycle.
        box: half-open voxel ranges that the series covers.
    """

    image: torch.Tensor
    label: torch.Tensor
    times: tuple[float, ...]
    box: Box


class AddCropsd(Transform):
    """Adds the frames of an item's ``crops`` to its image and label; the ``Scan`` knows where they were acquired.

    Such a series has the voxel size and directions of the subject's image and begins at one of its voxels. A frame at
    the time of a labelled one takes its label; the others are unlabelled.

    Args:
        load: reads ``image`` of an item with file names.
        orient: brings it into the orientation of the subject's image.

    Raises:
        InputError: a series has another voxel grid, or reaches beyond the image.
    """

    def __init__(self, load: Callable, orient: Callable) -> None:
        self.load, self.orient = load, orient

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        """The item with all frames."""
        item = dict(data)
        paths: Sequence[str] = item.pop("crops", None) or []
        if not paths:
            return item
        image, scan = item["image"], scan_of(item["image"])
        parts = [self._placed(item, path) for path in paths]
        whole: Box = tuple((0, n) for n in image.shape[1:4])
        scan = replace(
            scan,
            times=sum((part.times for part in parts), scan.times),
            seen=(whole,) * len(scan.times) + sum(((part.box,) * len(part.times) for part in parts), ()),
        )
        joined = torch.cat([image.as_tensor(), *(part.image for part in parts)], dim=-1)
        item["image"] = with_scan(MetaTensor(joined, meta=dict(image.meta)), scan)
        label = item["label"]
        joined = torch.cat([label.as_tensor(), *(part.label.to(label.dtype) for part in parts)], dim=-1)
        item["label"] = MetaTensor(joined, meta=dict(label.meta))
        return item

    def _placed(self, item: Mapping[Hashable, object], path: str) -> Placed:
        """One series on the grid of the item's image."""
        given = {"subject": item["subject"], "image": path, "array_axes": item.get("array_axes")}
        part = self.orient(self.load(given))["image"]
        image, times = item["image"].as_tensor(), scan_of(part).times
        box = _box_of(part, item["image"], path)
        inside = (slice(None), *(slice(low, high) for low, high in box))
        filled = image[..., :1].repeat(1, 1, 1, 1, len(times))
        filled[inside] = part.as_tensor().to(image)
        label = torch.full((1, *filled.shape[1:]), UNLABELLED, dtype=item["label"].dtype)
        known, true = scan_of(item["image"]).times, item["label"].as_tensor()
        for number, time in enumerate(times):
            same = [t for t, other in enumerate(known) if abs(other - time) < 1e-6 and bool((true[..., t] >= 0).all())]
            if same:
                label[(*inside, number)] = true[(*inside, same[0])]
        return Placed(filled, label, times, box)


def _box_of(part: MetaTensor, image: MetaTensor, path: str) -> Box:
    """Voxel ranges of an image that another one covers."""
    own, other = (np.asarray(one.affine, dtype=float) for one in (image, part))
    start = world_to_voxel(own, other[None, :3, 3])[0]
    same = np.allclose(own[:3, :3], other[:3, :3], atol=1e-3) and np.allclose(start, np.round(start), atol=0.02)
    box = tuple((int(round(low)), int(round(low)) + n) for low, n in zip(start, part.shape[1:4]))
    if not same or any(low < 0 or high > n for (low, high), n in zip(box, image.shape[1:4])):
        name = image.meta.get("filename_or_obj", "the image")
        raise InputError(f"{path}: is no part of the voxel grid of {name}; list it as a subject of its own")
    return box
