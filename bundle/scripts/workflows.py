"""What the run ids of the configs do."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from ignite.engine import Events
from ignite.handlers import Checkpoint
from monai.engines import SupervisedTrainer
from monai.handlers import CheckpointLoader

from scripts.batch import FAILED, Batch
from scripts.calibration import calibrate
from scripts.checkpoints import epochs_of, load_checkpoint, newest_checkpoint, saver_of, set_aside
from scripts.engines import ScanEvaluator
from scripts.errors import InputError
from scripts.files import check_writable
from scripts.fitting import LatentFit
from scripts.geometry import CoordinateFrame
from scripts.networks import NISF
from scripts.outputs import save_tensors
from scripts.points import GridPoints
from scripts.pose import Pose
from scripts.prior import bounds_of, set_first_guess, set_pose_prior
from scripts.ranks import all_of, rank
from scripts.scoring import ScoreScans
from scripts.store import MappedDataset
from scripts.weights import load_weights

logger = logging.getLogger(__name__)


def save_weights(network: torch.nn.Module, path: str | Path) -> Path:
    """The network's state, buffers included, written whole or not at all."""
    return save_tensors({name: value.detach().cpu().clone() for name, value in network.state_dict().items()}, path)


def load_evidence(
    network: torch.nn.Module, path: str | Path | None, device: torch.device | str
) -> torch.nn.Module | None:
    """The network of the class evidence with the weights of ``path``; None where no path is given."""
    return None if path is None else load_weights(network, path).to(device).eval()


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
    guess_draws: int,
    evidence_blend: float,
) -> None:
    """Trains the prior: fills the stores, goes on from the newest checkpoint if told to, and writes ``model.pt``.

    At the end the first guess of a fit and the calibration of the class probabilities are added to the weights.

    Args:
        trainer: the training engine.
        state: what a checkpoint holds, by name; ``network``, ``early_stop`` and ``trainer`` among them.
        train_dataset, val_dataset: stores of subjects.
        output_dir: folder of checkpoints, curves and weights.
        checkpoint_interval: epochs between checkpoints.
        resume: go on from the newest checkpoint in ``output_dir``, as if nothing had happened.
        fit: the inference that the calibration is for.
        class_names: inside label value (text) to name.
        guess_draws: latents drawn from the prior to find the first guess of a fit.
        evidence_blend: as in ``NISFInferer``.
    """
    folder = check_writable(output_dir)
    _fill({"training": train_dataset, "validation": val_dataset})
    state["early_stop"].trainer = trainer
    _run(trainer, state, folder, checkpoint_interval, resume)
    if rank() == 0:
        _finish(state["network"], train_dataset, val_dataset, fit, folder, class_names, guess_draws, evidence_blend)


def train_evidence(
    trainer: SupervisedTrainer,
    state: Mapping[str, object],
    train_dataset: MappedDataset,
    val_dataset: MappedDataset,
    output_dir: str,
    checkpoint_interval: int,
    resume: bool,
) -> None:
    """Trains the network of the class evidence and writes ``evidence.pt``, in half precision.

    Args:
        trainer: the training engine.
        state: what a checkpoint holds, by name; ``network`` and ``trainer`` among them.
        train_dataset, val_dataset: stores of stacks.
        output_dir: folder of checkpoints and weights.
        checkpoint_interval: epochs between checkpoints.
        resume: go on from the newest checkpoint in ``output_dir``.
    """
    folder = check_writable(output_dir)
    _fill({"training": train_dataset, "validation": val_dataset})
    _run(trainer, state, folder, checkpoint_interval, resume)
    if rank() == 0:
        logger.info("trained: %s", save_weights(state["network"].half(), folder / "evidence.pt"))


def calibrate_anew(
    network: NISF,
    model: str | Path | None,
    train_dataset: MappedDataset,
    val_dataset: MappedDataset,
    output_dir: str,
    fit: Callable[[NISF, GridPoints], LatentFit],
    class_names: Mapping[str, str],
    guess_draws: int,
    evidence_blend: float,
) -> None:
    """The end of ``train`` alone, for weights that lie there: pose prior, first guess of a fit and calibration.

    They belong to the network of the class evidence, and to the way of fitting, that inference will use.

    Args:
        network: takes the weights of ``model``.
        model: the weights to calibrate; the file stays as it is.
        train_dataset, val_dataset: stores of subjects.
        output_dir: folder of the calibrated ``model.pt``.
        fit, class_names, guess_draws, evidence_blend: as in ``train``.
    """
    if model is None:
        raise InputError("no weights were named to calibrate; give --model")
    folder = check_writable(output_dir)
    load_weights(network, model)
    _fill({"training": train_dataset, "validation": val_dataset})
    _finish(network, train_dataset, val_dataset, fit, folder, class_names, guess_draws, evidence_blend)


def _fill(stores: Mapping[str, MappedDataset]) -> None:
    for name, dataset in stores.items():
        dataset.fill(
            lambda done, n, name=name: (
                logger.info("store: %s subject %d of %d", name, done, n) if done == n or done % 10 == 0 else None
            )
        )


