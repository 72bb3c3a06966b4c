"""The coordinate frame of a scan: from voxels to the normalised coordinates of the network and back."""

from __future__ import annotations

from dataclasses import astuple, dataclass, replace

import numpy as np
import torch
from nibabel.affines import apply_affine

from nisf.geometry.affine import world_to_voxel
from nisf.geometry.orientation import spacing_of
from nisf.geometry.pose import Pose


@dataclass(frozen=True)
class CoordinateFrame:
    """The normalised coordinates of one scan: ``coordinate = scale * voxel + offset`` along each axis, time unchanged.

    With a ``pose`` they are then moved into the organ's own frame.

    Attributes:
        affine: voxel index to world (RAS mm), [4, 4].
        shape: voxels along the three axes.
        times: time points of the frames, fractions of the cardiac cycle.
        scale, offset: three numbers each.
        dims: number of coordinates, 4 with time, 3 without.
        field: low and high end of the field in plane, in the organ's own frame.
        pose: pose of the organ in this scan, or None.
        shifts: in-plane shift of each slice (motion between breath-holds), normalised, before the pose; empty for
            none. Between slices they are interpolated.
    """

    affine: np.ndarray
    shape: tuple[int, int, int]
    times: tuple[float, ...]
    scale: tuple[float, float, float]
    offset: tuple[float, float, float]
    dims: int = 4
    field: tuple[float, float] = (-np.inf, np.inf)
    pose: Pose | None = None
    shifts: tuple[tuple[float, float], ...] = ()

    @classmethod
    def relative(cls, affine: np.ndarray, shape: tuple, times: tuple, dims: int = 4) -> CoordinateFrame:
        """The paper's frame: a voxel centre's relative position in the volume, (i + 0.5) / n in [0, 1]."""
        scale = tuple(1.0 / n for n in shape)
        return cls(np.asarray(affine, float), tuple(shape), tuple(times), scale, tuple(0.5 / n for n in shape), dims)

    @classmethod
    def physical(
        cls,
        affine: np.ndarray,
        shape: tuple,
        times: tuple,
        dims: int = 4,
        half_field: float = 80.0,
        center: tuple[float, float] = (0.0, 0.0),
    ) -> CoordinateFrame:
        """In plane, distance from the stack's centre in units of ``half_field`` mm; relative position along the stack.

        Args:
            half_field: distance from the centre to the edge of the field, mm; voxels outside are not used.
            center: offset of the field's centre from the stack's along x and y, mm.
        """
        spacing = spacing_of(affine)
        scale = [spacing[a] / half_field for a in range(2)]
        offset = [-(scale[a] * (shape[a] - 1) / 2) - center[a] / half_field for a in range(2)]
        scale.append(2.0 / shape[2])
        offset.append(1.0 / shape[2] - 1.0)
        affine = np.asarray(affine, float)
        return cls(affine, tuple(shape), tuple(times), tuple(scale), tuple(offset), dims, field=(-1.0, 1.0))

    @classmethod
    def posed(
        cls,
        affine: np.ndarray,
        shape: tuple,
        times: tuple,
        pose: Pose,
        dims: int = 4,
        unit: float = 80.0,
        field: float = 1.0,
    ) -> CoordinateFrame:
        """Distance from the stack's centre along all three axes in units of ``unit`` mm, then moved by ``pose``.

        Args:
            pose: pose of the organ, in these units.
            unit: length of one unit, mm.
            field: distance from the organ's centre up to which voxels are used, in its own frame.
        """
        scale = tuple(s / unit for s in spacing_of(affine))
        offset = tuple(-s * (n - 1) / 2 for s, n in zip(scale, shape))
        affine = np.asarray(affine, float)
        return cls(affine, tuple(shape), tuple(times), scale, offset, dims, (-float(field), float(field)), pose)

    def moved(self, change: Pose) -> CoordinateFrame:
        """The same scan with its pose, if any, followed by ``change``."""
        return replace(self, pose=(self.pose or Pose()).then(change))

    def box(self) -> tuple[tuple[int, int], ...]:
        """Half-open voxel ranges inside the field along the three axes; never empty."""
        ranges = []
        center, reach = (0.0, 0.0), self.field[1]
        if self.pose is not None:
            center, reach = (self.pose.x, self.pose.y), self.field[1] * np.exp(self.pose.in_plane)
        for axis in range(2):
            inside = np.flatnonzero(np.abs(self.axis(axis) - center[axis]) <= reach)
            if len(inside) == 0:
                raise ValueError("the field of the coordinate frame lies outside the scan")
            ranges.append((int(inside[0]), int(inside[-1]) + 1))
        return (*ranges, (0, self.shape[2]))

    def crop(self, box: tuple[tuple[int, int], ...]) -> CoordinateFrame:
        """The same coordinates for the voxels of ``box`` alone."""
        start = np.array([low for low, _ in box], dtype=float)
        affine = self.affine.copy()
        affine[:3, 3] = apply_affine(self.affine, start)
        offset = tuple(o + s * low for o, s, low in zip(self.offset, self.scale, start))
        shape = tuple(high - low for low, high in box)
        return replace(self, affine=affine, shape=shape, offset=offset)

    def axis(self, axis: int) -> np.ndarray:
        """Normalised coordinates of the voxel centres along one axis before any pose, [n]."""
        return self.scale[axis] * np.arange(self.shape[axis]) + self.offset[axis]

    def voxel_to_normalised(self, voxels: np.ndarray) -> np.ndarray:
        """[N, 3] (fractional) voxel indices to [N, 3] normalised coordinates."""
        coords = np.asarray(voxels) * np.array(self.scale) + np.array(self.offset)
        coords = coords + self._shift(np.asarray(voxels)[:, 2])
        return coords if self.pose is None else self.pose.apply(coords.T).T

    def normalised_to_voxel(self, coords: np.ndarray) -> np.ndarray:
        """[N, 3] normalised coordinates to [N, 3] fractional voxel indices."""
        coords = np.asarray(coords) if self.pose is None else self.pose.invert(np.asarray(coords).T).T
        slices = (coords[:, 2] - self.offset[2]) / self.scale[2]
        return (coords - self._shift(slices) - np.array(self.offset)) / np.array(self.scale)

    def shifted(self, shifts: torch.Tensor) -> CoordinateFrame:
        """The same scan with each of its slices shifted by ``shifts`` [slices, 2], in the organ's own frame.

        The frame must not be cropped along the slices afterwards.
        """
        if not bool((shifts != 0).any()):
            return self
        ends = np.concatenate([shifts.double().numpy().T, np.zeros((1, len(shifts)))])
        pose = self.pose or Pose()
        moved = pose.invert(ends) - pose.invert(np.zeros_like(ends))
        return replace(self, shifts=tuple((float(x), float(y)) for x, y in moved[:2].T))

    def _shift(self, slices: np.ndarray) -> np.ndarray:
        """Shifts [N, 3] of fractional slices [N]."""
        if not self.shifts:
            return np.zeros((1, 3))
        places = np.arange(len(self.shifts))
        x, y = (np.interp(slices, places, column) for column in np.array(self.shifts).T)
        return np.stack([x, y, np.zeros_like(x)], axis=1)

    def world_to_normalised(self, points: np.ndarray) -> np.ndarray:
        """[N, 3] world points in RAS mm to [N, 3] normalised coordinates."""
        return self.voxel_to_normalised(world_to_voxel(self.affine, points))

    def normalised_to_world(self, coords: np.ndarray) -> np.ndarray:
        """[N, 3] normalised coordinates to [N, 3] world points in RAS mm."""
        return apply_affine(self.affine, self.normalised_to_voxel(coords))

    def beyond(self, points: np.ndarray) -> np.ndarray:
        """Distance of world points [N, 3] outside the grid, mm, [N]; 0 up to the edges of the outer voxels."""
        voxels = world_to_voxel(self.affine, points)
        over = np.maximum(np.maximum(-0.5 - voxels, voxels - np.array(self.shape) + 0.5), 0)
        return np.linalg.norm(over * spacing_of(self.affine), axis=1)

    def points(self, indices: torch.Tensor) -> torch.Tensor:
        """Coordinates [dims, N] of flat indices [N] into the grid [X, Y, Z, T] (last axis fastest)."""
        where = np.unravel_index(indices.cpu().numpy(), (*self.shape, len(self.times)))
        coords = np.stack([self.scale[a] * where[a] + self.offset[a] for a in range(3)])
        if self.shifts:
            coords[:2] += np.array(self.shifts)[where[2]].T
        coords = coords if self.pose is None else self.pose.apply(coords)
        coords = np.concatenate([coords, np.asarray(self.times)[where[3]][None]])[: self.dims].astype(np.float32)
        return torch.from_numpy(coords).to(indices.device)

    @property
    def size(self) -> int:
        """Number of voxels over all frames."""
        return int(np.prod(self.shape)) * len(self.times)

    def to_dict(self) -> dict:
        """Plain numbers and lists, for a checkpoint that is loaded with ``weights_only=True``."""
        plain = {
            "shape": self.shape,
            "times": self.times,
            "scale": self.scale,
            "offset": self.offset,
            "field": self.field,
        }
        plain = {name: [float(v) if name != "shape" else int(v) for v in values] for name, values in plain.items()}
        if self.pose is not None:  # otherwise left out, as MONAI cannot collate None
            plain["pose"] = [float(v) for v in astuple(self.pose)]
        if self.shifts:
            plain["shifts"] = [list(pair) for pair in self.shifts]
        return {"affine": self.affine.tolist(), "dims": int(self.dims), **plain}

    @classmethod
    def from_dict(cls, plain: dict) -> CoordinateFrame:
        """The frame that ``to_dict`` described."""
        lists = {name: tuple(plain[name]) for name in ("shape", "times", "scale", "offset", "field")}
        pose = Pose.of(plain["pose"]) if "pose" in plain else None
        shifts = tuple((float(x), float(y)) for x, y in plain.get("shifts", ()))
        return cls(affine=np.array(plain["affine"]), dims=int(plain["dims"]), pose=pose, shifts=shifts, **lists)
