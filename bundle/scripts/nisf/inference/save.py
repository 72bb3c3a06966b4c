"""Transforms that write results: NIfTI files and the fitted latent."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from copy import copy
from pathlib import Path

import numpy as np
from monai.config import KeysCollection
from monai.transforms import Transform

from nisf.geometry.pose import Pose
from nisf.io.latent_file import LATENT
from nisf.io.nifti import save_nifti, stem_of
from nisf.io.recipe import Recipe
from nisf.io.results import SEGMENTATION, folder_of
from nisf.io.source import Source
from nisf.models.nisf import NISF
from nisf.models.weights import digest_of
from nisf.transforms.scan import Scan
from nisf.transforms.source import source_of
from nisf.utils.digest import digest_of_file
from nisf.utils.tensors import save_tensors


class ResultWriter(Transform):
    """A transform that writes into a folder of results and adds the files to the item's ``saved``.

    Args:
        output_dir: folder of the results.
    """

    def __init__(self, output_dir: str | Path) -> None:
        self.output_dir = Path(output_dir)

    def into(self, output_dir: str | Path) -> ResultWriter:
        """The same writer for another folder."""
        other = copy(self)
        other.output_dir = Path(output_dir)
        return other


class SaveCined(ResultWriter):
    """Writes predictions as NIfTI files on the input's own grid, one per frame if the scan has one file per frame.

    The files are ``<output_dir>/<scan>/<stem>_<name>.nii.gz``, with the stems of the files of the item's ``scan``; the
    item's ``saved`` gets their paths.

    Args:
        keys: item keys to write, each [C, X, Y, Z, T].
        output_dir: folder of the results.
    """

    def __init__(self, keys: KeysCollection, output_dir: str) -> None:
        super().__init__(output_dir)
        self.keys = [keys] if isinstance(keys, str) else list(keys)

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        """Writes and returns the item with ``saved``."""
        item = dict(data)
        scan: Scan = item["scan"]
        folder = self.output_dir / folder_of(scan.files, scan.subject)
        saved = list(item.get("saved", []))
        for key in self.keys:
            array = np.moveaxis(np.asarray(item[key]), 0, -1)  # [X, Y, Z, T, C]
            array = array if array.dtype == np.uint8 else array.astype(np.float32)
            for frame, file in enumerate(scan.files):
                single = len(scan.files) > 1 or array.shape[3] == 1
                of_file = array[:, :, :, frame] if single else array
                of_file = of_file[..., 0] if of_file.shape[-1] == 1 else of_file
                target = folder / f"{stem_of(file)}_{key}.nii.gz"
                like = file if scan.header is None else scan.header
                saved.append(str(save_nifti(target, np.ascontiguousarray(of_file), like, scan.frame_duration)))
        item["saved"] = saved
        return item


class SaveLatentd(ResultWriter):
    """Writes ``<output_dir>/<scan>/<scan>_latent.pt``: the fit of the item's ``scan``.

    Tensors and plain types only, so ``torch.load(weights_only=True)`` reads it.

    Args:
        output_dir: folder of the results.
        settings: settings of the run; kept in the file with the versions and digests of the weights.
        network: the fitted network; its options and the digest of its weights are kept, so that ``FittedScan`` finds
            them.
        weights: file of its weights.
        class_names: inside class number (text) to name.
        pipeline: what makes the result, see ``models.pipeline.pipeline_of``.
    """

    def __init__(
        self,
        output_dir: str,
        settings: Mapping[str, object],
        network: NISF,
        weights: str,
        class_names: Mapping[str, str],
        pipeline: Mapping[str, object],
    ) -> None:
        super().__init__(output_dir)
        self.recipe = Recipe.of(settings)
        self.class_names = dict(class_names)
        self.pipeline = dict(pipeline)
        # later on the network may have been compiled or moved
        where = str(Path(weights).resolve())
        self.network = {"options": network.options(), "weights": where, "digest": digest_of(network)}

    def content_of(self, scan: Scan, source: Source, labels: Mapping[str, str] = {}) -> dict[str, object]:
        """The content of a fitted scan's file; ``labels`` as in ``SavedFit``."""
        fit, start = scan.fit, scan.fit.start(scan.frame)
        return {
            "latent": fit.latent.cpu(),
            "covariance": fit.covariance,
            "pose": fit.pose.cpu(),
            "effects": fit.effects,
            "frame": start.moved(Pose.of(fit.pose)).to_dict(),
            "start_frame": start.to_dict(),
            "network": self.network,
            "pipeline": {**self.pipeline, **scan.inputs()},
            "class_names": self.class_names,
            "duration": float(scan.cycle),
            "size_known": scan.size_known,
            "voxel_mm": scan.voxel_mm,
            "stack": scan.stack,
            "person": dict(scan.person),
            "subject": scan.subject,
            "files": [Path(file).name for file in scan.files],
            "image_files": [str(Path(file).resolve()) for file in scan.files],
            "history": fit.history,
            "points": fit.points,
            "seconds": fit.seconds,
            "reason": fit.reason,
            "quality": scan.quality.to_dict(),
            "correction": None if fit.correction is None else fit.correction.to_dict(),
            "source": source.to_dict(),
            "labels": dict(labels),
            "made_with": self.recipe.to_dict(),
        }

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        """Writes and returns the item with ``saved``."""
        item = dict(data)
        scan: Scan = item["scan"]
        folder = folder_of(scan.files, scan.subject)
        target = self.output_dir / folder / f"{folder}{LATENT}"
        written = [Path(file) for file in item.get("saved", []) if str(file).endswith(SEGMENTATION)]
        labels = {file.name: digest_of_file(file) for file in written}
        save_tensors(self.content_of(scan, source_of(item), labels), target)
        item["saved"] = [*item.get("saved", []), str(target)]
        return item
