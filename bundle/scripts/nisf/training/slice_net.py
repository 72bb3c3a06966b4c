"""Training of the U-Net: its slices, its validation, its weights."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import torch
from monai.engines import SupervisedTrainer
from monai.inferers import Inferer
from torch.nn import functional as F

from nisf.models.slice_net import SliceNet, read_frames, unet_frames
from nisf.models.weights import save_weights
from nisf.training.checkpoints import run_trainer
from nisf.training.identity import finish, form_of, working_in
from nisf.training.store import MappedDataset, fill_stores
from nisf.utils.compile import in_bf16
from nisf.utils.distributed import rank
from nisf.utils.errors import InputError
from nisf.utils.files import check_writable
from nisf.utils.tensors import as_intensity, likeliest

logger = logging.getLogger(__name__)


def labelled(label: torch.Tensor) -> list[int]:
    """Labelled frames of [1, X, Y, Z, T].

    Raises:
        InputError: there are none.
    """
    frames = [t for t in range(label.shape[-1]) if bool((label[..., t] >= 0).all())]
    if not frames:
        raise InputError("a training subject has no labelled frame; leave it out of the data list")
    return frames


def prepare_stack(
    item: Mapping[str, torch.Tensor], device: torch.device, non_blocking: bool = False, **kwargs: object
) -> tuple:
    """A stored stack for validation: at most four labelled frames of image and label, and the spacing."""
    frames = labelled(item["label"])
    frames = [frames[i] for i in unet_frames(len(frames), 4)]
    image, label = as_intensity(item["image"].as_subclass(torch.Tensor)[..., frames]), item["label"][..., frames]
    return image.unsqueeze(0), label.unsqueeze(0), (item["spacing"],), {}


class MixedPrecisionInferer(Inferer):
    """Runs the network in bfloat16 where the hardware has it, and returns float32.

    Args:
        enabled: False runs it in float32.
    """

    def __init__(self, enabled: bool = True) -> None:
        self.enabled = enabled

    def __call__(self, inputs: torch.Tensor, network: torch.nn.Module, *args: object, **kwargs: object) -> torch.Tensor:
        """The network's output."""
        with in_bf16(inputs.device, self.enabled):
            return network(inputs, *args, **kwargs).float()


class StackInferer(Inferer):
    """Class probabilities [1, K, X, Y, Z, T] of a stack [1, C, X, Y, Z, T] on its own grid."""

    def __call__(
        self, inputs: torch.Tensor, network: SliceNet, spacing: Sequence[float], *args: object, **kwargs: object
    ) -> torch.Tensor:
        """The probabilities."""
        return read_frames(network, inputs[0], spacing).unsqueeze(0)


def labelled_frames(output: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Predicted and true classes of a validated stack, one-hot, with the frames as a batch: [T, K, X, Y, Z] each."""
    number = output["pred"].shape[1]
    predicted, true = likeliest(output["pred"][0]), output["label"][0, 0].long()
    first, second = (F.one_hot(classes, number).permute(3, 4, 0, 1, 2) for classes in (predicted, true))
    return first, second


def train_unet(
    trainer: SupervisedTrainer,
    state: Mapping[str, object],
    train_dataset: MappedDataset,
    val_dataset: MappedDataset,
    output_dir: str,
    checkpoint_interval: int,
    resume: bool,
) -> None:
    """Trains the U-Net and writes ``unet.pt`` in half precision.

    Args:
        trainer: the training engine.
        state: what a checkpoint holds, by name; among them ``average``, the network with averaged weights.
        train_dataset, val_dataset: stores of stacks.
        output_dir: folder of checkpoints and weights.
        checkpoint_interval: epochs between checkpoints.
        resume: go on with the training in ``output_dir``.
    """
    folder = check_writable(output_dir)
    with working_in(folder, resume, form_of(state, train_dataset.data, val_dataset.data)) as training:
        fill_stores({"training": train_dataset, "validation": val_dataset})
        run_trainer(trainer, state, folder, checkpoint_interval, training.id)
        if rank() == 0:
            logger.info("trained: %s", save_weights(state["average"].half(), folder / "unet.pt"))
            finish(folder)