def _run(
    trainer: SupervisedTrainer, state: Mapping[str, object], folder: Path, checkpoint_interval: int, resume: bool
) -> None:
    """Runs a trainer to its end with checkpoints in ``folder``, from the newest of them if told to."""
    objects = dict(state)
    if resume:
        newest = newest_checkpoint(folder)
        if newest is None:
            raise InputError(f"{folder}: holds no checkpoint_epoch=N.pt to resume from; leave out --resume")
        content = load_checkpoint(newest)
        if epochs_of(newest) >= trainer.state.max_epochs:  # nothing is left but the end
            Checkpoint.load_objects(objects, content)
            return
        CheckpointLoader(str(newest), objects, map_location="cpu").attach(trainer)
    else:
        set_aside(folder)
    saver = saver_of(objects, folder)
    trainer.add_event_handler(Events.EPOCH_COMPLETED(every=checkpoint_interval) | Events.COMPLETED, saver)
    trainer.run()


def _finish(
    network: NISF,
    train_dataset: MappedDataset,
    val_dataset: MappedDataset,
    fit: Callable[[NISF, GridPoints], LatentFit],
    folder: Path,
    class_names: Mapping[str, str],
    guess_draws: int,
    evidence_blend: float,
) -> None:
    """What inference needs besides the weights, found once the training is over; writes ``model.pt``."""
    network.eval()
    frames = (CoordinateFrame.from_dict(train_dataset.stored(index)["frame"]) for index in range(len(train_dataset)))
    changes = [_change_of(val_dataset.stored(index)) for index in range(len(val_dataset))]
    if changes and all(change is not None for change in changes):
        set_pose_prior(network, torch.stack(changes))
    set_first_guess(network, *bounds_of(frames, network.coord_dims), draws=guess_draws)
    scans = (val_dataset[index] for index in range(len(val_dataset)))
    calibrate(network, scans, fit, folder, class_names, evidence_blend=evidence_blend)
    weights = save_weights(network, folder / "model.pt")
    logger.info("trained: %s", weights)


def _change_of(item: Mapping[str, object]) -> torch.Tensor | None:
    """From the pose that the class evidence showed to the labels' own, [6]; None where there is no such pair."""
    frame = CoordinateFrame.from_dict(item["frame"])
    if frame.pose is None or "label_pose" not in item:
        return None
    return frame.pose.change_to(Pose.of(item["label_pose"])).vector()


def dataset_or_phantom(dataset_dir: str, layout: str, cache_dir: str) -> str:
    """The data folder named by the user, or a phantom population made on the spot where none was named."""
    if dataset_dir:
        return dataset_dir
    if layout != "cohort":
        raise InputError(f"no data was named for the layout {layout}; give --dataset_dir")
    from scripts.phantom import write_cohort

    def progress(done: int, total: int, subject: str) -> None:
        if done == total or done % 20 == 0:
            logger.info("phantom: subject %d of %d", done, total)

    logger.info("no dataset_dir given: making a phantom population")
    return str(write_cohort(Path(cache_dir) / "phantom", progress=progress))


def infer(evaluator: ScanEvaluator, output_dir: str, batch: Batch | None = None) -> None:
    """Fits and writes every scan that waits, then says what became of each.

    Raises:
        SystemExit: status 1 when a scan failed; what the others gave is on disk.
    """
    check_writable(output_dir)
    if batch is None:
        evaluator.run()
        return report_failures(evaluator)
    if batch.waiting:
        evaluator.run()
    batch.write()
    print(batch.table())
    if batch.count(FAILED):
        raise SystemExit(1)


def report_failures(evaluator: ScanEvaluator) -> None:
    """Prints the table of failed scans of all processes and ends with status 1 if there are any."""
    failures = all_of(evaluator.failures)
    total = sum(all_of([len(evaluator.data_loader.dataset)]))
    if rank() == 0:
        print(f"{total - len(failures)} of {total} scans done")
        if failures:
            width = max(len(subject) for subject, _ in failures)
            print(f"{len(failures)} failed:")
            for subject, reason in failures:
                print(f"  {subject:<{width}}  {reason}")
    if failures:
        raise SystemExit(1)


def evaluate(evaluator: ScanEvaluator, scores: ScoreScans, output_dir: str) -> None:
    """Fits every labelled scan, writes what inference writes and the scores, and prints their table.

    Of several processes each fits its share; the first writes the scores of all.

    Raises:
        InputError: no scan had a label.
        SystemExit: status 1 when a scan failed.
    """
    check_writable(output_dir)
    if len(evaluator.data_loader):  # there may be more processes than scans
        evaluator.run()
    scores.of_all()
    if scores.rows and rank() == 0:
        print(scores.write())
        print(f"scores: {scores.output_dir}")
    elif not scores.rows and not all_of(evaluator.failures):
        raise InputError(f"{output_dir}: none of the scans has a label to score against; use inference instead")
    report_failures(evaluator)
