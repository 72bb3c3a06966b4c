"""Finding, checking and running the bundle's configs."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nisf.utils.errors import InputError

if TYPE_CHECKING:
    from monai.bundle import ConfigParser

    from nisf.utils.settings import UsedSettings

#: Configs of the run ids that have a command: a base and its overrides.
INFERENCE = ("inference",)
EVALUATION = ("inference", "evaluate")
PRIOR = ("inference", "train")
UNET = ("inference", "train", "unet")


class Expression(str):
    """Text that MONAI's parser evaluates, as it does those of a config that begin with ``$``."""


#: Overrides a setting by None, which ``run_bundle`` otherwise takes for "the config's".
NONE = Expression("$None")


def literal(value: object) -> object:
    """A value that MONAI's parser leaves as it is, at any depth.

    The parser runs text that begins with ``$`` as Python and replaces ``@id`` and ``%file``, also in a file's name.
    Such text becomes an expression for itself. An ``Expression`` stays one.
    """
    if isinstance(value, Mapping):
        return {key: literal(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [literal(one) for one in value]
    if not isinstance(value, str) or isinstance(value, Expression):
        return value
    if value[:1] not in ("$", "@", "%") and not any(mark in value for mark in ("@#", "%#", "@::", "%::")):
        return value
    quoted = repr(value)
    for mark in "@%#:":
        quoted = quoted.replace(mark, f"\\x{ord(mark):02x}")
    return f"${quoted}"


def bundle_root() -> Path:
    """Folder of the bundle that this code belongs to."""
    package = Path(__file__).resolve().parents[1]
    return package / "bundle" if (package / "bundle").is_dir() else package.parents[1]


def config_files(names: Sequence[str]) -> list[str]:
    """Paths of the bundle's configs, named with or without ``.json``; a config elsewhere by its own path.

    Raises:
        InputError: there is no such file.
    """
    folder = bundle_root() / "configs"
    found = []
    for name in names:
        inside, outside = folder / f"{name.removesuffix('.json')}.json", Path(name)
        if not inside.is_file() and not (outside.suffix == ".json" and outside.is_file()):
            known = ", ".join(sorted(path.stem for path in folder.glob("*.json") if path.stem != "metadata"))
            raise InputError(f"{name}: there is no such config; name a JSON file or one of {known}")
        found.append(str(inside if inside.is_file() else outside))
    return found


def settings_of(configs: Sequence[str]) -> dict:
    """The entries of configs, merged as MONAI merges them: the later ones override, ``A#b`` a part of ``A``.

    Raises:
        InputError: a file is missing or not a JSON object, or changes a part of a missing entry.
    """
    from monai.bundle import ConfigParser  # slow to import

    files = config_files(configs)
    for file in files:
        try:
            dict(json.loads(Path(file).read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise InputError(f"{file}: is no valid JSON object ({error}); correct the config") from error
    try:
        return ConfigParser.load_config_files(files)
    except (KeyError, ValueError, IndexError) as error:
        raise InputError(f"{', '.join(configs)}: {error} of no config before; name what they are laid over") from error


def run_bundle(
    run_id: str,
    configs: Sequence[str],
    logging_file: str = "terminal.conf",
    tracking: str | None = None,
    **overrides: object,
) -> None:
    """Runs a run id of the bundle as ``python -m monai.bundle run`` does.

    Args:
        run_id: ``training``, ``inference``, ``evaluation`` or ``sampling``.
        configs: config files, see ``config_files``, the later ones overriding.
        logging_file: file in the bundle's ``configs`` folder.
        tracking: ``mlflow``, or a JSON file of settings as MONAI takes them; None for none.
        overrides: values of settings, taken as they are (``literal``); None keeps the config's.

    Raises:
        InputError: an error that the user can fix, such as a setting that the run id does not use.
        SystemExit: some scans failed.
    """
    given = {key: literal(value) for key, value in overrides.items() if value is not None}
    used_settings(run_id, configs, tracking, given).check(given)
    from monai.bundle import ConfigWorkflow

    workflow = ConfigWorkflow(
        config_file=config_files(configs),
        meta_file=str(bundle_root() / "configs" / "metadata.json"),
        logging_file=str(bundle_root() / "configs" / logging_file),
        run_id=run_id,
        workflow_type="training" if run_id == "training" else "inference",
        tracking=tracking,
        bundle_root=str(bundle_root()),
        **given,
    )
    workflow.initialize()
    workflow.run()


def tracking_settings(tracking: str | Mapping | None) -> dict:
    """The additional settings of a tracked run, such as ``experiment_name``.

    Raises:
        InputError: MLflow is not installed, or cannot write a local database, or ``tracking`` is neither.
    """
    if tracking is None:
        return {}
    if tracking != "mlflow":
        return dict((settings_of([tracking]) if isinstance(tracking, str) else tracking).get("configs", {}))
    missing = [name for name in ("mlflow", "sqlalchemy", "alembic") if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(f"{missing[0]} is not installed; --tracking mlflow needs: pip install 'nisf[mlflow]'")
    from monai.bundle.utils import DEFAULT_MLFLOW_SETTINGS

    return dict(DEFAULT_MLFLOW_SETTINGS["configs"])


def used_settings(
    run_id: str, configs: Sequence[str], tracking: str | Mapping | None = None, given: Mapping[str, object] = {}
) -> UsedSettings:
    """The settings that a run id of configs uses; see ``UsedSettings``.

    Raises:
        InputError: as ``settings_of`` and ``tracking_settings``.
    """
    from nisf.utils.settings import UsedSettings  # slow to import

    return UsedSettings(run_id, settings_of(configs), given, tracking_settings(tracking))


def torch_device(name: str | None) -> Expression | None:
    """A device's name in the form of the configs; raises as ``check_device``."""
    if name is None:
        return None
    check_device(name)
    return Expression(f"$torch.device('{name}')")


def check_device(name: str) -> None:
    """Checks a device's name.

    Raises:
        InputError: there is no such device, or this machine has none.
    """
    if not re.fullmatch(r"cpu|mps|cuda(:\d+)?", str(name)):
        raise InputError(f"the device '{name}' is unknown; use cpu, cuda or cuda:N")
    if str(name).startswith("cuda"):
        import torch  # slow to import

        if int(str(name).partition(":")[2] or 0) >= torch.cuda.device_count():
            raise InputError(f"the device {name} is not there: PyTorch finds {torch.cuda.device_count()} GPUs; use cpu")


def words_of(value: object) -> list[str]:
    """``A,B`` or a list, as a list."""
    if value is None or value == "":
        return []
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else [str(part) for part in value]


def parser_of(configs: Sequence[str], **overrides: object) -> ConfigParser:
    """Parsed configs of the run id ``inference``, to get parts of it; overrides apply as they are, also None.

    Raises:
        InputError: a file or a setting is wrong.
    """
    from monai.bundle import ConfigParser

    used_settings("inference", configs, given=literal(overrides)).check(overrides)
    parser = ConfigParser(settings_of(configs))
    parser.update({"bundle_root": str(bundle_root()), **literal(overrides)})
    parser.parse()
    parser.get_parsed_content("imports")
    return parser
