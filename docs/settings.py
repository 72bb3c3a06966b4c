"""Writes docs/settings.md, the page of settings, from the bundle's configs and what docs/settings.json says of each.

    python docs/settings.py

A setting is described once, under the first config that has it, and again only where another gives it another meaning.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

DOCS = Path(__file__).resolve().parent
CONFIGS = DOCS.parent / "bundle" / "configs"
PAGE = DOCS / "settings.md"

INTRO = """# Settings

Everything that can be set is an entry at the top of a config in `bundle/configs`, with the same name everywhere.
There are four ways to set one:

- `nisf train`, `nisf evaluate`: as an option, `--lr 0.001`, `--hold_out every_2`; `nisf segment` and `nisf sample`
  have options for those that a user wants (`nisf COMMAND --help`);
- an override file of your own, `--config kidney.json`: later files win; see
  [Your own data](tutorials/your_own_data.md);
- as an option, too, of the bundle's run ids as MONAI runs them, `python -m monai.bundle run`
  ([train and evaluate](how-to/train.md));
- in Python, `Segmenter("phantom", final_points=4096)`.

A name that the run id does not use is refused. `A#b` is the entry `b` inside the entry `A`. What stands as *built*
is made of the settings above it and can be replaced as a whole ([extend](how-to/extend.md)). In a config, and under
`python -m monai.bundle run`, values that begin with `$` are Python, as MONAI reads them: **a config is code that
runs**, take it only from people whose code you would run. Options of `nisf` and of `Segmenter` are never run.

Which values were tried, and with what result: [ablation](results/ablation.md#settings-that-were-tried).

`inference.json` is the base. The others, `sampling.json` excepted, hold what differs and are laid over it.
"""


def descriptions() -> dict[str, dict]:
    """Config to what is ``about`` it and its ``settings``, each unit and meaning."""
    return json.loads((DOCS / "settings.json").read_text(encoding="utf-8"))


def described(config: str, setting: str, about: Mapping[str, Mapping]) -> list[str]:
    """Unit and meaning of a config's setting: its own, or those of the first config that says them."""
    for one in (config, *about):
        if setting in about[one]["settings"]:
            return about[one]["settings"][setting]
    raise KeyError(f"docs/settings.json does not say what {setting} of {config}.json is")


def is_plain(value: object) -> bool:
    """Whether a value is worth printing: neither built nor put together of what is."""
    if isinstance(value, dict):
        return "_target_" not in value and all(is_plain(one) for one in value.values())
    if isinstance(value, list):
        return all(is_plain(one) and not str(one).startswith(("$", "@")) for one in value)
    return not str(value).startswith("@")


def default(value: object) -> str:
    """A value as the page shows it."""
    if value == "":
        return "empty"
    if not is_plain(value):
        return "built"
    return f"`{value if isinstance(value, str) else json.dumps(value)}`".replace("|", "\\|")


def table(config: str, about: Mapping[str, Mapping]) -> Iterator[str]:
    """Rows of a config's settings, what is built last."""
    settings = json.loads((CONFIGS / f"{config}.json").read_text(encoding="utf-8"))
    yield "| setting | default | unit | meaning |"
    yield "|---|---|---|---|"
    for name in sorted(settings, key=lambda one: default(settings[one]) == "built"):
        unit, meaning = described(config, name, about)
        yield f"| `{name}` | {default(settings[name])} |{f' {unit}' if unit else ''} | {meaning} |"


def page() -> str:
    """The page."""
    about = descriptions()
    parts = [INTRO]
    for config, one in about.items():
        parts.append("\n".join([f"## {config}.json", "", one["about"], "", *table(config, about), ""]))
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
