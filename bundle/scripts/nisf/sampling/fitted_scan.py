"""A fitted scan as a continuous function: intensity and classes at any point of the world and time of the cycle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from nibabel.affines import apply_affine

from nisf.fit.blending import Correction, cut_off
from nisf.geometry.affine import world_to_voxel
from nisf.geometry.frame import CoordinateFrame
from nisf.io.latent_file import SavedFit, read_latent
from nisf.models.committee import members_of
from nisf.models.committee import network_of as untrained
from nisf.models.nisf import NISF
from nisf.models.weights import OtherTime, digest_of, load_weights
from nisf.sampling.shared_places import SharedPlaces
from nisf.sampling.uncertainty import uncertainty_maps
from nisf.utils.bundle import bundle_root
from nisf.utils.compile import compiled, points_at_once
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
        duration: seconds of the cycle, see ``io.latent_file.SavedFit``; 0 if unknown.
        draws: posterior draws, each a latent [L] and the frame in its own pose.
        chunk: points evaluated at once; by default as ``points_at_once`` of the network's device.
        drawn_about: for a draw the fit that it is drawn about, whose correction and temperature it has, or None.
    """

    network: NISF
    latent: torch.Tensor
    frame: CoordinateFrame
    correction: Correction | None = None
    class_names: Mapping[int, str] = field(default_factory=dict)
    subject: str = ""
    duration: float = 0.0
    draws: Sequence[tuple[torch.Tensor, CoordinateFrame]] = ()
    chunk: int | None = None
    drawn_about: FittedScan | None = None

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
        if self.drawn_about is None or self.correction is None:
            return self._corrected(self.logits(points, time, compile), self._added(points, time))
        return next(_read_draws(self.drawn_about, [self], points, time, compile))

    @torch.no_grad()
    def logits(self, points: np.ndarray, time: float = 0.0, compile: bool = False) -> torch.Tensor:
        """Logits of the network alone, without the U-Net, [C + K, N] on the CPU; arguments as of ``read``."""
        voxels = self.voxels(points)
        count, time = len(voxels), float(time) % 1.0
        device = self.network.latent_mean.device
        chunk = self.chunk or points_at_once(device)
        chunk = chunk if compile else min(chunk, max(count, 1))
        fast = compiled(self.network, compile, device)
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
            logits = run(torch.from_numpy(filled).to(latent).unsqueeze(0), latent)[0, :, : len(part)]
            out[:, start : start + chunk] = logits.float().cpu()
        return out

    def classes(self, points: np.ndarray, time: float = 0.0, compile: bool = False) -> np.ndarray:
        """Class probabilities [K, N] at world points [N, 3], as ``read`` gives them."""
        return self.read(points, time, compile)[self.network.in_channels :].numpy()

    def drawn(self) -> list[FittedScan]:
        """The draws as functions of their own, each blended with the same U-Net probabilities as the fit.

        Those of a committee are of one member each, in turn: where the members differ, the draws do too.
        """
        about, members = replace(self, draws=()), members_of(self.network)
        found = []
        for number, (latent, frame) in enumerate(self.draws):
            member = number % len(members)
            own = latent.chunk(len(members))[member]
            found.append(replace(self, network=members[member], latent=own, frame=frame, draws=(), drawn_about=about))
        return found

    def draw_classes(self, points: np.ndarray, time: float = 0.0) -> torch.Tensor:
        """Class probabilities of the draws at world points [N, 3], [n, K, N].

        Raises:
            InputError: the scan has no draws.
        """
        if not self.draws:
            raise InputError(
                f"{self.subject or 'the fitted scan'}: has no draws; load it with some, for example draws=16"
            )
        first = self.network.in_channels
        return torch.stack([one[first:] for one in _read_draws(self, self.drawn(), points, time)])

    def uncertainty(self, points: np.ndarray, time: float = 0.0) -> torch.Tensor:
        """Uncertainty maps of the ``draws`` at world points [N, 3]: [K + 2, N], see ``sample_uncertainty``.

        Raises:
            InputError: the scan has no draws.
        """
        return uncertainty_maps(self.draw_classes(points, time))

    def _added(self, points: np.ndarray, time: float) -> torch.Tensor | None:
        """What the U-Net adds to the classes' log probabilities at world points, [K, N]; None without a U-Net."""
        return None if self.correction is None else self.correction.at(self.voxels(points), float(time) % 1.0)

    def _corrected(self, logits: torch.Tensor, added: torch.Tensor | None) -> torch.Tensor:
        """``read`` from the logits of the network alone and what is added to the classes'."""
        first = self.network.in_channels
        classes = logits[first:] if added is None else cut_off(logits[first:]) + added
        temperature = float((self.drawn_about or self).network.temperature)
        return torch.cat([logits[:first].sigmoid(), (classes / temperature).softmax(dim=0)])

    def _at(self, places: SharedPlaces, compile: bool) -> list[torch.Tensor]:
        """Logits of the network alone at each list of places, [C + K, N]."""
        return places.values(lambda voxels, time: self.logits(apply_affine(self.frame.affine, voxels), time, compile))

    def voxels(self, points: np.ndarray) -> np.ndarray:
        """World points [N, 3] to fractional voxels [N, 3] of the fitted grid."""
        return world_to_voxel(self.frame.affine, points)

    def beyond(self, points: np.ndarray) -> np.ndarray:
        """Distance of world points [N, 3] outside the fitted grid, mm, [N]; values there are extrapolated."""
        return self.frame.beyond(points)


def _read_draws(
    fit: FittedScan, draws: Sequence[FittedScan], points: np.ndarray, time: float, compile: bool = False
) -> Iterator[torch.Tensor]:
    """``FittedScan.read`` of draws about a fit. What the fit is asked for is evaluated once for all of them, and what
    a draw and the nodes of its correction have in common once for both."""
    if fit.correction is None:
        yield from (one.read(points, time, compile) for one in draws)
        return
    voxels, time = fit.voxels(points), float(time) % 1.0
    nodes, first = fit.correction.nodes(voxels, time), fit.network.in_channels
    lists = [(node.voxels, node.time) for node in nodes]
    of_fit = fit._at(SharedPlaces.of(lists), compile)
    places, added = SharedPlaces.of([(voxels, time), *lists]), fit._added(points, time)
    for one in draws:
        logits, *own = one._at(places, compile)
        more = sum(
            node.weight * (cut_off(theirs[first:]) - cut_off(mine[first:]))
            for node, theirs, mine in zip(nodes, of_fit, own)
        )
        yield one._corrected(logits, added + more)


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
    try:
        network = load_weights(untrained(**saved.options), weights)
    except OtherTime:
        network = None
    if network is None or digest_of(network) != saved.digest:
        raise InputError(
            f"{saved.path}: was fitted with other weights than {weights}; name the right ones with --model"
        )
    return network.to(device).eval()
