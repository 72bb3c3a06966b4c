"""Dictionary transforms of whole scans: orientation, pose and field."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping, Sequence

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from monai.utils import TraceKeys
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from scipy import ndimage

from nisf.geometry import orientation
from nisf.geometry.frame import CoordinateFrame
from nisf.geometry.pose import Pose, phase_frames, pose_of_classes
from nisf.transforms.invertible import GridTransform, TurnTransform
from nisf.transforms.scan import scan_of, with_scan
from nisf.utils.errors import InputError, NoHeartFound

logger = logging.getLogger(__name__)

#: Array axes of nearly all short-axis files that have lost their orientation.
USUAL_AXES = ["lateral", "inferior", "apex"]


def _axes(array_axes: Sequence[str] | str | None, target: str) -> list[str] | None:
    """The setting ``array_axes`` as a list; raises as ``CanonicalOrientationd``."""
    if not array_axes:
        return None
    if target != "short_axis":
        raise InputError(f"--orientation is for short-axis stacks, but these are prepared as {target}; leave it out")
    try:
        return orientation.stated_axes(array_axes)
    except ValueError as error:
        raise InputError(f"--orientation {error}; correct it") from error


class CanonicalOrientationd(TurnTransform):
    """Brings tensors [C, X, Y, Z, T] into one array orientation by axis swaps and flips alone.

    Args:
        keys: tensors to turn; the first is the image, whose ``Scan`` is turned with it.
        target: ``short_axis``: x to the lateral wall, y to the inferior wall, slices last from base to apex, decided
            from the affine, or from the item's ``array_axes`` if they are stated; or axis codes as ``RAS``.
        array_axes: directions of the array axes of every item that states none itself, see
            ``orientation.stated_axes``; None: by the affine.

    Raises:
        InputError: ``array_axes`` are no three directions, or are given with another target.
    """

    def __init__(
        self,
        keys: KeysCollection = ("image", "label"),
        target: str = "short_axis",
        array_axes: Sequence[str] | str | None = None,
    ) -> None:
        super().__init__(keys, allow_missing_keys=True)
        self.target, self.array_axes = target, _axes(array_axes, target)

    def permutation(self, item: Mapping[Hashable, object], affine: np.ndarray) -> tuple:
        """Axis order and flips for this item."""
        if self.target != "short_axis":
            ornt = ornt_transform(io_orientation(affine), axcodes2ornt(self.target))
            order = np.argsort(ornt[:, 0]).astype(int)
            return tuple(int(a) for a in order), tuple(bool(ornt[a, 1] < 0) for a in order)
        stated = item.get("array_axes")
        if not stated and not orientation.has_orientation(affine):
            logger.warning(
                "%s: the affine has lost the scan's orientation, assumed %s; if that is wrong, state --orientation, "
                "or array_axes in the data list",
                item[self.keys[0]].meta.get("filename_or_obj", "image"),
                USUAL_AXES,
            )
            stated = USUAL_AXES
        image = item[self.keys[0]]
        if not stated:
            return orientation.short_axis_permutation(affine, self._slice_axis(image, affine))
        try:
            return orientation.stated_permutation(stated, affine, self._slice_axis(image, affine, tell=False))
        except ValueError as error:
            name = image.meta.get("filename_or_obj", "image")
            raise InputError(f"{name}: array_axes {error}; correct the data list") from error

    @staticmethod
    def _slice_axis(image: MetaTensor, affine: np.ndarray, tell: bool = True) -> int:
        """As DICOM says, else by the grid; with a warning, if it is to ``tell``, the last axis."""
        header = scan_of(image).header
        stated = None if header is None else header.get_dim_info()[2]
        found = orientation.slice_axis_of(affine, image.shape[1:4]) if stated is None else stated
        if found is None and tell:
            logger.warning(
                "%s: neither voxel sizes nor directions tell which array axis runs across the slices, assumed the "
                "last; if that is wrong, state --orientation, or array_axes in the data list",
                image.meta.get("filename_or_obj", "image"),
            )
        return 2 if found is None else found

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        """The item with turned tensors and affines."""
        item = dict(data)
        if self.array_axes and not item.get("array_axes"):
            item["array_axes"] = self.array_axes  # later steps do not question what is stated
        return self.turn(item, *self.permutation(item, np.asarray(item[self.keys[0]].affine)))


def motion_center(
    image: torch.Tensor, spacing: tuple[float, float, float], smooth: float = 6.0, power: float = 6.0
) -> tuple[float, float]:
    """Where a cine moves most, in mm in plane from the stack's centre: an initial guess of the heart's position.

    The standard deviation over frames, smoothed in plane and averaged over slices and channels, is raised to ``power``
    and its centroid taken. Image [C, X, Y, Z, T] with two frames or more. On the 70 ACDC training patients the
    labels' centroid deviates from it by 11 x 11 mm, from the stack's centre by 14 x 20 mm (benchmarks/heart_position).
    """
    moving = image.float().std(dim=-1, correction=0).mean(dim=(0, 3)).numpy()
    moving = ndimage.gaussian_filter(moving, [smooth / spacing[0], smooth / spacing[1]])
    weight = (moving / max(moving.max(), 1e-12)) ** power
    along = [(np.arange(n) - (n - 1) / 2) * s for n, s in zip(moving.shape, spacing)]
    total = max(weight.sum(), 1e-12)
    return float(along[0] @ weight.sum(1) / total), float(along[1] @ weight.sum(0) / total)


class PoseOfd(MapTransform):
    """Finds the pose of the organ in a segmentation and puts it into the item, as a list of six numbers.

    Args:
        keys: key of the segmentation [1, X, Y, Z, T], ``label`` in training; frames without labels do not count.
        unit: mm per unit of the normalised coordinates.
        body: classes whose centre and extent give the pose; None leaves the item as it is.
        pointer: class that shows the direction; None for organs without one.
        radius, length: mm, root mean square distances of the body from its centre, in plane and along the long axis,
            at which its size is one.
        phases: class (LV) whose largest and smallest volume give the two frames, ED and ES, from which the pose is
            taken, as ED and ES are what is labelled in training; None for the mean over all frames.
        name: key of the pose.

    Raises:
        NoHeartFound: the segmentation shows no body; InputError instead for an organ without a ``pointer``.
    """

    def __init__(
        self,
        keys: KeysCollection = "label",
        unit: float = 80.0,
        body: Sequence[int] | None = (1, 2),
        pointer: int | None = 3,
        radius: float = 22.0,
        length: float = 24.0,
        phases: int | None = 1,
        name: str = "pose",
    ) -> None:
        super().__init__(keys, allow_missing_keys=True)
        self.unit, self.body, self.pointer = unit, body, pointer
        self.radius, self.length, self.phases, self.name = radius, length, phases, name

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        """The item with the pose."""
        item = dict(data)
        if self.body is None or self.keys[0] not in item:
            return item
        label = item[self.keys[0]]
        whole = CoordinateFrame.posed(np.asarray(label.affine), tuple(label.shape[1:4]), (0.0,), Pose(), 3, self.unit)
        places = tuple(whole.axis(axis) for axis in range(3))
        sizes = {"radius": self.radius / self.unit, "length": self.length / self.unit}
        classes = label.as_tensor()[0].numpy()
        if self.phases is not None:
            classes = classes[..., phase_frames(classes, self.body, self.phases)]
        pose = pose_of_classes(classes, places, self.body, self.pointer, **sizes)
        if pose is None:
            name = label.meta.get("filename_or_obj", "label")
            organ, kind = ("organ", InputError) if self.pointer is None else ("heart", NoHeartFound)
            raise kind(
                f"{name}: no {organ} found: no voxel has one of the classes {list(self.body)} that show where "
                "the organ is; is it in view?"
            )
        item[self.name] = pose.vector().tolist()
        return item


class CropToFieldd(GridTransform):
    """Sets the coordinate frame of a scan and crops the tensors to the voxels in its field.

    Args:
        keys: tensors [C, X, Y, Z, T]; the first is the image, whose ``Scan`` gets the ``frame`` and is cropped with it.
        kind: ``physical`` (mm in plane about a centre, relative along the stack), ``relative`` (the paper's), or
            ``posed`` (mm along all axes, moved into the organ's own frame by the item's ``pose``, see ``PoseOfd``).
        half_field: mm from the centre to the edge of a physical frame; mm per unit of a posed one.
        center: origin of a physical frame, ``stack`` or ``motion``.
        shift: mm added to that centre along x and y, towards the usual position of the population's hearts.
        dims: number of coordinates, 4 with time, 3 without.
    """

    def __init__(
        self,
        keys: KeysCollection = ("image", "label"),
        kind: str = "physical",
        half_field: float = 80.0,
        center: str = "stack",
        shift: tuple[float, float] = (0.0, 0.0),
        dims: int = 4,
    ) -> None:
        super().__init__(keys, allow_missing_keys=True)
        if half_field <= 0:
            raise InputError(f"half_field is {half_field} mm; give a positive number")
        if kind not in ("physical", "relative", "posed") or center not in ("stack", "motion"):
            raise InputError(
                f"frame '{kind}' about '{center}' is unknown; use physical, relative or posed, stack or motion"
            )
        self.kind, self.half_field, self.center = kind, half_field, center
        self.shift, self.dims = (float(shift[0]), float(shift[1])), dims

    def frame_of(self, image: MetaTensor, pose: Sequence[float] | None = None) -> CoordinateFrame:
        """The coordinate frame of the whole, uncropped scan."""
        affine, shape, times = np.asarray(image.affine), tuple(image.shape[1:4]), scan_of(image).times
        if self.kind == "posed" and pose is None:
            name = image.meta.get("filename_or_obj", "image")
            raise InputError(f"{name}: the organ's position is unknown; name a unet_model, or pose_body and labels")
        if self.kind == "posed":
            return CoordinateFrame.posed(affine, shape, times, Pose.of(pose), self.dims, self.half_field)
        if self.kind == "relative":
            return CoordinateFrame.relative(affine, shape, times, self.dims)
        center = self.shift
        if self.center == "motion" and image.shape[-1] > 1:
            found = motion_center(image.as_tensor(), orientation.spacing_of(affine))
            center = (found[0] + self.shift[0], found[1] + self.shift[1])
        return CoordinateFrame.physical(affine, shape, times, self.dims, self.half_field, center)

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        """The item with cropped tensors."""
        item = dict(data)
        image = item[self.keys[0]]
        whole = self.frame_of(image, item.get("pose"))
        try:
            box = whole.box()
        except ValueError as error:
            name = image.meta.get("filename_or_obj", "image")
            raise InputError(f"{name}: {error}; use a larger half_field or another field_center") from error
        frame = whole.crop(box)
        for key in self.key_iterator(item):
            before = item[key]
            slices = tuple(slice(low, high) for low, high in box)
            item[key] = self.note(
                before.as_tensor()[(slice(None), *slices)],
                before,
                shape=list(before.shape[1:4]),
                box=[list(b) for b in box],
            )
            item[key].affine = torch.from_numpy(frame.affine)
        item[self.keys[0]] = with_scan(item[self.keys[0]], scan_of(image).cropped(box, frame))
        return item

    def inverse(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        """The item back on the whole grid; zero outside the field."""
        item = dict(data)
        for key in self.noted(item):
            extra = self.pop_transform(item[key])[TraceKeys.EXTRA_INFO]
            inside = item[key].as_tensor()
            whole = inside.new_zeros((inside.shape[0], *extra["shape"], inside.shape[-1]))
            whole[(slice(None), *(slice(low, high) for low, high in extra["box"]))] = inside
            item[key] = self.restore(item[key], whole, extra)
        return item
