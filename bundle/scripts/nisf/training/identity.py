"""Which training the files of a folder belong to, so that ``resume`` never goes on with another one.

A training gets a name of its own before it changes anything. ``training_id.json`` says which training the folder is for
now, and each checkpoint says which one it is of. What an earlier training left is set aside.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from nisf.training.checkpoints import checkpoints_in, epochs_of, newest_checkpoint, training_of
from nisf.utils.digest import digest_of_settings
from nisf.utils.distributed import first_alone, rank
from nisf.utils.errors import InputError, Stopped
from nisf.utils.files import check_writable, set_aside, write_text
from nisf.utils.lock import alone

logger = logging.getLogger(__name__)

RECORD, LOCK = "training_id.json", "training.lock"

#: What a training leaves besides its checkpoints and would replace.
WEIGHTS = ("model.pt", "unet.pt")


@dataclass(frozen=True)
class Training:
    """The training of a folder.

    Attributes:
        id: random name.
        form: digest of its subjects and of the shapes of its tensors, see ``form_of``; empty before they are known.
        finished: whether its weights are written.
        process: the process that works or last worked on it.
    """

    id: str
    form: str = ""
    finished: bool = False
    process: str = ""

    def write(self, folder: Path) -> Training:
        """Writes ``training_id.json``."""
        write_text(folder / RECORD, json.dumps(asdict(self), indent=1) + "\n")
        return self


def training_in(folder: Path) -> Training | None:
    """The training that a folder is for; None where there is none.

    Without a record, as where checkpoints were copied, it is that of the newest checkpoint.

    Raises:
        InputError: the record or the checkpoint is damaged.
    """
    try:
        return Training(**json.loads((folder / RECORD).read_text(encoding="utf-8")))
    except FileNotFoundError:
        newest = newest_checkpoint(folder)
        return None if newest is None else Training(training_of(newest))
    except (ValueError, TypeError) as error:
        raise InputError(f"{folder / RECORD}: is damaged; train again without --resume") from error


def begin(folder: Path, id: str | None = None) -> Training:
    """Makes a folder that of a new training; sets aside what another one has left there.

    Args:
        folder: folder of the training.
        id: name of the training; a random one unless given.
    """
    # named first: killed before the rest is moved, resume still knows what is not its own
    training = Training(id or uuid.uuid4().hex).write(check_writable(folder))
    _set_aside(folder, [*checkpoints_in(folder), *_weights_in(folder)])
    return training


def _set_aside(folder: Path, files: Sequence[Path]) -> None:
    """Moves files of an earlier training into a folder of their own."""
    place = set_aside(folder, files)
    if place is not None:
        logger.info("%s: checkpoints and weights of an earlier training are now in %s", folder, place.name)


def form_of(parts: Mapping[str, object], *subjects: Sequence[Mapping[str, object]]) -> str:
    """A digest of what checkpoints cannot be taken to another training for: subjects, and the shapes of the tensors.

    Args:
        parts: what a checkpoint holds, by name.
        subjects: data lists, in the order of the latents.
    """
    names = [[str(subject["subject"]) for subject in section] for section in subjects]
    modules = [part for _, part in sorted(parts.items()) if isinstance(part, torch.nn.Module)]
    shapes = [[name, list(value.shape)] for module in modules for name, value in module.state_dict().items()]
    return digest_of_settings({"subjects": names, "shapes": shapes})


@contextmanager
def working_in(folder: Path, resume: bool, form: str = "") -> Iterator[Training]:
    """The training of a folder while this process, alone, works on it.

    The first of several processes prepares the folder.

    Args:
        folder: folder of the training, which can be written.
        resume: go on with the training that is there; else a new one begins.
        form: from ``form_of``, where it is known.

    Raises:
        InputError: another process trains there; there is nothing to go on with; what is there has other subjects or
            another network.
        Stopped: Ctrl-C; it says how to go on.
    """

    def prepared() -> Training | None:
        if rank() == 0:
            _prepare(folder, resume, form)
        return training_in(folder)

    with alone(folder / LOCK, lambda: _taken(folder), again=True) if rank() == 0 else nullcontext():
        training = first_alone(prepared)
        try:
            yield training
        except Stopped:
            raise
        except KeyboardInterrupt as error:
            raise Stopped(f"stopped; the same command with --resume True {_then(folder)}") from error


def finish(folder: Path) -> None:
    """Records that the weights of a folder's training are written."""
    replace(training_in(folder), finished=True).write(folder)


def _taken(folder: Path) -> str:
    try:
        who = f" ({found.process})" if (found := training_in(folder)) is not None and found.process else ""
    except InputError:
        who = ""
    return f"{folder}: another training{who} works there; wait for it, end it, or choose another output_dir"


def _then(folder: Path) -> str:
    newest = newest_checkpoint(folder)
    return "begins it again (no checkpoint yet)" if newest is None else f"goes on after epoch {epochs_of(newest)}"


def _prepare(folder: Path, resume: bool, form: str) -> None:
    """Writes the record of the training that goes on or begins."""
    training = training_in(folder) if resume else begin(folder)
    if training is None:
        raise InputError(f"{folder}: holds no training (checkpoint_epoch=N.pt) to go on with; leave out --resume")
    if form and training.form and form != training.form:
        raise InputError(
            f"{folder}: the training there has other subjects or another network; "
            "give its data and settings, or leave out --resume"
        )
    _set_aside(folder, _foreign(folder, training))
    process = f"process {os.getpid()} on {platform.node()}"
    replace(training, form=form or training.form, process=process).write(folder)


def _foreign(folder: Path, training: Training) -> list[Path]:
    """Checkpoints and weights of other trainings, left by a kill before they were set aside."""
    others = [path for path in checkpoints_in(folder) if training_of(path) != training.id]
    return others if training.finished else [*others, *_weights_in(folder)]


def _weights_in(folder: Path) -> list[Path]:
    return [folder / name for name in WEIGHTS if (folder / name).is_file()]
