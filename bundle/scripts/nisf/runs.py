"""Run ids of the bundle as Python calls, with their configs and data layout.

Three functions lead to the same fit:

- ``runs.segment`` (``nisf segment``) names configs and settings and runs all of ``configs/inference.json``: many
  scans, each written as soon as it is done; finished ones are skipped, failed ones listed at the end.
- ``inference.run.infer`` is called by that config, also under ``python -m monai.bundle run inference``.
- ``nisf.Segmenter`` takes transforms, network and fit from the same config and does one scan in memory: it returns
  arrays and a function, raises errors, and writes files only on request.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from nisf.utils.bundle import (
    EVALUATION,
    INFERENCE,
    NONE,
    PRIOR,
    UNET,
    run_bundle,
    settings_of,
    torch_device,
    used_settings,
    words_of,
)
from nisf.utils.errors import InputError, check_counts
from nisf.utils.files import check_writable

logger = logging.getLogger(__name__)


def is_listed(source: str) -> bool:
    """Whether a source is a data list or a folder with one."""
    return Path(source).suffix == ".json" or (Path(source) / "cohort.json").is_file()


def segment(sources: Sequence[str], output: str, config: str | None = None, **options: object) -> None:
    """Segments every scan of ``sources`` into files: the run id ``inference``. ``nisf.segment`` does one in memory.

    Args:
        sources, output, config, options: see ``inference_of``.

    Raises:
        InputError: as ``run_bundle``.
        SystemExit: some scans failed.
    """
    configs, settings = inference_of(sources, output, config, **options)
    run_bundle("inference", configs, **settings)


def inference_of(
    sources: Sequence[str],
    output: str,
    config: str | None = None,
    layout: str | None = None,
    fast: bool = False,
    adam: bool = False,
    exact: bool = False,
    device: str | None = None,
    **settings: object,
) -> tuple[list[str], dict[str, object]]:
    """Configs and settings of the run id ``inference`` over every scan of ``sources``.

    Args:
        sources: files or folders; a single one if it is a data list or a layout is given.
        output: folder of the results.
        config: override files, by name, as A,B.
        layout: layout of the data; a data list and a folder with a ``cohort.json`` are recognised.
        fast: adds the override file ``fast.json``.
        adam: adds the override file ``adam.json``.
        exact: evaluates every voxel, whatever ``grid_step`` the configs have.
        device: cpu, cuda or cuda:N.
        settings: settings of the config.

    Raises:
        InputError: several sources with a layout that takes one.
    """
    files = [str(source) for source in sources]
    layout = layout or ("cohort" if len(files) == 1 and is_listed(files[0]) else "images")
    if layout != "images" and len(files) > 1:
        raise InputError(f"{files[1]}: the layout {layout} takes one data set at a time")
    data = {"dataset_dir": files if layout == "images" else files[0], "section": "all", "split_rule": NONE}
    configs = [*INFERENCE, *words_of(config), *["fast"] * bool(fast), *["adam"] * bool(adam)]
    where = {"output_dir": str(output), "device": torch_device(device)}
    sampling = {"grid_step": 0.0} if exact else {}
    return configs, {"layout": layout, **data, **where, **sampling, **settings}


def train(
    dataset: str,
    output: str,
    config: str = "acdc",
    layout: str | None = None,
    splits: str | None = None,
    resume: bool = False,
    epochs: int | None = None,
    unet_epochs: int | None = None,
    device: str | None = None,
    tracking: str | None = None,
    **settings: object,
) -> Path:
    """Trains the U-Net, then the prior, on one data set; returns the prior's weights.

    Args:
        dataset: folder, or a data list (``cohort.json``).
        output: folder of the results; the U-Net's are in its folder ``unet``.
        config: override files for the kind of data, by name, as A,B.
        layout: layout of the data; the override file's unless given or ``dataset`` is a data list.
        splits: JSON file of subject ids by section.
        resume: go on with the training of ``output``, if there is one.
        epochs: epochs of the prior; the config's unless given.
        unet_epochs: epochs of the U-Net; the config's unless given.
        device: cpu, cuda or cuda:N.
        tracking: as in ``run_bundle``; both steps into one database, ``mlruns.db``, unless ``tracking_uri`` is given.
        settings: settings of the configs; each goes to the steps that use it.

    Raises:
        InputError: as ``run_bundle``.
    """
    from nisf.training.identity import training_in, working_in

    check_counts("a training", epochs=epochs, unet_epochs=unet_epochs)
    folder, second = Path(output), [*PRIOR, *words_of(config)]
    steps = [second]
    if settings_of(second)["frame_kind"] == "posed":
        steps = [[*UNET, *words_of(config)], second]
    _check_either(settings, steps, tracking)
    if tracking == "mlflow":
        settings.setdefault("tracking_uri", f"sqlite:///{(folder / 'mlruns.db').resolve()}")
    data = {"dataset_dir": str(dataset), "device": torch_device(device), **_split(dataset, layout, splits)}
    _check_data(dataset, data, settings_of(second))
    check_writable(folder)
    with working_in(folder, resume and training_in(folder) is not None) as training:
        unet = None
        if len(steps) > 1:
            of_first = {"unet_epochs": unet_epochs, "unet_val_interval": unet_epochs}
            unet = _train_unet(steps[0], folder / "unet", training.id, {**data, **of_first, **settings}, tracking)
            logger.info("2 of 2: the prior")
        of_second = {"max_epochs": epochs, "val_interval": epochs, **settings, "unet_model": unet}
        _train_step(second, folder, {**data, **of_second}, tracking)
    return folder / "model.pt"


def _check_data(dataset: str, data: Mapping[str, object], config: Mapping[str, object]) -> None:
    """Raises ``InputError`` for a data set without training subjects, before a training in the folder is set aside."""
    from nisf.io.datalist import load_split

    layout, rule = (data.get(name) or config[name] for name in ("layout", "split_rule"))
    load_split(layout, dataset, "training", rule)


def _train_unet(
    configs: Sequence[str], folder: Path, training: str, settings: Mapping[str, object], tracking: str | None
) -> str:
    """Trains the U-Net of a training, unless that is done; returns its weights.

    Raises:
        InputError: it is done, and ``unet_epochs`` is another number of epochs: the prior is trained with it as it is.
    """
    from nisf.training.checkpoints import epochs_of, newest_checkpoint
    from nisf.training.identity import begin, training_in

    weights, found = folder / "unet.pt", training_in(folder)
    if found is None or found.id != training:  # of an earlier training
        found = begin(folder, training)
    if found.finished and weights.is_file():
        newest, wanted = newest_checkpoint(folder), settings.get("unet_epochs")
        if newest is not None and wanted is not None and wanted != epochs_of(newest):
            raise InputError(
                f"{weights}: is finished after epoch {epochs_of(newest)}, so unet_epochs {wanted} cannot be used; "
                "leave out unet_epochs, or leave out --resume to train again"
            )
        logger.info("%s: trained earlier", weights)
    else:
        logger.info("1 of 2: the U-Net")
        _train_step(configs, folder, settings, tracking)
    return str(weights)


def _check_either(settings: Mapping[str, object], steps: Sequence[Sequence[str]], tracking: str | None) -> None:
    """Raises ``InputError`` for a setting that no step uses, or with a value of another kind."""
    left = list(settings)
    for configs in steps[:-1]:
        used = used_settings("training", configs, tracking, settings)
        used.check(name for name in settings if name in used)
        left = [name for name in left if name not in used]
    used_settings("training", steps[-1], tracking, settings).check(left)


def _split(dataset: str, layout: str | None, splits: str | None) -> dict[str, object]:
    if layout is None and not is_listed(dataset):
        return {"split_rule": splits}
    rule = splits or ({"given": True} if (layout or "cohort") == "cohort" else None)
    return {"layout": layout or "cohort", "split_rule": rule}


def _train_step(configs: Sequence[str], folder: Path, settings: Mapping[str, object], tracking: str | None) -> None:
    """Runs one of the two trainings, which has begun, with the settings that it uses."""
    used = used_settings("training", configs, tracking, settings)
    own = {name: value for name, value in settings.items() if name in used}
    if tracking == "mlflow":  # the default path is only valid with the config's own output_dir
        own.setdefault("save_execute_config", str(folder / "config.json"))
    run_bundle("training", configs, tracking=tracking, output_dir=str(folder), resume=True, **own)


def evaluate(
    dataset: str,
    output: str,
    config: str = "acdc",
    layout: str | None = None,
    section: str = "test",
    splits: str | None = None,
    device: str | None = None,
    **settings: object,
) -> None:
    """Segments and scores a section of a data set that has labels: the run id ``evaluation``; see ``train``."""
    data = {"dataset_dir": str(dataset), "section": section, "device": torch_device(device)}
    configs = [*EVALUATION, *words_of(config)]
    run_bundle("evaluation", configs, output_dir=str(output), **data, **_split(dataset, layout, splits), **settings)
