"""Scan in, fitted and sampled prediction out.

MONAI calls an inferer with the image alone, so everything else about the scan is in the ``Scan`` in the image's meta
(see ``transforms.scan``); an image without one is fitted too, in the relative frame of its affine. The prediction's
meta has the same ``Scan``, with the fit and its quality.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from monai.data import MetaTensor
from monai.inferers import Inferer
from monai.utils import convert_to_dst_type

from nisf.fit.adam import fit_adam
from nisf.fit.blending import Correction, blend
from nisf.fit.gauss_newton import fit_gauss_newton
from nisf.fit.joint import SeriesPoints, fit_together
from nisf.fit.points import GridPoints
from nisf.fit.posterior import LatentFit
from nisf.geometry.frame import CoordinateFrame
from nisf.models.nisf import NISF
from nisf.quality.assess import assess
from nisf.quality.record import Quality
from nisf.quality.verdict import Judge
from nisf.sampling.on_grid import sample_grid
from nisf.sampling.uncertainty import sample_uncertainty
from nisf.transforms.scan import SCAN, Scan, scan_of
from nisf.utils.errors import InputError


def points_of(image: torch.Tensor, network: NISF) -> GridPoints:
    """The point source of an image [C, X, Y, Z, T] by its ``Scan``; in the relative frame if it has none."""
    if image.ndim != 5 or image.shape[0] != network.in_channels:
        raise InputError(f"the scan has shape {tuple(image.shape)}; [{network.in_channels}, X, Y, Z, T] is needed")
    scan, frame = scan_of(image), scan_of(image).frame
    if frame is None:
        affine = image.affine.numpy() if isinstance(image, MetaTensor) else torch.eye(4).numpy()
        frame = CoordinateFrame.relative(affine, tuple(image.shape[1:4]), scan.times, network.coord_dims)
    plain = image.as_tensor() if isinstance(image, MetaTensor) else image
    unet_prob = None
    if scan.unet_prob is not None:  # points of the frames that the U-Net has seen
        seen = replace(frame, times=tuple(frame.times[t] for t in scan.unet_prob.frames))
        unet_prob = GridPoints(seen, scan.unet_prob.values.cpu(), scan.kept_slices, mask=scan.mask)
    return GridPoints(frame, plain.cpu(), scan.kept_slices, unet_prob, scan.kept_frames, scan.mask)


class NISFInferer(Inferer):
    """Fits a latent to a scan and samples the network on the scan's grid.

    Works wherever MONAI calls ``inferer(inputs, network)`` under ``no_grad``. It uses no label. ``fitted`` keeps the
    Scans of the last call, with their fits.

    Args:
        fit: ``fit(network, points) -> LatentFit``: ``fit_gauss_newton`` or ``fit_adam`` with their options bound.
        chunk: number of points sampled at once.
        bf16: sample in bfloat16 where the hardware has it.
        uncertainty_draws: number of posterior draws for uncertainty maps; 0 for no maps.
        seed: random seed of these draws.
        unet_blend: weight of the U-Net probabilities, if any, in the class probabilities.
        grid_step: maximum distance of the first samples in plane, mm; see ``sample_grid``.
        judge: judge of the fit's quality.
    """

    def __init__(
        self,
        fit: Callable[[NISF, GridPoints], LatentFit] = fit_gauss_newton,
        chunk: int = 4096,
        bf16: bool = True,
        uncertainty_draws: int = 0,
        seed: int = 0,
        unet_blend: float = 0.0,
        grid_step: float = 0.0,
        judge: Judge | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= unet_blend <= 1:
            raise InputError(f"unet_blend is {unet_blend}; it must be from 0 to 1")
        self.blend, self.grid_step = unet_blend, grid_step
        if chunk < 1 or uncertainty_draws < 0 or grid_step < 0:
            raise InputError(
                f"chunk is {chunk}, uncertainty_draws {uncertainty_draws}, grid_step {grid_step}; at least 1, 0, 0 are "
                "needed"
            )
        self.fitted: list[Scan] = []
        self.judge = Judge(heart=False) if judge is None else judge
        self.fit, self.chunk, self.bf16, self.draws, self.seed = fit, chunk, bf16, uncertainty_draws, seed

    def __call__(self, inputs: torch.Tensor, network: NISF, *args: object, **kwargs: object) -> torch.Tensor:
        """Predicts scans.

        Args:
            inputs: [B, C, X, Y, Z, T]; a MetaTensor keeps its file name, affine and ``Scan``.
            network: the trained network.

        Returns:
            [B, C + K, X, Y, Z, T] float16: reconstruction, then class probabilities; with ``uncertainty_draws`` also
            the K + 2 maps of ``sample_uncertainty``. As a MetaTensor it has the ``Scan`` with its fit; for a collated
            batch a list of them, which MONAI decollates.
        """
        predictions, self.fitted = [], []
        for image in inputs:
            points, scan = points_of(image, network), scan_of(image)
            series = [SeriesPoints.of_world(points.frame, s.points, s.times, s.intensity) for s in scan.series]
            fit = fit_together(network, points, series, self.fit)
            values, quality = self._sample(
                network, fit, points, self.judge.of_inputs(scan.inputs()), scan.missing_slices
            )
            predictions.append(values)
            self.fitted.append(replace(scan, frame=points.frame, fit=fit, quality=quality))
        stacked = predictions[0].unsqueeze(0) if len(predictions) == 1 else torch.stack(predictions)
        out = convert_to_dst_type(stacked, inputs, dtype=torch.float16, device=torch.device("cpu"))[0]
        if isinstance(out, MetaTensor):
            out.meta[SCAN] = list(self.fitted) if inputs.is_batch else self.fitted[0]
        return out

    def _sample(
        self, network: NISF, fit: LatentFit, points: GridPoints, judge: Judge, missing: Sequence[int]
    ) -> tuple[torch.Tensor, Quality]:
        """The prediction of a fit and its quality; sets the fit's ``correction``. ``missing``: slices not there."""
        frame = points.frame
        values = sample_grid(network, fit.latent, fit.frame(frame), self.chunk, bf16=self.bf16, coarsest=self.grid_step)
        classes = values[network.in_channels :]
        blended = None
        if points.unet_prob is not None and self.blend:
            temperature = float(network.temperature)
            fit.correction = Correction.of(classes, points.unet_prob, self.blend, temperature, points.unet_frames)
            blended = blend(classes, fit.correction, frame.times, temperature)
        numbers, slices = assess(network, fit, points, values, blended)
        quality = judge(numbers, {**slices, "missing": list(missing)})
        if blended is not None:
            values[network.in_channels :] = blended
        if not self.draws:
            return values, quality
        draws = fit.sample(self.draws, self.seed)
        found = sample_uncertainty(network, fit, draws, fit.start(frame), self.chunk, bf16=self.bf16)
        return torch.cat([values, found]), quality


