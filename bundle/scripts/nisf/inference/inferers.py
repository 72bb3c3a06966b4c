"""Scan in, fitted and sampled prediction out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
from nisf.quality.verdict import Judge
from nisf.sampling.on_grid import sample_grid, sample_uncertainty
from nisf.utils.errors import InputError


def points_of(image: torch.Tensor, network: NISF) -> GridPoints:
    """The point source of one scan [C, X, Y, Z, T].

    Its coordinate frame is read from the image's meta (``CropToFieldd`` puts it there); without it the relative frame
    of the affine is taken. So is U-Net probabilities (``AttachUNetProbd``).
    """
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
    kept, mask = meta.get("kept_slices"), meta.get("mask")
    unet_prob = _unet_prob_of(meta, frame, kept, mask)
    return GridPoints(frame, plain.cpu(), kept, unet_prob, meta.get("kept_frames"), mask)


def series_of(image: torch.Tensor, frame: CoordinateFrame) -> list[SeriesPoints]:
    """Other series of the subject, read from the image's meta (``AttachPartiald``), in the scan's coordinate frame."""
    found = image.meta.get("series", []) if isinstance(image, MetaTensor) else []
    return [SeriesPoints.of_world(frame, **one) for one in found]


def _unet_prob_of(
    meta: Mapping[str, object], frame: CoordinateFrame, kept: list[int] | None, mask: torch.Tensor | None
) -> GridPoints | None:
    """U-Net probabilities as points of the frames that it was made of."""
    if "unet_prob" not in meta:
        return None
    found = meta["unet_prob"]
    times = tuple(frame.times[t] for t in found["frames"])
    return GridPoints(replace(frame, times=times), found["values"].cpu(), kept, mask=mask)


class NISFInferer(Inferer):
    """Fits a latent to a scan and samples the network on the scan's grid.

    Works wherever MONAI calls ``inferer(inputs, network)`` under ``no_grad``. No label is used. The fits of the last
    call are kept in ``fits``.

    Args:
        fit: ``fit(network, points) -> LatentFit``: ``fit_gauss_newton`` or ``fit_adam`` with their options bound.
        chunk: points sampled at once.
        bf16: sample in bfloat16 where the hardware has it.
        uncertainty_draws: draws from the posterior for maps of uncertainty; 0 for none.
        seed: of those draws.
        unet_blend: weight of the U-Net probabilities, where there is any, in the class probabilities.
        step: as in ``sample_grid``.
        judge: makes a verdict of the fit's quality.
    """

    def __init__(
        self,
        fit: Callable[[NISF, GridPoints], LatentFit] = fit_gauss_newton,
        chunk: int = 8192,
        bf16: bool = True,
        uncertainty_draws: int = 0,
        seed: int = 0,
        unet_blend: float = 0.0,
        step: int = 1,
        judge: Judge | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= unet_blend <= 1:
            raise InputError(f"unet_blend is {unet_blend}; it must be from 0 to 1")
        self.blend, self.step = unet_blend, step
        if chunk < 1 or uncertainty_draws < 0 or step < 1:
            raise InputError(
                f"chunk is {chunk}, uncertainty_draws {uncertainty_draws}, step {step}; at least 1, 0, 1 are needed"
            )
        self.fits: list[LatentFit] = []
        self.judge = Judge(heart=False) if judge is None else judge
        self.fit, self.chunk, self.bf16, self.draws, self.seed = fit, chunk, bf16, uncertainty_draws, seed

    def __call__(self, inputs: torch.Tensor, network: NISF, *args: object, **kwargs: object) -> torch.Tensor:
        """Prediction of scans.

        Args:
            inputs: [B, C, X, Y, Z, T]; a MetaTensor keeps its file name and affine.
            network: the trained network.

        Returns:
            [B, C + K, X, Y, Z, T] float16: reconstruction, then class probabilities; with ``uncertainty_draws`` also
            the K + 2 maps of ``sample_uncertainty``. As a MetaTensor its meta holds the fits under ``fit`` (a list, one
            a scan); not so for a collated batch, whose meta MONAI takes apart.
        """
        predictions, self.fits = [], []
        for image in inputs:
            points = points_of(image, network)
            fit = fit_together(network, points, series_of(image, points.frame), self.fit)
            predictions.append(self._sample(network, fit, points))
            self.fits.append(fit)
        stacked = predictions[0].unsqueeze(0) if len(predictions) == 1 else torch.stack(predictions)
        out = convert_to_dst_type(stacked, inputs, dtype=torch.float16, device=torch.device("cpu"))[0]
        if isinstance(out, MetaTensor) and not inputs.is_batch:
            out.meta["fit"] = self.fits
        return out

    def _sample(self, network: NISF, fit: LatentFit, points: GridPoints) -> torch.Tensor:
        frame = points.frame
        values = sample_grid(network, fit.latent, fit.frame(frame), self.chunk, bf16=self.bf16, step=self.step)
        classes = values[network.in_channels :]
        blended = None
        if points.unet_prob is not None and self.blend:
            temperature = float(network.temperature)
            fit.correction = Correction.of(classes, points.unet_prob, self.blend, temperature, points.unet_frames)
            blended = blend(classes, fit.correction, frame.times, temperature)
        fit.quality, slices = assess(network, fit, points, values, blended)
        fit.verdict = self.judge(fit.quality, slices)
        if blended is not None:
            values[network.in_channels :] = blended
        if not self.draws:
            return values
        draws = fit.sample(self.draws, self.seed)
        found = sample_uncertainty(
            network, draws, fit.start(frame), self.chunk, bf16=self.bf16, correction=fit.correction
        )
        return torch.cat([values, found])


class FitCurveInferer(Inferer):
    """Adam fits with the labels looking on: Dice and loss along the steps, to choose the early stop on validation
    subjects.

    The labels only score; the fit never sees them. Dice is that of the points drawn for each step, over all labelled
    frames.

    Args:
        steps: the most steps.
        options: of ``fit_adam``.
    """

    def __init__(self, steps: int, **options: object) -> None:
        super().__init__()
        self.steps, self.options = steps, options

    def __call__(
        self, inputs: torch.Tensor, network: NISF, label: torch.Tensor | None = None, *args: object, **kwargs: object
    ) -> dict:
        """``dice`` [B, steps, K - 1] (NaN where a class has no point) and ``loss`` [B, steps]."""
        if label is None:
            label = -torch.ones_like(inputs[:, :1])  # nobody labelled this scan: its Dice is NaN throughout
        curves = [self._curve(image, truth, network) for image, truth in zip(inputs, label)]
        return {"dice": torch.stack([c[0] for c in curves]), "loss": torch.stack([c[1] for c in curves])}

    def _curve(self, image: torch.Tensor, truth: torch.Tensor, network: NISF) -> tuple[torch.Tensor, torch.Tensor]:
        steps, classes = self.steps, network.num_classes
        counts = torch.zeros(steps, 3, classes - 1)  # intersection, predicted, true
        flat = truth.reshape(-1)

        def look(step: int, output: torch.Tensor, indices: torch.Tensor) -> None:
            label = flat[indices].long()
            seen = label >= 0
            predicted = output[0, network.in_channels :].argmax(dim=0).cpu()
            for c in range(1, classes):
                p, t = (predicted == c) & seen, label == c
                counts[step - 1, :, c - 1] += torch.stack([(p & t).sum(), p.sum(), t.sum()])

        fit = fit_adam(network, points_of(image, network), steps=steps, callback=look, **self.options)
        dice = 2 * counts[:, 0] / (counts[:, 1] + counts[:, 2])
        return dice, torch.tensor([h["loss"] for h in fit.history])
