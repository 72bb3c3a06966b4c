"""A fitted scan as a continuous function: intensity and classes at any point of the world and time of the cycle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from nisf.fit.blending import Correction, cut_off
from nisf.geometry.affine import world_to_voxel
from nisf.geometry.frame import CoordinateFrame
from nisf.io.latent_file import SavedFit, read_latent
from nisf.models.nisf import NISF
from nisf.models.weights import digest_of, load_weights
from nisf.sampling.on_grid import uncertainty_maps
from nisf.utils.bundle import bundle_root
from nisf.utils.compile import compiled
from nisf.utils.errors import InputError

#: Points from which compiling the network (about 10 s on two cores) pays.
COMPILE_FROM = 2_000_000

#: The bundle's own weights.
MODELS = bundle_root() / "models"


@dataclass
class FittedScan:
    """A latent, its pose and the U-Net's correction as one function of place and time.

    Attributes:
        network: trained network, on the device where it is to run.
        latent: latent [L].
        frame: coordinate frame of the fitted grid, in the fitted pose.
        correction: what the U-Net adds, or None.
        class_names: class number inside the network to name.
        subject: name of the subject.
        duration: duration of the cycle in seconds, 0 if unknown.
        draws: posterior draws, each a latent [L] and the frame in its own pose.
        chunk: points evaluated at once.
    """

    network: NISF
    latent: torch.Tensor
    frame: CoordinateFrame
    correction: Correction | None = None
    class_names: Mapping[int, str] = field(default_factory=dict)
    subject: str = ""
    duration: float = 0.0
    draws: Sequence[tuple[torch.Tensor, CoordinateFrame]] = ()
    chunk: int = 16384

    @classmethod
    def load(
        cls,
        path: str | Path,
        model: str | Path | None = None,
        device: str | torch.device = "cpu",
        draws: int = 0,
        seed: int = 0,
    ) -> FittedScan:
        """The fitted scan from a ``_latent.pt`` file and the weights that it was fitted with.

        Args:
            path: file written by ``inference`` or ``nisf segment``.
            model: weight file; by default the one that the latent file names.
            device: device on which the network runs.
            draws: number of posterior draws.
            seed: random seed of the draws.

        Raises:
            InputError: a file is missing, damaged or of another kind, or the weights are not those of the fit.
        """
        saved = read_latent(path)
        return cls.of(saved, network_of(saved, model, device), draws, seed)

    @classmethod
    def of(cls, saved: SavedFit, network: NISF, draws: int = 0, seed: int = 0) -> FittedScan:
        """The fitted scan from the content of a latent file and the network of the fit (``network_of``)."""
        return cls(
            network,
            saved.fit.latent,
            saved.frame,
            saved.fit.correction,
            saved.class_names,
            saved.subject,
            saved.duration,
            saved.draws(draws, seed),
        )

    @torch.no_grad()
    def read(self, points: np.ndarray, time: float = 0.0, compile: bool = False) -> torch.Tensor:
        """Intensities and class probabilities at world points.

        Args:
            points: world points [N, 3], RAS mm.
            time: time point, fraction of the cycle, any number.
            compile: whether to compile the network; pays off (it takes ten seconds) for millions of points, in calls
                of any size.

        Returns:
            [C + K, N] in [0, 1], float32, on the CPU.
        """
        voxels = self.voxels(points)
        count, time = len(voxels), float(time) % 1.0
        chunk = self.chunk if compile else min(self.chunk, max(count, 1))
        fast = compiled(self.network, compile, self.network.latent_mean.device)
        latent = self.latent.to(self.network.latent_mean).unsqueeze(0)
        out = torch.empty(self.network.in_channels + self.network.num_classes, count)
        for start in range(0, count, chunk):
            part = voxels[start : start + chunk]
            coords = self.frame.voxel_to_normalised(part).T
            coords = np.concatenate([coords, np.full((1, len(part)), time)])[: self.frame.dims]
            # a compiled network would be compiled again for another size: the last part is padded, or run uncompiled
            # if that is less work
            run, size = (fast, chunk) if 2 * len(part) > chunk else (self.network, len(part))
            filled = np.pad(coords, ((0, 0), (0, size - len(part))), mode="edge")
            logits = run(torch.from_numpy(filled).to(latent).unsqueeze(0), latent)[:, :, : len(part)]
            out[:, start : start + chunk] = self._values(logits, part, time)
        return out

    def classes(self, points: np.ndarray, time: float = 0.0, compile: bool = False) -> np.ndarray:
        """Class probabilities [K, N] at world points [N, 3], as ``read`` gives them."""
        return self.read(points, time, compile)[self.network.in_channels :].numpy()

    def _values(self, logits: torch.Tensor, voxels: np.ndarray, time: float) -> torch.Tensor:
        """Logits [1, C + K, n] at fractional voxels [n, 3] to intensities and probabilities [C + K, n]."""
        if self.correction is None:
            return self.network.probabilities(logits)[0].cpu()
        first = self.network.in_channels
        intensity, own = logits[0, :first].sigmoid().cpu(), cut_off(logits[0, first:].float().cpu())
        classes = own + self.correction.at(voxels, time)
        return torch.cat([intensity, (classes / float(self.network.temperature)).softmax(dim=0)])

    def uncertainty(self, points: np.ndarray, time: float = 0.0) -> torch.Tensor:
        """Uncertainty maps of the ``draws`` at world points [N, 3]: [K + 2, N], see ``on_grid.sample_uncertainty``."""
        others = [replace(self, latent=latent, frame=frame) for latent, frame in self.draws]
        return uncertainty_maps(torch.stack([one.read(points, time)[self.network.in_channels :] for one in others]))

    def voxels(self, points: np.ndarray) -> np.ndarray:
        """World points [N, 3] to fractional voxels [N, 3] of the fitted grid."""
        return world_to_voxel(self.frame.affine, points)

    def beyond(self, points: np.ndarray) -> np.ndarray:
        """Distance of world points [N, 3] outside the fitted grid, mm, [N]; values there are extrapolated."""
        return self.frame.beyond(points)


def weights_of(saved: SavedFit, model: str | Path | None = None) -> Path:
    """Path of the weights that a scan was fitted with.

    Args:
        saved: the fit.
        model: weight file, if the one that the fit names was moved.

    Raises:
        InputError: the file does not exist.
    """
    weights = Path(model or saved.weights)
    if not model and not weights.is_file() and weights.parent.name == MODELS.name:  # the bundle may have been moved
        weights = MODELS / weights.name
    if not weights.is_file():
        raise InputError(
            f"{saved.path}: was fitted with {weights}, which does not exist; name the weights with --model"
        )
    return weights


def network_of(saved: SavedFit, model: str | Path | None = None, device: str | torch.device = "cpu") -> NISF:
    """The network that a scan was fitted with; its weights are read and compared with the fit's digest.

    Args:
        saved: the fit.
        model: weight file; by default the one that the fit names.
        device: device on which the network is to run.

    Raises:
        InputError: the weights are missing, damaged, or not those of the fit.
    """
    weights = weights_of(saved, model)
    network = load_weights(NISF(**saved.options), weights)
    if digest_of(network) != saved.digest:
        raise InputError(
            f"{saved.path}: was fitted with other weights than {weights}; name the right ones with --model"
        )
    return network.to(device).eval()
