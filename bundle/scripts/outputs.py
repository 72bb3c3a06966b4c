"""Transforms after the fit: from a prediction to label, probability, reconstruction and latent files."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import partial
from pathlib import Path

import monai
import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import Transform

from scripts import __version__
from scripts.cine import save_nifti, stem_of
from scripts.errors import InputError
from scripts.evidence import likeliest
from scripts.files import whole_file
from scripts.geometry import CoordinateFrame
from scripts.networks import NISF
from scripts.pose import Pose
from scripts.weights import digest_of


class SplitPredictiond(Transform):
    """Takes an inferer's prediction apart.

    Reads ``pred`` [1, C + K, X, Y, Z, T], or without the batch's axis, as label servers hand it on; adds ``recon``
    [C, ...], ``prob`` [K, ...], ``seg`` [1, ...] uint8, all on the grid that was fitted, ``seg_fitted``, a copy of
    ``seg`` that stays on that grid, as does ``pred_fitted`` [C + K, ...], and ``fit``, the ``LatentFit``. Where
    ``pred`` has more channels they are ``uncertainty`` (see ``sample_uncertainty``).

    Args:
        in_channels: C.
        num_classes: K.
    """

    def __init__(self, in_channels: int = 1, num_classes: int = 4) -> None:
        self.in_channels, self.num_classes = in_channels, num_classes

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        """The item with the parts."""
        item = dict(data)
        prediction = item["pred"][0] if item["pred"].ndim == 6 else item["pred"]
        last = self.in_channels + self.num_classes
        classes = prediction[self.in_channels : last]
        if len(prediction) > last:
            item["uncertainty"] = prediction[last:]
        item["recon"], item["prob"] = prediction[: self.in_channels], classes
        item["seg"] = likeliest(classes).unsqueeze(0).to(torch.uint8)
        item["seg_fitted"], item["pred_fitted"] = np.asarray(item["seg"]), prediction
        item["fit"] = item["pred"].meta["fit"][0]
        return item


class BackgroundElsewhered(Transform):
    """Gives voxels outside the fitted field, zero in every class after ``Invertd``, to the background.

    Args:
        keys: of maps [K or more, X, Y, Z, T] that begin with class probabilities, background first.
        num_classes: K.
    """

    def __init__(self, keys: KeysCollection = ("prob", "uncertainty"), num_classes: int = 4) -> None:
        self.keys, self.num_classes = (keys,) if isinstance(keys, str) else tuple(keys), num_classes

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        """The item, changed in place where nothing was predicted."""
        item = dict(data)
        for probability in (item[key] for key in self.keys if key in item):
            probability[0][probability[: self.num_classes].sum(dim=0) == 0] = 1
        return item


class OnlyClassesd(Transform):
    """Keeps some classes of the label map; the others become background. The labels keep their numbers.

    Args:
        only: names or numbers of the classes to keep; None or nothing keeps all.
        class_names: inside class number (text) to name.
        key: of the label map.

    Raises:
        InputError: a class is unknown.
    """

    def __init__(
        self, only: Sequence[str | int] | str | None, class_names: Mapping[str, str], key: str = "seg"
    ) -> None:
        self.key = key
        numbers = {name.lower(): int(number) for number, name in class_names.items()}
        numbers.update({str(number): int(number) for number in class_names})
        wanted = [str(one) for one in ([only] if isinstance(only, (str, int)) else only or [])]
        unknown = [one for one in wanted if one.lower() not in numbers]
        if unknown:
            raise InputError(f"the class '{unknown[0]}' of only is unknown; use {', '.join(class_names.values())}")
        self.kept = [numbers[one.lower()] for one in wanted]

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        """The item, its label map changed where a class is not wanted."""
        item = dict(data)
        if self.kept:
            label = item[self.key]
            unwanted = torch.isin(torch.as_tensor(label), torch.tensor(self.kept, dtype=label.dtype), invert=True)
            label[unwanted] = 0
        return item


class LabelAsPredictiond(Transform):
    """Puts the label map where label servers (MONAI Label) look for the answer.

    ``pred`` becomes ``seg`` without its channel, [X, Y, Z] where the scan has one frame, else [X, Y, Z, T], with the
    affine of the scan's file.
    """

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        """The item with another ``pred``."""
        label = data["seg"][0]
        return {**data, "pred": label[..., 0] if label.shape[-1] == 1 else label}


def folder_of(meta: Mapping[str, object]) -> str:
    """Name of a scan's result folder: its file's stem.

    Or the subject, where the scan came as one file a frame, or where the stem does not begin with the subject: UK
    Biobank calls every file ``sa.nii.gz``, and one scan's results must not replace another's.
    """
    stem, subject = stem_of(meta["files"][0]), str(meta["subject"])
    return stem if len(meta["files"]) == 1 and stem.startswith(subject) else subject


class SaveCined(Transform):
    """Writes predictions as NIfTI files on the input's own grid, one a frame where the scan came as one file a frame.

    ``<output_dir>/<scan>/<stem>_<name>.nii.gz``; the written paths are put into the item under ``saved``.

    Args:
        keys: item keys to write, each [C, X, Y, Z, T].
        output_dir: folder of the results.
        image_key: key of the image whose meta names the input files.
    """

    def __init__(self, keys: KeysCollection, output_dir: str, image_key: str = "image") -> None:
        self.keys = [keys] if isinstance(keys, str) else list(keys)
        self.output_dir = Path(output_dir)
        self.image_key = image_key

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        """Writes and returns the item with ``saved``."""
        item = dict(data)
        meta = item[self.image_key].meta
        saved = list(item.get("saved", []))
        for key in self.keys:
            array = np.moveaxis(np.asarray(item[key]), 0, -1)  # [X, Y, Z, T, C]
            array = array if array.dtype == np.uint8 else array.astype(np.float32)
            for frame, file in enumerate(meta["files"]):
                single = len(meta["files"]) > 1 or array.shape[3] == 1
                of_file = array[:, :, :, frame] if single else array
                of_file = of_file[..., 0] if of_file.shape[-1] == 1 else of_file
                target = self.output_dir / folder_of(meta) / f"{stem_of(file)}_{key}.nii.gz"
                like = meta.get("header", file)
                saved.append(str(save_nifti(target, np.ascontiguousarray(of_file), like, meta.get("frame_duration"))))
        item["saved"] = saved
        return item


class SaveLatentd(Transform):
    """Writes ``<output_dir>/<scan>/<scan>_latent.pt``: the latent and the coordinate frame, as it was fitted.

    Tensors and plain types only, so ``torch.load(weights_only=True)`` reads it.

    Args:
        output_dir: folder of the results.
        settings: what made the fit; kept in the file beside the versions.
        network: that was fitted; its form and the digest of its weights are kept, so that ``FittedScan`` finds them.
        weights: file that they came from.
        class_names: inside class number (text) to name.
        image_key: key of the fitted image.
    """

    def __init__(
        self,
        output_dir: str,
        settings: Mapping[str, object],
        network: NISF,
        weights: str,
        class_names: Mapping[str, str],
        image_key: str = "image",
    ) -> None:
        self.output_dir, self.settings, self.image_key = Path(output_dir), dict(settings), image_key
        self.class_names = dict(class_names)
        # later than here the network may have been compiled or moved
        where = str(Path(weights).resolve())
        self.network = {"options": network.options(), "weights": where, "digest": digest_of(network)}

    def content_of(self, item: Mapping[Hashable, object]) -> dict[str, object]:
        """What the file of an item holds."""
        image, fit = item[self.image_key], item["fit"]
        start = fit.start(CoordinateFrame.from_dict(image.meta["frame"])) if "frame" in image.meta else None
        return {
            "latent": fit.latent.cpu(),
            "covariance": fit.covariance,
            "pose": fit.pose.cpu(),
            "effects": fit.effects,
            "frame": None if start is None else start.moved(Pose.of(fit.pose)).to_dict(),
            "start_frame": None if start is None else start.to_dict(),
            "network": self.network,
            "class_names": self.class_names,
            "duration": float(image.meta.get("frame_duration") or 0.0) * image.shape[-1],
            "person": dict(image.meta.get("person") or {}),
            "subject": str(image.meta["subject"]),
            "files": [Path(file).name for file in image.meta["files"]],
            "image_files": [str(Path(file).resolve()) for file in image.meta["files"]],
            "history": fit.history,
            "points": fit.points,
            "seconds": fit.seconds,
            "reason": fit.reason,
            "quality": {**fit.quality, **fit.verdict},
            "correction": None if fit.correction is None else fit.correction.to_dict(),
            "made_with": provenance(self.settings),
        }

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        """Writes and returns the item with ``saved``."""
        item = dict(data)
        folder = folder_of(item[self.image_key].meta)
        target = self.output_dir / folder / f"{folder}_latent.pt"
        save_tensors(self.content_of(item), target)
        item["saved"] = [*item.get("saved", []), str(target)]
        return item


def save_tensors(content: Mapping[str, object], path: str | Path) -> Path:
    """``torch.save`` that leaves no half file under the final name.

    Raises:
        InputError: the folder cannot be written or the disk is full.
    """
    path = Path(path)
    with whole_file(path) as temporary:
        torch.save(dict(content), temporary)
    return path


def provenance(settings: Mapping[str, object]) -> dict[str, object]:
    """Versions and settings that made a result, as plain types."""
    plain = {
        key: value if isinstance(value, (int, float, bool, type(None))) else str(value)
        for key, value in settings.items()
    }
    versions = {
        "nisf": __version__,
        "monai": monai.__version__,
        "torch": str(torch.__version__),
        "numpy": np.__version__,
    }
    return {"settings": plain, "versions": versions}


def described(bound: partial) -> str:
    """A function with options bound to it, as text: the same in every process."""
    options = ", ".join(f"{name}={value}" for name, value in sorted(bound.keywords.items()))
    return f"{bound.func.__name__}({options})"


def plain_array(tensor: torch.Tensor | MetaTensor) -> np.ndarray:
    """The numbers of a tensor, without its meta."""
    return (tensor.as_tensor() if isinstance(tensor, MetaTensor) else tensor).cpu().numpy()
