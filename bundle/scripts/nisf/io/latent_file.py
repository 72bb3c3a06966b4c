"""The file of a fitted latent, read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from nisf.fit.blending import Correction
from nisf.fit.posterior import LatentFit
from nisf.geometry.frame import CoordinateFrame
from nisf.geometry.pose import Pose
from nisf.io.recipe import Recipe
from nisf.io.source import Source
from nisf.utils.errors import InputError

#: Ending of a latent file's name.
LATENT = "_latent.pt"


@dataclass(frozen=True)
class SavedFit:
    """A fit as stored in its latent file, for reports, planes and meshes.

    Attributes:
        fit: latent [L], posterior, pose, steps, correction.
        frame: coordinate frame of the fitted grid, in the fitted pose.
        start_frame: the same in the initial pose of the fit, about which the posterior is drawn.
        options: arguments of ``NISF`` that build the network.
        weights: file of the network's weights when the fit was made.
        digest: digest of these weights, see ``digest_of``.
        pipeline: what made the fit, see ``models.pipeline.pipeline_of``; empty in files of earlier versions.
        class_names: internal class number to name.
        subject: name of the subject.
        duration: seconds of the cycle, of which the frames' times are fractions: from beat to beat where that is known,
            else that of the frames; 0 where unknown.
        person: known fields of ``measures.person.Person``.
        files: names of the scan's files, without their folders.
        image_files: the same with their folders.
        quality: numbers and verdict, see ``quality.record.Quality``.
        source: the files that were fitted; None in files of earlier versions.
        recipe: settings, package versions and weights of the fit.
        labels: name of each label file written with the fit to the digest of its content; empty in files of earlier
            versions.
        size_known: whether the scan's pixel size is known, see ``Scan``.
        voxel_mm, stack: voxel size and DICOM series that the user stated, see ``Scan``.
        path: the latent file; None for a fit that was not read from one.
    """

    fit: LatentFit
    frame: CoordinateFrame
    start_frame: CoordinateFrame
    options: Mapping[str, object]
    weights: Path
    digest: str
    class_names: Mapping[int, str]
    pipeline: Mapping[str, object] = field(default_factory=dict)
    subject: str = ""
    duration: float = 0.0
    person: Mapping[str, object] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    image_files: tuple[str, ...] = ()
    quality: Mapping[str, object] = field(default_factory=dict)
    source: Source | None = None
    recipe: Recipe = Recipe()
    labels: Mapping[str, str] = field(default_factory=dict)
    size_known: bool = True
    voxel_mm: tuple[float, float, float] | None = None
    stack: str | None = None
    path: Path | None = None

    @classmethod
    def of(cls, content: Mapping[str, object], path: Path | None = None) -> SavedFit:
        """From the content of a latent file, as ``SaveLatentd.content_of`` makes it.

        Raises:
            KeyError, TypeError, ValueError: it is not such content.
        """
        network, source = content["network"], content.get("source")
        correction, frame = content.get("correction"), CoordinateFrame.from_dict(content["frame"])
        start = content.get("start_frame")
        fit = LatentFit(
            content["latent"],
            history=list(content.get("history") or []),
            points=content.get("points") or 0,
            seconds=content.get("seconds") or 0.0,
            reason=content.get("reason") or "",
            covariance=content.get("covariance"),
            effects=content.get("effects"),
            correction=None if correction is None else Correction.from_dict(correction),
            **{"pose": content["pose"]} if content.get("pose") is not None else {},
        )
        return cls(
            fit,
            frame,
            frame if start is None else CoordinateFrame.from_dict(start),
            options=dict(network["options"]),
            weights=Path(network["weights"]),
            digest=str(network["digest"]),
            class_names={int(number): name for number, name in dict(content["class_names"]).items()},
            pipeline=dict(content.get("pipeline") or {}),
            subject=str(content.get("subject", "")),
            duration=float(content.get("duration") or 0.0),
            person=dict(content.get("person") or {}),
            files=tuple(content.get("files") or ()),
            image_files=tuple(content.get("image_files") or ()),
            quality=dict(content.get("quality") or {}),
            source=None if source is None else Source.from_dict(source),
            recipe=Recipe.from_dict(content.get("made_with") or {}),
            labels=dict(content.get("labels") or {}),
            size_known=bool(content.get("size_known", True)),
            voxel_mm=tuple(content["voxel_mm"]) if content.get("voxel_mm") else None,
            stack=content.get("stack"),
            path=path,
        )

    @property
    def missing_slices(self) -> list[int]:
        """Numbers of the slices of the fitted grid that the scan's files lack."""
        return list((self.quality.get("slices") or {}).get("missing") or ())

    @property
    def settings(self) -> Mapping[str, object]:
        """Settings of the fit."""
        return self.recipe.settings

    @property
    def versions(self) -> Mapping[str, str]:
        """Package versions of the fit."""
        return self.recipe.versions

    def draws(self, count: int, seed: int = 0) -> list[tuple[torch.Tensor, CoordinateFrame]]:
        """Draws from the posterior, each a latent [L] and the frame in the drawn pose.

        Raises:
            InputError: the fit has no posterior.
        """
        if not count:
            return []
        drawn = zip(*self.fit.sample(count, seed))
        return [(latent, self.start_frame.moved(Pose.of(pose))) for latent, pose in drawn]


def read_latent(path: str | Path) -> SavedFit:
    """The fit that a ``_latent.pt`` file holds.

    Raises:
        InputError: it is missing, cut off or not a latent file.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such latent file; nisf segment writes <scan>{LATENT}")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a different type for each kind of damage
        raise InputError(f"{path}: the latent file is damaged or cut off; segment the scan again") from error
    if isinstance(content, Mapping) and content.get("frame", "") is None:
        raise InputError(f"{path}: holds no coordinate frame; segment the scan again")
    try:
        return SavedFit.of(content, path)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise InputError(f"{path}: is no latent file of this version; segment the scan again") from error
