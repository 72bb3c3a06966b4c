"""One scan at a time, in memory: a path in, labels and a function of place and time out.

    import nisf

    segmenter = nisf.Segmenter()                # loads the weights once
    result = segmenter("scan.nii.gz")           # nisf.segment("scan.nii.gz") does both
    result.labels                               # [X, Y, Z, T] uint8 on the scan's own grid
    result.fitted.read(points, time=0.35)       # intensity and class probabilities at any world point and time
    result.save("OUT")                          # writes the files of nisf segment, which nisf report OUT reads

Transforms, network and fit are those of ``configs/inference.json``, as in ``nisf segment``. Only ``save`` writes files,
and errors are raised; ``nisf.runs`` explains how this differs from ``nisf.runs.segment``, which does many scans.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from monai.transforms import Compose

from nisf.fit.posterior import LatentFit
from nisf.geometry.affine import voxel_ml
from nisf.inference.save import ResultWriter
from nisf.inference.save_together import SaveResultsd
from nisf.io.datalist import load_split, with_stack
from nisf.io.latent_file import SavedFit
from nisf.sampling.fitted_scan import FittedScan
from nisf.transforms.auxiliary import with_partial
from nisf.transforms.load import LoadCined
from nisf.transforms.source import source_of
from nisf.utils.bundle import parser_of, torch_device
from nisf.utils.errors import unwrapped
from nisf.utils.tensors import plain_array


@dataclass
class Segmentation:
    """Result of a fit to one scan.

    Attributes:
        labels: [X, Y, Z, T] uint8 on the scan's own grid; 0 background, the others as in ``class_names``.
        image: [X, Y, Z, T] float32, the scan as it is in its file.
        affine: [4, 4], voxel to world (RAS mm).
        times: fraction of the cycle of each frame.
        fitted: scan as a function of position and time, with draws from the posterior where requested.
        fit: latent, pose, posterior, history.
        class_names: number to name.
    """

    labels: np.ndarray
    image: np.ndarray
    affine: np.ndarray
    times: tuple[float, ...]
    fitted: FittedScan
    fit: LatentFit
    class_names: dict[int, str]
    _item: dict = field(repr=False)
    _writers: Sequence[ResultWriter] = field(repr=False)

    @property
    def quality(self) -> dict[str, float]:
        """Numbers that show a failed fit, see ``quality.assess.quality_of``."""
        return dict(self._item["scan"].quality.numbers)

    def volumes(self) -> dict[str, np.ndarray]:
        """Volume in mL of each class in each frame, as the sum of its voxels: name to [T]."""
        voxel = voxel_ml(self.affine)
        return {name: (self.labels == number).sum(axis=(0, 1, 2)) * voxel for number, name in self.class_names.items()}

    def save(self, output_dir: str | Path) -> list[Path]:
        """Writes the files of ``nisf segment`` to ``output_dir/<scan>``; returns their paths.

        Where that folder holds the results of another scan, it gets one of its own.

        Raises:
            InputError: labels there were corrected by hand, the folder cannot be written or the disk is full.
        """
        item = {key: value for key, value in self._item.items() if key != "saved"}
        for writer in self._writers:
            item = writer.into(output_dir)(item)
        return [Path(file) for file in item["saved"]]


class Segmenter:
    """Weights and settings of ``nisf segment``, loaded once, for any number of scans.

    Args:
        config: override files of the bundle, by name (``phantom``, ``hippocampus``, ``fast``, ``adam``) or path.
        draws: number of draws from the posterior in ``fitted``, for intervals and uncertainty.
        device: cpu, cuda or cuda:N; a GPU where there is one unless named.
        settings: any entry at the top of ``configs/inference.json``, as ``uncertainty_draws=16``.

    Raises:
        InputError: a config, a setting or weights are wrong.
    """

    @unwrapped()
    def __init__(
        self, config: str | Sequence[str] = (), draws: int = 0, device: str | None = None, **settings: object
    ) -> None:
        names = ["inference", *([config] if isinstance(config, str) else config)]
        where = {} if device is None else {"device": torch_device(device)}
        self.parser, self.draws = parser_of(names, **settings, **where), draws
        wanted = ("preprocessing", "network", "inferer", "postprocessing", "class_names", "seed")
        parts = {name: self.parser.get_parsed_content(name) for name in wanted}
        self.preprocessing, self.network, self.inferer = parts["preprocessing"], parts["network"], parts["inferer"]
        transforms = parts["postprocessing"].transforms
        self.writers = [one for one in transforms if isinstance(one, ResultWriter)]  # left to Segmentation.save
        self.postprocessing = Compose([one for one in transforms if not isinstance(one, ResultWriter)])
        self.class_names = {int(number): name for number, name in parts["class_names"].items()}
        self.seed = parts["seed"]

    @unwrapped()
    def __call__(
        self,
        path: str | Path | Mapping,
        series: Sequence[str] = (),
        mask: str | None = None,
        stack: str | None = None,
        strict: bool = False,
    ) -> Segmentation:
        """Segments one scan.

        Args:
            path: file or DICOM folder of the scan, or an entry of a data list (``nisf.io.datalist.load_split``).
            series, mask: other series of the same subject, mask of valid voxels; see ``nisf segment --help``.
            stack, strict: series of a DICOM folder, refusal of unusual ones; see ``nisf segment --help``.

        Raises:
            InputError: the scan cannot be read or fitted.
        """
        subject = path if isinstance(path, Mapping) else load_split("images", [str(path)], "all", strict=False)[0]
        (subject,) = with_partial(with_stack([subject], stack, strict), series, mask)
        loaded = 1 + next(n for n, one in enumerate(self.preprocessing.transforms) if isinstance(one, LoadCined))
        item = self.preprocessing(dict(subject), end=loaded)
        stored = item["image"]
        item = self.preprocessing(item, start=loaded)
        with torch.no_grad():
            item["pred"] = self.inferer(item["image"].unsqueeze(0), self.network)
        item = self.postprocessing(item)
        (saver,) = (one for one in self.writers if isinstance(one, SaveResultsd))
        saved = SavedFit.of(saver.latent.content_of(item["scan"], source_of(item)))
        fitted = FittedScan.of(saved, self.network, self.draws, self.seed)
        return Segmentation(
            labels=plain_array(item["seg"])[0],
            image=plain_array(stored)[0],
            affine=np.asarray(stored.affine),
            times=item["scan"].times,
            fitted=fitted,
            fit=item["scan"].fit,
            class_names=self.class_names,
            _item=item,
            _writers=self.writers,
        )


def segment(path: str | Path | Mapping, config: str | Sequence[str] = (), **options: object) -> Segmentation:
    """Segments one scan with the bundle's weights; ``Segmenter`` loads them once for many scans.

    Args:
        path: file of the scan, or an entry of a data list.
        config: see ``Segmenter``.
        options: options of ``Segmenter``, and ``series``, ``mask``, ``stack`` and ``strict``.

    Raises:
        InputError: a config, a setting or weights are wrong, or the scan cannot be read or fitted.
    """
    partial = {name: options.pop(name) for name in ("series", "mask", "stack", "strict") if name in options}
    return Segmenter(config, **options)(path, **partial)
