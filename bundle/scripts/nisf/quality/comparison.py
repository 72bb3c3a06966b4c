"""A scan, its reconstruction, and the classes by latent, U-Net and both together, side by side for comparison."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from nisf.fit.points import GridPoints
from nisf.fit.posterior import LatentFit
from nisf.geometry.orientation import spacing_of
from nisf.models.nisf import NISF
from nisf.quality.classes import Classes
from nisf.utils.tensors import as_intensity

#: Maximum number of frames compared without U-Net probabilities.
FRAMES = 10


@dataclass(frozen=True)
class Comparison:
    """Some frames of a scan, in the slices that may be seen: Z' slices, T' frames.

    Attributes:
        image, recon: [C, X, Y, Z', T'], intensities in [0, 1]; the reconstruction as the scanner would show it.
        own: classes [K, X, Y, Z', T'] of the latent alone.
        final: classes of latent and U-Net together.
        unet: the U-Net's classes, or None without a U-Net.
        mask: voxels [X, Y, Z'] that may be seen, or None for all.
        affine: voxel index of the scan to world, RAS mm [4, 4].
        slices: numbers of the slices in the scan.
        times: fraction of the cardiac cycle of each frame.
    """

    image: torch.Tensor
    recon: torch.Tensor
    own: Classes
    final: Classes
    unet: Classes | None
    mask: torch.Tensor | None
    affine: np.ndarray
    slices: list[int]
    times: list[float]

    @classmethod
    def of(
        cls, network: NISF, fit: LatentFit, points: GridPoints, values: torch.Tensor, final: torch.Tensor | None = None
    ) -> Comparison:
        """The comparison for a scan and the values sampled on its grid.

        Args:
            network: the fitted network.
            fit: fit of ``points``.
            points: points of the scan.
            values: reconstruction and the latent's own classes, [C + K, X, Y, Z, T].
            final: classes [K, X, Y, Z, T] with the U-Net probabilities blended in; None if they were not.
        """
        seen = points.kept_frames or list(range(values.shape[-1]))
        frames = points.unet_frames or [
            seen[i] for i in sorted({round(j) for j in np.linspace(0, len(seen) - 1, FRAMES)})
        ]
        kept = points.kept_slices or list(range(values.shape[3]))

        def part(whole: torch.Tensor) -> torch.Tensor:
            return whole[..., frames][..., kept, :]

        said = part(values).float()
        recon, own = said[: network.in_channels], said[network.in_channels :]
        if fit.effects is not None and bool(fit.effects.any()):
            gain, offset = fit.effects[kept, :2].t()[:, None, None, None, :, None]
            recon = ((1 + gain) * recon.clamp(1e-3, 1 - 1e-3).logit() + offset).sigmoid()
        own = Classes(own)
        unet = None if points.unet_prob is None else Classes(as_intensity(points.unet_prob.image[..., kept, :]))
        return cls(
            as_intensity(part(points.image)),
            recon,
            own,
            own if final is None else Classes(part(final).float()),
            unet,
            None if points.mask is None else points.mask[:, :, kept],
            np.asarray(points.frame.affine),
            kept,
            [points.frame.times[t] for t in frames],
        )

    def known(self, values: torch.Tensor) -> torch.Tensor:
        """The voxels of [C, X, Y, Z', T'] that may be seen."""
        return values if self.mask is None else values[:, self.mask]

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Spacing along x, y and the slices, mm."""
        return spacing_of(self.affine)

    @property
    def baseline(self) -> Classes:
        """The classes that the latent's are compared with: the U-Net's, or the final ones without a U-Net."""
        return self.final if self.unet is None else self.unet
