"""The implicit segmentation network: Gabor layers, the NISF trunk with its two heads, and the table of latents."""

from __future__ import annotations

import math

import torch
from torch import nn

from nisf.utils.errors import InputError


class GaborLayer(nn.Module):
    """Real Gabor wavelet layer: ``cos(omega0 * (W1 x + b1)) * exp(-(sigma0 * (W2 x + b2))**2)``.

    Both products are computed as one. Source: NISF (MICCAI 2023), after WIRE (Saragadam et al., CVPR 2023).

    Args:
        in_features: width of the input.
        out_features: number of wavelets.
        omega0: frequency factor of the cosine.
        sigma0: inverse width factor of the Gaussian envelope.
    """

    def __init__(self, in_features: int, out_features: int, omega0: float = 10.0, sigma0: float = 10.0) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, 2 * out_features)
        self.omega0 = float(omega0)
        self.sigma0 = float(sigma0)

    def activate(self, projected: torch.Tensor) -> torch.Tensor:
        """Wavelet of the two projections, [..., 2 * out] -> [..., out]."""
        frequency, scale = projected.chunk(2, dim=-1)
        return torch.cos(self.omega0 * frequency) * torch.exp(-((self.sigma0 * scale) ** 2))

    @torch.jit.unused
    def activate_with_slopes(self, projected: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """``activate`` and the derivative of each wavelet with respect to its two projections, [..., 2 * out]."""
        frequency, scale = projected.chunk(2, dim=-1)
        phase, envelope = self.omega0 * frequency, torch.exp(-((self.sigma0 * scale) ** 2))
        slopes = torch.empty_like(projected)
        of_frequency, of_scale = slopes.chunk(2, dim=-1)
        found = torch.cos(phase).mul_(envelope)
        torch.mul(torch.sin(phase, out=phase), envelope, out=of_frequency).mul_(-self.omega0)
        torch.mul(found, scale, out=of_scale).mul_(-2 * self.sigma0**2)
        return found, slopes

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Wavelets of the input, [..., in_features] -> [..., out_features]."""
        return self.activate(self.linear(x))


class NISF(nn.Module):
    """Neural implicit segmentation function: coordinates and a latent to intensity and class logits.

    The input of the first layer is ``[coordinate, latent]`` and the latent is also its residual,
    ``x = layer(cat(c, h)) + h``; then ``x = layer(x) + x`` and two linear heads (NISF, MICCAI 2023, section 2). If the
    latent's size differs from the hidden size, a linear map takes the latent to the residual.

    Args:
        num_classes: number of classes K, background included.
        in_channels: number of image channels C.
        coord_dims: number of coordinates, 4 for (x, y, z, t), 3 for a static volume.
        latent_size: length L of a subject's latent.
        hidden_size: width of the layers.
        num_layers: number of Gabor layers.
        omega0: frequency factor of the Gabor layers.
        sigma0: envelope factor of the Gabor layers.
        num_probes: number of coordinates whose intensities give the initial latent of a fit.
        closed_cycle: the time t, a fraction of the cardiac cycle, enters as ``cos(2 pi t), sin(2 pi t)``, so that the
            function at t = 1 is that at t = 0; needs four coordinates.
    """

    def __init__(
        self,
        num_classes: int = 4,
        in_channels: int = 1,
        coord_dims: int = 4,
        latent_size: int = 128,
        hidden_size: int = 128,
        num_layers: int = 8,
        omega0: float = 10.0,
        sigma0: float = 10.0,
        num_probes: int = 1024,
        closed_cycle: bool = False,
    ) -> None:
        super().__init__()
        if closed_cycle and coord_dims != 4:
            raise InputError(f"closed_cycle needs the time as the fourth coordinate, but coord_dims is {coord_dims}")
        self.num_classes = num_classes
        self.in_channels = in_channels
        self.coord_dims = coord_dims
        self.closed_cycle = closed_cycle
        #: number of inputs of the first layer that depend on the coordinates
        self.place_dims = coord_dims + int(closed_cycle)
        self.latent_size = latent_size
        self.hidden_size, self.num_layers, self.omega0, self.sigma0 = hidden_size, num_layers, omega0, sigma0
        self.first = GaborLayer(self.place_dims + latent_size, hidden_size, omega0, sigma0)
        self.layers = nn.ModuleList(GaborLayer(hidden_size, hidden_size, omega0, sigma0) for _ in range(num_layers - 1))
        self.residual = nn.Identity() if latent_size == hidden_size else nn.Linear(latent_size, hidden_size, bias=False)
        self.intensity_head = nn.Linear(hidden_size, in_channels)
        self.class_head = nn.Linear(hidden_size, num_classes)
        # the Gaussian prior over latents, filled from the training population (nisf.fit.prior)
        self.register_buffer("latent_mean", torch.zeros(latent_size))
        self.register_buffer("latent_factor", torch.eye(latent_size))  # lower Cholesky factor of the covariance
        self.register_buffer("num_subjects", torch.tensor(0))
        # Cholesky factor of the prior over the change of a fit's starting pose; zero if the pose is not fitted
        self.register_buffer("pose_factor", torch.zeros(6, 6))
        # initial latent of a fit: latent_mean + guess_gain @ (intensities at guess_coords - guess_mean)
        self.register_buffer("guess_coords", torch.zeros(coord_dims, num_probes))
        self.register_buffer("guess_mean", torch.zeros(in_channels, num_probes))
        self.register_buffer("guess_gain", torch.zeros(latent_size, in_channels * num_probes))
        # Adam steps of a fit, found on validation subjects during training (the paper's early stop)
        self.register_buffer("fit_steps", torch.tensor(200))
        # divisor of the class logits before the softmax, from validation subjects (nisf.training.calibration)
        self.register_buffer("temperature", torch.tensor(1.0))
        self.reset_parameters()

    @torch.jit.unused
    def options(self) -> dict[str, float]:
        """The arguments that build a network of this shape."""
        whole = ("num_classes", "in_channels", "coord_dims", "latent_size", "hidden_size", "num_layers")
        found = {name: int(getattr(self, name)) for name in whole}
        probes = int(self.guess_coords.shape[1])
        shape = {**found, "omega0": self.omega0, "sigma0": self.sigma0, "num_probes": probes}
        # named only where it is set: results and calibrations that do not name it have time as a plain number
        return {**shape, "closed_cycle": True} if self.closed_cycle else shape

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Initial weights with which every layer passes a signal.

        With PyTorch's default the envelope keeps about four in five wavelets of a hidden layer below 0.1. As in SIREN
        (Sitzmann et al., NeurIPS 2020) the weights are drawn from U(-sqrt(6 / n), sqrt(6 / n)) / factor, so that each
        argument has a standard deviation of about one, and those of the coordinates from U(-0.5, 0.5), a few radians
        over the field.
        """
        for layer in (self.first, *self.layers):
            weight, factors = layer.linear.weight, (layer.omega0, layer.sigma0)
            for half, factor in zip(weight.chunk(2), factors):
                bound = math.sqrt(6 / weight.shape[1]) / factor
                half.uniform_(-bound, bound)
            layer.linear.bias.uniform_(-0.1, 0.1)
        self.first.linear.weight[:, : self.place_dims].uniform_(-0.5, 0.5)

    def forward(self, coords: torch.Tensor, latent: torch.Tensor | None = None) -> torch.Tensor:
        """Logits at normalised coordinates.

        Args:
            coords: normalised coordinates [B, D, N], D = coord_dims.
            latent: latents [B, L], or None for the mean of the prior.

        Returns:
            [B, C + K, N] logits: C image channels (sigmoid gives the intensity), then K classes (softmax).
        """
        if latent is None:
            latent = self.latent_mean.unsqueeze(0).expand(coords.shape[0], -1)
        if torch.jit.is_scripting():  # TorchScript has no autocast to switch off
            x = self.enter(coords, latent)
        else:
            # float32 also under autocast: bfloat16 would round the coordinates to about eight bits
            with torch.autocast(coords.device.type, enabled=False):
                x = self.enter(coords, latent)
        return self.heads(self.trunk(x)).transpose(1, 2)

    def enter(self, coords: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        """The first layer, [B, D, N] and [B, L] -> [B, N, H]."""
        of_latent, residual = self.modulation(latent)
        return self.first.activate(self.project(coords) + of_latent.unsqueeze(1)) + residual.unsqueeze(1)

    # The parts of forward, for derivatives with respect to the latent at each point (nisf.fit.linearize).

    def project(self, coords: torch.Tensor) -> torch.Tensor:
        """The coordinates' part of the first product, [..., D, N] -> [..., N, 2 H]; the same for every latent."""
        if self.closed_cycle:
            angle = 2 * math.pi * coords[..., 3:, :]
            coords = torch.cat([coords[..., :3, :], angle.cos(), angle.sin()], dim=-2)
        return nn.functional.linear(coords.transpose(-2, -1), self.first.linear.weight[:, : self.place_dims])

    def modulation(self, latent: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The latent's part of the first product [..., 2 H] and its residual [..., H]: one row per subject."""
        weight = self.first.linear.weight[:, self.place_dims :]
        return nn.functional.linear(latent, weight, self.first.linear.bias), self.residual(latent)

    def trunk(self, x: torch.Tensor) -> torch.Tensor:
        """The layers after the first, [..., N, H] -> [..., N, H]."""
        for layer in self.layers:
            x = layer(x) + x
        return x

    def heads(self, x: torch.Tensor) -> torch.Tensor:
        """Intensity and class logits, [..., N, H] -> [..., N, C + K]."""
        return torch.cat([self.intensity_head(x), self.class_head(x)], dim=-1)

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits [B, C + K, N] to intensities and calibrated class probabilities in [0, 1]."""
        logits = logits.float()
        classes = logits[:, self.in_channels :] / self.temperature
        return torch.cat([logits[:, : self.in_channels].sigmoid(), classes.softmax(dim=1)], dim=1)


class LatentTable(nn.Embedding):
    """One trainable latent per training subject, drawn from N(0, std^2).

    Args:
        num_subjects: number of rows.
        latent_size: length of a latent.
        std: standard deviation of the initial values (paper's code: 1e-4).

    Gradients are sparse: a step changes only the rows of its subjects (see ``PopulationAdam``).
    """

    def __init__(self, num_subjects: int, latent_size: int, std: float = 1e-4) -> None:
        super().__init__(num_subjects, latent_size, sparse=True)
        nn.init.normal_(self.weight, std=std)

    def whole(self) -> torch.Tensor:
        """The latents of all training subjects, [N, L]."""
        return self.weight.detach()
