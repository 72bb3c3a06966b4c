"""The paper's losses."""

from __future__ import annotations

import torch
from monai.losses import DiceLoss
from torch import nn
from torch.nn import functional as F


def class_bce(logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Binary cross entropy of softmax probabilities against one-hot labels, mean over classes and points.

    Args:
        logits: class logits [B, K, N].
        label: integer classes [B, 1, N].
    """
    log_p = F.log_softmax(logits, dim=1)
    # log(1 - p) through expm1 stays precise for p near 0; the clamp keeps it finite for p = 1
    log_q = torch.log((-torch.expm1(log_p)).clamp_min(1e-7))
    of_label = log_p.gather(1, label) - log_q.gather(1, label)
    return -(log_q.sum(dim=1, keepdim=True) + of_label).mean() / logits.shape[1]


class NISFLoss(nn.Module):
    """``BCE(classes) + Dice(classes) + alpha * BCE(intensity) + latent_l2 * |h|^2`` (NISF, MICCAI 2023, training loss).

    The L2 penalty on the weights is the optimiser's ``weight_decay``. Subjects without a label contribute
    their intensities only.

    Args:
        alpha: weight of the reconstruction.
        latent_l2: weight of the squared norm of the latent, mean over subjects.
        num_channels: number of image channels C, which come first in the network's output.
    """

    def __init__(self, alpha: float = 10.0, latent_l2: float = 1e-4, num_channels: int = 1) -> None:
        super().__init__()
        self.alpha = alpha
        self.latent_l2 = latent_l2
        self.num_channels = num_channels
        self.dice = DiceLoss(softmax=True, to_onehot_y=True, include_background=False, batch=True)

    def forward(
        self, output: torch.Tensor, intensity: torch.Tensor, label: torch.Tensor, latent: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """The terms and their sum.

        Args:
            output: logits [B, C + K, N].
            intensity: intensities [B, C, N] in [0, 1].
            label: classes [B, 1, N]; a row of -1 marks a frame without label.
            latent: latents [B, L].

        Returns:
            ``loss`` and its parts ``intensity``, ``classes``, ``dice``, ``latent``, unweighted.
        """
        reconstruction = F.binary_cross_entropy_with_logits(output[:, : self.num_channels], intensity)
        penalty = latent.square().sum(dim=1).mean()
        labelled = label[:, 0, 0] >= 0
        classes = dice = output.new_zeros(())
        if labelled.any():
            logits, target = output[labelled, self.num_channels :], label[labelled].long()
            classes, dice = class_bce(logits, target), self.dice(logits, target)
        loss = classes + dice + self.alpha * reconstruction + self.latent_l2 * penalty
        return {"loss": loss, "intensity": reconstruction, "classes": classes, "dice": dice, "latent": penalty}
