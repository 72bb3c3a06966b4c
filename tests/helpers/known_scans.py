"""A small network with a prior, and scans that it generates from known latents."""

import numpy as np
import torch

from nisf.fit.points import GridPoints
from nisf.fit.prior import bounds_of, set_initial_latent
from nisf.geometry.frame import CoordinateFrame
from nisf.models.nisf import NISF

GRID = (8, 7, 3)
TIMES = (0.0, 0.3, 0.6)
ALL = 10**6  # more points than any scan here has
#: Every point from the first step on, and a fixed number of steps.
WHOLE = {"start_points": ALL, "final_points": ALL, "tolerance": 0.0}


def a_frame():
    """A physical frame in mm of a grid [8, 7, 3] with three frames, off centre."""
    return CoordinateFrame.physical(np.diag([2.0, 1.5, 8.0, 1.0]), GRID, TIMES, 4, half_field=8.0, center=(1.0, -0.5))


def a_network(channels=1, contrast=2.0, guess=True, seed=5):
    """A small random network with a prior whose dimensions are correlated."""
    torch.manual_seed(seed)
    sizes = {"hidden_size": 16, "latent_size": 4, "num_layers": 2, "omega0": 3.0, "sigma0": 1.0, "num_probes": 64}
    network = NISF(num_classes=3, in_channels=channels, **sizes)
    mixed = [[0.2, 0.0, 0.0, 0.0], [0.05, 0.15, 0.0, 0.0], [-0.05, 0.025, 0.2, 0.0], [0.0, 0.05, 0.05, 0.15]]
    with torch.no_grad():
        network.intensity_head.weight.mul_(contrast)
        network.latent_mean.copy_(torch.tensor([0.2, -0.1, 0.1, 0.3]))
        network.latent_factor.copy_(torch.tensor(mixed))
    if guess:
        set_initial_latent(network, *bounds_of([a_frame()], 4), draws=200)
    return network


def draws(network, number, seed=0):
    """Latents from the prior."""
    z = torch.randn(number, network.latent_size, generator=torch.Generator().manual_seed(seed))
    return network.latent_mean + z @ network.latent_factor.t()


@torch.no_grad()
def image_of(network, latent, frame=a_frame()):
    """The noise-free image of a latent."""
    logits = network(frame.points(torch.arange(frame.size))[None], latent[None])[0, : network.in_channels]
    return logits.sigmoid().reshape(-1, *frame.shape, len(frame.times))


def clean_scans(network, latents):
    """Noise-free scans of latents [N, L]."""
    return [GridPoints(a_frame(), image_of(network, latent)) for latent in latents]


def noisy_scans(network, latents, seed=0):
    """Images of 0 and 1, drawn with the network's intensity as the probability of a 1."""
    generator = torch.Generator().manual_seed(seed)
    return [GridPoints(a_frame(), torch.bernoulli(image_of(network, h), generator=generator)) for h in latents]


def grey_scan(network, latent, seed=0):
    """Grey values with noise of a standard deviation of 0.05."""
    image = image_of(network, latent)
    noise = 0.05 * torch.randn(image.shape, generator=torch.Generator().manual_seed(seed))
    return GridPoints(a_frame(), (image + noise).clamp(0, 1))


def exact(network):
    """A copy in float64 without weight gradients."""
    copy = a_network(network.in_channels, guess=False).double().requires_grad_(False)
    copy.load_state_dict(network.state_dict())
    return copy


def logits_of(network, scan, z):
    """Intensity logits [C, N] of all points of a scan at the whitened latent ``z``; ``network`` as from ``exact``."""
    coords, _ = scan.take(torch.arange(len(scan)))
    latent = network.latent_mean + network.latent_factor @ z
    return network(coords[None].double(), latent[None])[0, : network.in_channels]


def objective_of(network, scan, prior_weight, z):
    """Mean BCE over all points and channels plus the prior's penalty."""
    p = logits_of(network, scan, z).sigmoid()
    y = scan.take(torch.arange(len(scan)))[1].double()
    loss = -(y * p.log() + (1 - y) * (1 - p).log()).mean()
    return loss + prior_weight / 2 * z.square().sum()


def whitened(network, latent):
    """A latent [L] as z [L] in float64, ``latent = mean + factor z``."""
    return torch.linalg.solve(network.latent_factor, latent.double() - network.latent_mean)


def floor_of(scan):
    """The loss of a perfect reconstruction."""
    p = scan.image.double()
    return float(-(p * p.log() + (1 - p) * (1 - p).log()).mean())
