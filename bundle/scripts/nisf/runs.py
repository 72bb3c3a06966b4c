"""Run ids of the bundle as Python calls: which configs, which data layout, one run after another."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from nisf.utils.bundle import check_knobs, knobs_of, run_bundle, torch_device, tracking_knobs, words_of
from nisf.utils.errors import InputError

logger = logging.getLogger(__name__)


def is_listed(source: str) -> bool:
    """Whether a source is a data list, or a folder that holds one."""
    return Path(source).suffix == ".json" or (Path(source) / "cohort.json").is_file()


def segment(sources: Sequence[str], output: str, config: str | None = None, **options: object) -> None:
    """Segments every scan of ``sources``: the run id ``inference``.

    Args:
        sources, output, config, options: of ``inference_of``.

    Raises:
        InputError: as ``run_bundle``.
        SystemExit: some scans failed.
    """
    configs, knobs = inference_of(sources, output, config, **options)
    run_bundle("inference", configs, **knobs)


def inference_of(
    sources: Sequence[str],
    output: str,
    config: str | None = None,
    layout: str | None = None,
    fast: bool = False,
    adam: bool = False,
    device: str | None = None,
    **knobs: object,
) -> tuple[list[str], dict[str, object]]:
    """Configs and knobs of the run id ``inference`` over every scan of ``sources``.

    Args:
        sources: files or folders; with a layout, or where it is a data list, the one source.
        output: folder of the results.
        config: override files, by name, as A,B.
        layout: of the data; a data list and a folder with a ``cohort.json`` are known as such.
        fast: with the override file ``fast.json``.
        adam: with the override file ``adam.json``.
        device: cpu, cuda or cuda:N.
        knobs: of the config.

    Raises:
        InputError: several sources with a layout that takes one.
    """
    files = [str(source) for source in sources]
    layout = layout or ("cohort" if len(files) == 1 and is_listed(files[0]) else "images")
    if layout != "images" and len(files) > 1:
        raise InputError(f"{files[1]}: with the layout {layout} one data set at a time can be named")
    data = {"dataset_dir": files if layout == "images" else files[0], "section": "all", "split_rule": "$None"}
    configs = ["inference", *words_of(config), *["fast"] * bool(fast), *["adam"] * bool(adam)]
    where = {"output_dir": str(output), "device": torch_device(device)}
    return configs, {"layout": layout, **data, **where, **knobs}


def train(
    dataset: str,
    output: str,
    config: str = "acdc",
    layout: str | None = None,
    splits: str | None = None,
    resume: bool = False,
    epochs: int | None = None,
    evidence_epochs: int | None = None,
    device: str | None = None,
    tracking: str | None = None,
    **knobs: object,
) -> Path:
    """Trains the U-Net of the class evidence, then the prior, on one data set; returns the prior's weights.

    Args:
        dataset: folder, or a data list (``cohort.json``).
        output: folder of the results; the U-Net's lie in ``evidence`` below it.
        config: override files that say what kind of data it is, by name, as A,B.
        layout: of the data; the override file's unless given or ``dataset`` is a data list.
        splits: JSON file of subject ids by section.
        resume: go on where an earlier call stopped; a step that has not begun is begun.
        epochs: of the prior; the config's unless given.
        evidence_epochs: of the U-Net; the config's unless given.
        device: cpu, cuda or cuda:N.
        tracking: as in ``run_bundle``; both steps into one database, ``mlruns.db``, unless ``tracking_uri`` is given.
        knobs: of the configs; each goes to the steps that have it.

    Raises:
        InputError: as ``run_bundle``.
    """
    kind, folder = words_of(config), Path(output)
    first, second = ["evidence", *kind], ["train", *kind]
    check_knobs(knobs, {**knobs_of(first), **knobs_of(second), **tracking_knobs(tracking)})
    if tracking == "mlflow":
        knobs.setdefault("tracking_uri", f"sqlite:///{(folder / 'mlruns.db').resolve()}")
    data = {"dataset_dir": str(dataset), "device": torch_device(device), **_split(dataset, layout, splits)}
    weights = folder / "evidence" / "evidence.pt"
    steps = {"max_epochs": epochs, "val_interval": epochs}
    evidence = None
    if knobs_of(second)["frame_kind"] == "posed":
        evidence = str(weights)
        if resume and weights.is_file():
            logger.info("%s: trained earlier", weights)
        else:
            logger.info("1 of 2: the U-Net of the class evidence")
            of_first = {"evidence_epochs": evidence_epochs, "evidence_val_interval": evidence_epochs}
            _train_step(first, weights.parent, resume, {**data, **of_first, **knobs}, tracking)
        logger.info("2 of 2: the prior")
    _train_step(second, folder, resume, {**data, **steps, **knobs, "evidence_model": evidence}, tracking)
    return folder / "model.pt"


def _split(dataset: str, layout: str | None, splits: str | None) -> dict[str, object]:
    if layout is None and not is_listed(dataset):
        return {"split_rule": splits}
    rule = splits or ({"given": True} if (layout or "cohort") == "cohort" else None)
    return {"layout": layout or "cohort", "split_rule": rule}


def _train_step(
    configs: Sequence[str], folder: Path, resume: bool, knobs: Mapping[str, object], tracking: str | None
) -> None:
    """One of the two trainings, with those of the knobs that its configs have."""
    from nisf.training.checkpoints import newest_checkpoint

    known = {**knobs_of(configs), **tracking_knobs(tracking)}
    own = {name: value for name, value in knobs.items() if name.split("#")[0] in known}
    begun = resume and newest_checkpoint(folder) is not None
    if tracking == "mlflow":  # the default's path is one only where the config's own output_dir stands
        own.setdefault("save_execute_config", str(folder / "config.json"))
    run_bundle("training", configs, tracking=tracking, output_dir=str(folder), resume=begun, **own)


def evaluate(
    dataset: str,
    output: str,
    config: str = "acdc",
    layout: str | None = None,
    section: str = "test",
    splits: str | None = None,
    device: str | None = None,
    **knobs: object,
) -> None:
    """Segments and scores a section of a data set that has labels: the run id ``evaluation``; see ``train``."""
    data = {"dataset_dir": str(dataset), "section": section, "device": torch_device(device)}
    configs = ["inference", "evaluate", *words_of(config)]
    run_bundle("evaluation", configs, output_dir=str(output), **data, **_split(dataset, layout, splits), **knobs)
