"""The settings on the command line of ``python -m monai.bundle run``, checked before anything is done."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Sequence
from pathlib import Path

from nisf.utils.bundle import tracking_settings
from nisf.utils.settings import BESIDES, UsedSettings


def check_command_line() -> None:
    """Checks the settings; called by a config's ``initialize``. Does nothing if another program runs the config.

    MONAI would add an unknown setting to the config, where nothing reads it.

    Raises:
        InputError: a setting is unknown, or the run id does not use it.
    """
    if Path(sys.argv[0]).parts[-3:] != ("monai", "bundle", "__main__.py") or sys.argv[1:2] != ["run"]:
        return
    from monai.bundle import ConfigParser, ConfigWorkflow, run

    own = [*inspect.signature(run).parameters, *inspect.signature(ConfigWorkflow.__init__).parameters]
    given = arguments(sys.argv[2:])
    settings = {name: value for name, value in given.items() if name not in own}
    more, config = tracking_settings(given.get("tracking")), ConfigParser.load_config_files(given["config_file"])
    ids = [given.get("init_id", "initialize"), given.get("final_id", "finalize")]
    UsedSettings(given.get("run_id", "run"), config, settings, more, {*ids, *BESIDES}).check(settings)


def arguments(words: Sequence[str]) -> dict[str, object]:
    """The arguments of ``monai.bundle.run`` that fire reads from a command line, with those of ``args_file``."""
    from fire import Fire
    from monai.bundle import run
    from monai.bundle.scripts import update_kwargs

    found: dict[str, object] = {}

    def take(*places: object, **named: object) -> None:
        found.update(zip(inspect.signature(run).parameters, places), **named)

    Fire(take, command=list(words))
    return update_kwargs(found.pop("args_file", None), **found)
