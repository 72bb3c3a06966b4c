"""What the run id ``training`` does."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from monai.engines import SupervisedTrainer

from nisf.fit.points import GridPoints
from nisf.fit.posterior import LatentFit
from nisf.models.nisf import NISF
from nisf.training.calibration import write_weights
from nisf.training.checkpoints import run_trainer
from nisf.training.identity import finish, form_of, working_in
from nisf.training.store import MappedDataset, fill_stores
from nisf.utils.distributed import first_alone, rank
from nisf.utils.errors import InputError
from nisf.utils.extras import check_extra
from nisf.utils.files import check_writable

logger = logging.getLogger(__name__)


def train(
    trainer: SupervisedTrainer,
    state: Mapping[str, object],
    train_dataset: MappedDataset,
    val_dataset: MappedDataset,
    output_dir: str,
    checkpoint_interval: int,
    resume: bool,
    fit: Callable[[NISF, GridPoints], LatentFit],
    class_names: Mapping[str, str],
    initial_draws: int,
    unet_blend: float,
) -> None:
    """Trains the prior: fills the stores, resumes from the newest checkpoint if told to, and writes ``model.pt``.

    At the end, the initial latent of a fit and the calibration of the class probabilities are added to the weights.

    Args:
        trainer: the training engine.
        state: what a checkpoint holds, by name; ``network``, ``early_stop`` and ``trainer`` among them.
        train_dataset, val_dataset: stores of subjects.
        output_dir: folder of checkpoints, curves and weights.
        checkpoint_interval: epochs between checkpoints.
        resume: go on with the training in ``output_dir``, as if it had not been interrupted.
        fit: fit that the calibration is for, as in ``NISFInferer``.
        class_names: inside label value (text) to name.
        initial_draws: latents drawn from the prior to find the initial latent of a fit.
        unet_blend: as in ``NISFInferer``.
    """
    folder = check_writable(output_dir)
    with working_in(folder, resume, form_of(state, train_dataset.data, val_dataset.data)) as training:
        fill_stores({"training": train_dataset, "validation": val_dataset})
        state["early_stop"].trainer = trainer
        run_trainer(trainer, state, folder, checkpoint_interval, training.id)
        if rank() == 0:
            of_end = (fit, folder, class_names, initial_draws, unet_blend)
            write_weights(state["network"], train_dataset, val_dataset, *of_end)
            finish(folder)


def dataset_or_phantom(dataset_dir: str, layout: str, cache_dir: str) -> str:
    """The data folder named by the user, or that of a new phantom population if none was named.

    The first of several processes makes it.

    Raises:
        InputError: no data was named, and the layout is not the phantoms'; or packages that training needs are missing,
            which is reported before anything is read.
    """
    check_extra("train", "training")
    if dataset_dir:
        return dataset_dir
    if layout != "cohort":
        raise InputError(f"no data was named for the layout {layout}; give --dataset_dir")
    return first_alone(partial(_phantom_in, Path(cache_dir) / "phantom"))


def _phantom_in(folder: Path) -> str:
    from nisf.phantom.cohort import write_cohort

    def progress(done: int, total: int, subject: str) -> None:
        if done == total or done % 20 == 0:
            logger.info("phantom: subject %d of %d", done, total)

    logger.info("no dataset_dir given: making a phantom population")
    return str(write_cohort(folder, progress=progress))