class FitCurveInferer(Inferer):
    """Dice and loss along the steps of Adam fits, to choose the early stop on validation subjects.

    The labels only score; the fit never sees them. The Dice of a step is over the points drawn for it in all labelled
    frames.

    Args:
        steps: maximum number of steps.
        options: options of ``fit_adam``.
    """

    def __init__(self, steps: int, **options: object) -> None:
        super().__init__()
        self.steps, self.options = steps, options

    def __call__(
        self, inputs: torch.Tensor, network: NISF, label: torch.Tensor | None = None, *args: object, **kwargs: object
    ) -> dict:
        """``dice`` [B, steps, K - 1] (NaN where a class has no point) and ``loss`` [B, steps]."""
        if label is None:
            label = -torch.ones_like(inputs[:, :1])  # no labels: the Dice is NaN throughout
        curves = [self._curve(image, truth, network) for image, truth in zip(inputs, label)]
        return {"dice": torch.stack([c[0] for c in curves]), "loss": torch.stack([c[1] for c in curves])}

    def _curve(self, image: torch.Tensor, truth: torch.Tensor, network: NISF) -> tuple[torch.Tensor, torch.Tensor]:
        steps, classes = self.steps, network.num_classes
        counts = torch.zeros(steps, 3, classes - 1)  # intersection, predicted, true
        flat = truth.reshape(-1)

        def score(step: int, output: torch.Tensor, indices: torch.Tensor) -> None:
            label = flat[indices].long()
            seen = label >= 0
            predicted = output[0, network.in_channels :].argmax(dim=0).cpu()
            for c in range(1, classes):
                p, t = (predicted == c) & seen, label == c
                counts[step - 1, :, c - 1] += torch.stack([(p & t).sum(), p.sum(), t.sum()])

        fit = fit_adam(network, points_of(image, network), steps=steps, callback=score, **self.options)
        dice = 2 * counts[:, 0] / (counts[:, 1] + counts[:, 2])
        return dice, torch.tensor([h["loss"] for h in fit.history])
