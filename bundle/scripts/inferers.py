"""Scan in, fitted and sampled prediction out."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from monai.data import MetaTensor
from monai.inferers import Inferer
from monai.utils import convert_to_dst_type

from scripts.errors import InputError
from scripts.fitting import GridPoints, LatentFit, fit_adam
from scripts.geometry import CoordinateFrame
from scripts.networks import NISF

logger = logging.getLogger(__name__)


@torch.no_grad()
def sample_grid(
    network: NISF, latent: torch.Tensor, frame: CoordinateFrame, chunk: int = 16384, dtype: torch.dtype = torch.float16
) -> torch.Tensor:
    """Reconstruction and class probabilities on the grid of a coordinate frame.

    Points are evaluated ``chunk`` at a time straight into the result, so memory is the result's and little more.

    Returns:
        [C + K, X, Y, Z, T] in [0, 1] of ``dtype``, on the CPU.
    """
    device = network.latent_mean.device
    channels = network.in_channels
    out = torch.empty((channels + network.num_classes, frame.size), dtype=dtype)
    latent = latent.to(device).unsqueeze(0)
    for start in range(0, frame.size, chunk):
        indices = torch.arange(start, min(start + chunk, frame.size))
        logits = network(frame.points(indices).unsqueeze(0).to(device), latent)[0].float()
        values = torch.cat([logits[:channels].sigmoid(), logits[channels:].softmax(dim=0)])
        out[:, start : start + len(indices)] = values.to(dtype).cpu()
    return out.reshape(-1, *frame.shape, len(frame.times))


class NISFInferer(Inferer):
    """Fits a latent to a scan and samples the network on the scan's grid.

    Works wherever MONAI calls ``inferer(inputs, network)`` under ``no_grad``. The scan's coordinate frame is read from
    the image's meta (``CropToFieldd`` puts it there); without it the relative frame of the affine is taken. No label is
    used. The fits of the last call are kept in ``fits``.

    Args:
        steps: Adam steps; None takes the network's own ``fit_steps``, found on validation subjects during training.
        lr: Adam's step size.
        latent_l2: weight of the squared norm of the latent.
        points_per_step: points a step; None is all.
        chunk: points evaluated at once.
        seed: of the draws; every scan starts from the same seed, so results do not depend on the order of scans.

    Raises:
        InputError: steps, points_per_step or chunk is below 1.
    """

    def __init__(
        self,
        steps: int | None = None,
        lr: float = 1e-2,
        latent_l2: float = 1e-4,
        points_per_step: int | None = 4096,
        chunk: int = 8192,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, value in {"steps": steps, "points_per_step": points_per_step, "chunk": chunk}.items():
            if value is not None and value < 1:
                raise InputError(f"{name} of the fit is {value}; it must be 1 or more")
        self.fits: list[LatentFit] = []
        self.steps, self.lr, self.latent_l2 = steps, lr, latent_l2
        self.points_per_step, self.chunk, self.seed = points_per_step, chunk, seed

    def points_of(self, image: torch.Tensor, network: NISF) -> GridPoints:
        """The point source of one scan [C, X, Y, Z, T]."""
        meta = image.meta if isinstance(image, MetaTensor) else {}
        if image.ndim != 5 or image.shape[0] != network.in_channels:
            raise InputError(f"the scan has shape {tuple(image.shape)}; [{network.in_channels}, X, Y, Z, T] is needed")
        if "frame" in meta:
            frame = CoordinateFrame.from_dict(meta["frame"])
        else:
            affine = image.affine.numpy() if isinstance(image, MetaTensor) else torch.eye(4).numpy()
            times = meta.get("times", [i / image.shape[-1] for i in range(image.shape[-1])])
            frame = CoordinateFrame.relative(affine, tuple(image.shape[1:4]), tuple(times), network.coord_dims)
        plain = image.as_tensor() if isinstance(image, MetaTensor) else image
        return GridPoints(frame, plain.cpu(), meta.get("kept_slices"))

    def fit(
        self, image: torch.Tensor, network: NISF, callback: Callable | None = None, steps: int | None = None
    ) -> LatentFit:
        """The latent of one scan [C, X, Y, Z, T]."""
        return fit_adam(
            network,
            self.points_of(image, network),
            steps=steps or self.steps or int(network.fit_steps),
            lr=self.lr,
            latent_l2=self.latent_l2,
            points_per_step=self.points_per_step,
            chunk=self.chunk,
            seed=self.seed,
            callback=callback,
        )

    def __call__(self, inputs: torch.Tensor, network: NISF, *args: object, **kwargs: object) -> torch.Tensor:
        """Prediction of scans.

        Args:
            inputs: [B, C, X, Y, Z, T]; a MetaTensor keeps its file name and affine.
            network: the trained network.

        Returns:
            [B, C + K, X, Y, Z, T] float16: reconstruction, then class probabilities. As a MetaTensor its meta holds the
            fits under ``fit`` (a list, one a scan); not so for a collated batch, whose meta MONAI takes apart.
        """
        predictions, self.fits = [], []
        for image in inputs:
            fit = self.fit(image, network)
            predictions.append(sample_grid(network, fit.latent, self.points_of(image, network).frame, self.chunk))
            self.fits.append(fit)
        out = convert_to_dst_type(torch.stack(predictions), inputs, dtype=torch.float16, device=torch.device("cpu"))[0]
        if isinstance(out, MetaTensor) and not inputs.is_batch:
            out.meta["fit"] = self.fits
        return out


class FitCurveInferer(NISFInferer):
    """Fits with the labels looking on: Dice and loss along the steps, to choose the early stop on validation subjects.

    The labels only score; the fit never sees them. Dice is that of the points drawn for each step, over all labelled
    frames.
    """

    def __call__(
        self, inputs: torch.Tensor, network: NISF, label: torch.Tensor | None = None, *args: object, **kwargs: object
    ) -> dict:
        """``dice`` [B, steps, K - 1] (NaN where a class has no point) and ``loss`` [B, steps]."""
        if label is None:
            label = -torch.ones_like(inputs[:, :1])  # nobody labelled this scan: its Dice is NaN throughout
        curves = [self._curve(image, truth, network) for image, truth in zip(inputs, label)]
        return {"dice": torch.stack([c[0] for c in curves]), "loss": torch.stack([c[1] for c in curves])}

    def _curve(self, image: torch.Tensor, truth: torch.Tensor, network: NISF) -> tuple[torch.Tensor, torch.Tensor]:
        steps, classes = self.steps or int(network.fit_steps), network.num_classes
        counts = torch.zeros(steps, 3, classes - 1)  # intersection, predicted, true
        flat = truth.reshape(-1)

        def look(step: int, output: torch.Tensor, indices: torch.Tensor) -> None:
            label = flat[indices].long()
            seen = label >= 0
            predicted = output[0, network.in_channels :].argmax(dim=0).cpu()
            for c in range(1, classes):
                p, t = (predicted == c) & seen, label == c
                counts[step - 1, :, c - 1] += torch.stack([(p & t).sum(), p.sum(), t.sum()])

        fit = self.fit(image, network, callback=look, steps=steps)
        dice = 2 * counts[:, 0] / (counts[:, 1] + counts[:, 2])
        return dice, torch.tensor([h["loss"] for h in fit.history])
