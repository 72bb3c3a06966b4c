"""Volumes by slice of validation patients, read in several ways from their fits, for ``volume_ways.py``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from measured import NAMES, load
from scipy.ndimage import affine_transform
from torch.nn import functional as F

from nisf.fit.blending import cut_off
from nisf.geometry.affine import voxel_ml
from nisf.geometry.grid import Grid
from nisf.geometry.orientation import spacing_of
from nisf.io.latent_file import read_latent
from nisf.io.results import ScanResults
from nisf.models.slice_net import SliceNet, scaled
from nisf.sampling.fitted_scan import FittedScan
from nisf.utils.tensors import likeliest, plain_array

#: Probabilities below this count as none, so that a field full of hardly possible voxels does not add up.
FLOOR = 0.05

#: Weights of the U-Net, and probabilities from which a voxel counts.
WEIGHTS, LEVELS = (0.0, 0.5, 1.0, 1.25), (0.3, 0.4, 0.6, 0.7)

#: Changes of the picture under which the U-Net is read again: turn in degrees, size, exponent of the intensities.
LOOKS = ((0, 1, 1), (9, 1, 1), (-9, 1, 1), (0, 1, 0.8), (0, 1, 1.25))


@dataclass(frozen=True)
class Read:
    """Volumes in mL by slice of one scan, base first, each [phases (ED, ES), classes (LV, MYO, RV), slices].

    Attributes:
        ways: a way of counting to the volumes; ``blended`` is the function as it is shipped.
        experts, labels: slices of the experts' labels and of the label files.
        distance: slice distance, mm.
    """

    ways: Mapping[str, np.ndarray]
    experts: np.ndarray
    labels: np.ndarray
    distance: float


def read_slices(entry: Mapping, folder: Path, unet: SliceNet | None = None) -> Read:
    """The volumes of one patient; ``entry`` of the data list, ``folder`` of the fits. With a U-Net also its own ones
    of one look and of the mean of ``LOOKS``."""
    results = ScanResults.of_subject(folder, entry)
    saved = read_latent(results.latent)
    fitted, files = load(results.latent, saved.digest), [nib.load(one) for one in entry["label"]]
    swapped = np.arange(256)
    for value, inside in (entry["label_map"] or {}).items():
        swapped[int(value)] = inside
    experts = counted([swapped[np.asarray(one.dataobj).astype(int)] for one in files], voxel_ml(files[0].affine))
    own = [np.asarray(nib.load(one).dataobj).astype(int) for one in results.label_files(saved.files)]
    labels = counted(own, voxel_ml(files[0].affine))
    ways = ways_of(fitted)
    if unet is not None:
        ways |= looks_of(entry, np.stack(own), unet)
    turned = {name: base_first(one) for name, one in {**ways, "experts": experts, "labels": labels}.items()}
    return Read(turned, turned.pop("experts"), turned.pop("labels"), spacing_of(files[0].affine)[2])


def counted(labels: list[np.ndarray], voxel: float) -> np.ndarray:
    """Volumes [phases, classes, slices] of label maps."""
    return np.array([[(one == number).sum(axis=(0, 1)) * voxel for number in NAMES] for one in labels])


def base_first(volumes: np.ndarray) -> np.ndarray:
    """Volumes [phases, classes, slices] with the end at which the ventricles are wider at ED first."""
    wide = volumes[0, 0] + volumes[0, 2]
    seen = np.nonzero(wide > 0.1 * wide.max())[0]
    return volumes[..., ::-1] if np.polyfit(seen, wide[seen], 1)[0] > 0 else volumes


def ways_of(fitted: FittedScan) -> dict[str, np.ndarray]:
    """Volumes of the function on the scan's own grid, counted in different ways."""
    grid, found = Grid.of_scan(fitted.frame), []
    points, first, temperature = grid.world(), fitted.network.in_channels, float(fitted.network.temperature)
    for time in fitted.frame.times:
        own = cut_off(fitted.logits(points, time)[first:])
        added = fitted.correction.at(fitted.voxels(points), time)
        mixed = {f"weight {one}": own + added * (one / fitted.correction.weight) for one in WEIGHTS}
        mixed |= {"blended": own + added}
        mixed = {name: (logits / temperature).softmax(0) for name, logits in mixed.items()}
        mixed["sharper"] = (2 * mixed["blended"].log()).softmax(0)
        counts = {name: torch.where(one > FLOOR, one, 0.0) for name, one in mixed.items()}
        counts |= {f"above {level}": (mixed["blended"] > level).float() for level in LEVELS}
        counts["likeliest"] = F.one_hot(likeliest(mixed["blended"]), len(own)).T.float()
        found.append({name: one[1:].reshape(-1, *grid.shape).sum(dim=(1, 2)) for name, one in counts.items()})
    voxel = voxel_ml(grid.affine)
    return {name: np.stack([one[name].numpy() for one in found]) * voxel for name in found[0]}


def looks_of(entry: Mapping, labels: np.ndarray, unet: SliceNet) -> dict[str, np.ndarray]:
    """Volumes of the U-Net alone, of the picture as it is (``one look``) and of the mean of ``LOOKS``."""
    files = [nib.load(one) for one in entry["image"]]
    frames = np.stack([np.asarray(one.dataobj, dtype=np.float32) for one in files], axis=-1)
    image = plain_array(scaled(torch.from_numpy(frames)[None]))
    center, affine = np.array([one.mean() for one in np.nonzero(labels > 0)[1:3]]), files[0].affine
    seen = [np.stack([looked(unet, image[..., t], affine, center, look) for t in (0, 1)]) for look in LOOKS]
    voxel = voxel_ml(files[0].affine)
    kinds = {"one look": seen[0], "mean of looks": np.mean(seen, axis=0)}
    return {name: (one * (one > FLOOR))[:, 1:].sum(axis=(2, 3)) * voxel for name, one in kinds.items()}


def looked(unet: SliceNet, stack: np.ndarray, affine: np.ndarray, center: np.ndarray, look: tuple) -> np.ndarray:
    """Class probabilities [K, X, Y, Z] of a stack [C, X, Y, Z] that the U-Net sees turned, resized or brighter."""
    degrees, size, exponent = look
    angle = np.deg2rad(degrees)
    turn = np.eye(3)
    turn[:2, :2] = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / size
    shown = torch.from_numpy(moved(stack**exponent, turn, center))
    seen = unet.probabilities(shown, spacing_of(affine), center=tuple(center), bf16=True)
    return moved(seen.numpy(), np.linalg.inv(turn), center)


def moved(values: np.ndarray, turn: np.ndarray, center: np.ndarray) -> np.ndarray:
    """Values [C, X, Y, Z] moved in plane about a voxel; linear, and as at the edge beyond it."""
    if np.allclose(turn, np.eye(3)):
        return values
    about = np.append(center, 0)
    return np.stack([affine_transform(one, turn, about - turn @ about, order=1, mode="nearest") for one in values])
