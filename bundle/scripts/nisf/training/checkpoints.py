"""Checkpoints of a training: written completely to disk, found again, never mixed with those of another training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from ignite.engine import Events
from ignite.handlers import Checkpoint
from ignite.handlers.checkpoint import BaseSaveHandler
from monai.engines import SupervisedTrainer
from monai.handlers import CheckpointLoader

from nisf.utils.distributed import rank
from nisf.utils.errors import InputError
from nisf.utils.tensors import save_tensors

PATTERN = "checkpoint_epoch={global_step}.{ext}"


def checkpoints_in(folder: str | Path) -> list[Path]:
    """The checkpoints of a folder, by increasing number of epochs."""
    return sorted(Path(folder).glob("checkpoint_epoch=*.pt"), key=epochs_of)


def epochs_of(path: Path) -> int:
    """Number of epochs of a checkpoint, from its name."""
    return int(path.stem.split("=")[1])


def newest_checkpoint(folder: str | Path) -> Path | None:
    """The training checkpoint with the most epochs in ``folder``."""
    return next(reversed(checkpoints_in(folder)), None)


def load_checkpoint(path: Path, mmap: bool = False) -> dict:
    """The content of a checkpoint, only tensors and plain types.

    Args:
        path: its file.
        mmap: map the tensors from the file, of which only what is used is then read.

    Raises:
        InputError: the file is cut off, damaged, or holds code.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except Exception as error:  # torch raises a different type for each way in which a file can be broken
        raise InputError(
            f"{path}: the checkpoint is damaged or cut off ({type(error).__name__}); "
            "delete it to use the one before, or start again"
        ) from error


class ToDisk(BaseSaveHandler):
    """Saves the files of Ignite's ``Checkpoint`` in a folder, each atomically, by the first process alone.

    Ignite's own ``DiskSaver`` does not wait for the disk. Half-written files of a killed run are removed.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if rank() == 0:
            for part in self.folder.glob(".*.checkpoint_epoch=*.pt"):
                part.unlink(missing_ok=True)

    def __call__(self, checkpoint: Mapping, filename: str, metadata: Mapping | None = None) -> None:
        """Writes a checkpoint. Raises as ``save_tensors``.

        Two are kept. The older is removed before a new one is written, so that one is always whole and space is free.
        """
        if rank() == 0:
            for path in checkpoints_in(self.folder)[:-1]:
                path.unlink(missing_ok=True)
            save_tensors(checkpoint, self.folder / filename)

    def remove(self, filename: str) -> None:
        """Removes a checkpoint; Ignite calls it if it counts them itself."""
        (self.folder / filename).unlink(missing_ok=True)


class _Of:
    """The training that a checkpoint is of, among the objects of Ignite's ``Checkpoint``."""

    def __init__(self, training: str) -> None:
        self.training = training

    def state_dict(self) -> dict:
        """The content."""
        return {"id": self.training}


def training_of(path: Path) -> str:
    """The name of the training that a checkpoint is of.

    Raises:
        InputError: the file is damaged, or no checkpoint of a training.
    """
    content = load_checkpoint(path, mmap=True)
    try:
        return str(content["training"]["id"])
    except (KeyError, TypeError, IndexError) as error:
        raise InputError(f"{path}: is no checkpoint of a training; remove it, or leave out --resume") from error


def saver_of(objects: Mapping[str, object], folder: str | Path, training: str) -> Checkpoint:
    """A handler that writes ``checkpoint_epoch=N.pt`` with the name of the training; see ``ToDisk``."""
    return Checkpoint(
        {**objects, "training": _Of(training)},
        ToDisk(folder),
        filename_pattern=PATTERN,
        n_saved=None,
        global_step_transform=lambda engine, _: engine.state.epoch,
    )


def run_trainer(
    trainer: SupervisedTrainer, state: Mapping[str, object], folder: Path, checkpoint_interval: int, training: str
) -> None:
    """Runs a trainer to its end with checkpoints in ``folder``, from the newest of them where there is one.

    Args:
        trainer: the training engine.
        state: what a checkpoint holds, by name.
        folder: folder with the checkpoints of this training and of no other.
        checkpoint_interval: epochs between checkpoints.
        training: name of the training.
    """
    objects, newest = dict(state), newest_checkpoint(folder)
    if newest is not None:
        if epochs_of(newest) >= trainer.state.max_epochs:  # all epochs are done
            Checkpoint.load_objects(objects, load_checkpoint(newest))
            return
        CheckpointLoader(str(newest), objects, map_location="cpu").attach(trainer)
    saver = saver_of(objects, folder, training)
    trainer.add_event_handler(Events.EPOCH_COMPLETED(every=checkpoint_interval) | Events.COMPLETED, saver)
    trainer.run()
