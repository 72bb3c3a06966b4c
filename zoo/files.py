"""Checks of a bundle's files, without running it."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from zoo.checklist import CheckFailed

NECESSARY = ("configs/metadata.json", "LICENSE")
PREFERRED = ("models/model.pt", "configs/inference.json")
#: Documents that a bundle needs besides the code's licence.
DOCUMENTS = ("docs/README.md", "docs/data_license.txt")
#: Largest file that the zoo's repository takes; others are named in large_files.yml.
LIMIT = 25 * 10**6
#: Entries that the zoo requires, by config.
KEYS = {
    "inference.json": ("bundle_root", "device", "dataset_dir", "network_def", "inferer", "output_dir", "evaluator"),
    "train.json": (
        *("bundle_root", "device", "dataset_dir", "output_dir", "val_interval"),
        *("train#trainer", "train#trainer#max_epochs", "train#dataset", "train#dataset#data", "train#handlers"),
        *("train#preprocessing", "train#inferer"),
        *("validate#evaluator", "validate#handlers", "validate#dataset", "validate#dataset#data", "validate#inferer"),
    ),
}
#: Absolute path, from the root or the home folder, at the start of a word.
ABSOLUTE = re.compile(r"(?:^|['\"\s(=,])(?:/[A-Za-z_]|~/|[A-Za-z]:\\)")


def necessary_files(folder: Path) -> str:
    """The files that a bundle must have."""
    return _present(folder, NECESSARY)


def preferred_files(folder: Path) -> str:
    """The files that it should have for the zoo's other checks and MONAI's apps."""
    return _present(folder, PREFERRED)


def documents(folder: Path) -> str:
    """README and terms of the data, which name every weight file."""
    found = _present(folder, DOCUMENTS)
    terms = (folder / "docs" / "data_license.txt").read_text(encoding="utf-8")
    for path in sorted((folder / "models").glob("*.pt")):
        if f"models/{path.name}" not in terms and not re.search(r"models/\w+\*", terms):
            raise CheckFailed(f"docs/data_license.txt: names no terms for models/{path.name}")
    return found


def _present(folder: Path, names: tuple[str, ...]) -> str:
    for name in names:
        if not (folder / name).is_file() or not (folder / name).stat().st_size:
            raise CheckFailed(f"{name}: is missing or empty")
    return ", ".join(names)


def sizes_and_hashes(folder: Path) -> str:
    """No file too large for the zoo, unless large_files names it; weights with the stated digests."""
    large = _large_files(folder)
    sizes = {str(p.relative_to(folder)): p.stat().st_size for p in folder.rglob("*") if p.is_file()}
    for name, size in sizes.items():
        if size > LIMIT and name not in large:
            raise CheckFailed(
                f"{name}: has {size / 1e6:.1f} MB, more than {LIMIT / 1e6:.0f}; name it in large_files.yml"
            )
    stated = {name: (one["hash_type"], one["hash_val"]) for name, one in large.items() if name in sizes}
    for line in (folder / "models" / "SHA256SUMS").read_text(encoding="utf-8").splitlines():
        digest, name = line.split()
        stated[f"models/{name}"] = ("sha256", digest)
    for name, (kind, digest) in stated.items():
        if name not in sizes or hashlib.new(kind, (folder / name).read_bytes()).hexdigest() != digest:
            raise CheckFailed(f"{name}: is missing or not the file whose {kind} is stated")
    unstated = [name for name in sizes if name.endswith((".pt", ".ts", ".onnx")) and name not in stated]
    if unstated:
        raise CheckFailed(f"{unstated[0]}: has no digest in models/SHA256SUMS")
    return f"{len(sizes)} files, {sum(sizes.values()) / 1e6:.1f} MB, the largest {max(sizes.values()) / 1e6:.1f} MB"


def _large_files(folder: Path) -> dict[str, dict]:
    """Entries of large_files.yml, .yaml or .json by path."""
    import yaml

    found = [path for path in folder.glob("large_files.*") if path.suffix in (".yml", ".yaml", ".json")]
    entries = yaml.safe_load(found[0].read_text(encoding="utf-8"))["large_files"] if found else []
    for entry in entries:
        if not {"path", "url", "hash_val", "hash_type"} <= set(entry):
            raise CheckFailed(f"{found[0].name}: an entry needs path, url, hash_val and hash_type, but is {entry}")
    return {entry["path"]: entry for entry in entries}


def json_form(folder: Path) -> str:
    """Every config is plain JSON, indented by four spaces, without repeated keys."""
    paths = sorted((folder / "configs").glob("*.json"))
    for path in paths:
        text = path.read_bytes().decode("utf-8")
        _load(path)
        lines = text.split("\n")
        wrong = [
            n for n, line in enumerate(lines, 1) if line != line.rstrip() or (len(line) - len(line.lstrip(" "))) % 4
        ]
        if "\t" in text or "\r" in text or wrong:
            raise CheckFailed(f"{path.name}: line {(wrong or [1])[0]} ends in blanks or is not indented by fours")
        if not text.endswith("\n") or text.endswith("\n\n"):
            raise CheckFailed(f"{path.name}: must end with one line break")
    return f"{len(paths)} files"


def _load(path: Path) -> dict:
    def once(pairs: list[tuple[str, object]]) -> dict:
        names = [name for name, _ in pairs]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise CheckFailed(f"{path.name}: has the key {twice[0]} twice")
        return dict(pairs)

    try:
        return json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=once)
    except ValueError as error:
        raise CheckFailed(f"{path.name}: is no JSON ({error})") from error


def no_absolute_paths(folder: Path) -> str:
    """No config and no stored list holds an absolute path."""
    paths = sorted([*(folder / "configs").glob("*.json"), *(folder / "models").glob("*.json")])
    for path in paths:
        for text in _strings(_load(path)):
            if ABSOLUTE.search(text):
                raise CheckFailed(f"{path.name}: holds an absolute path: {text}")
    return f"{len(paths)} files"


def _strings(content: object) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    for part in content.values() if isinstance(content, dict) else content if isinstance(content, list) else ():
        yield from _strings(part)


def keys(folder: Path) -> str:
    """Names of entries by which the zoo's tools and MONAI's apps find the parts."""
    for name, wanted in KEYS.items():
        config = _load(folder / "configs" / name)
        for key in wanted:
            at = config
            for part in key.split("#"):
                at = at.get(part) if isinstance(at, dict) else None
            if at is None:
                raise CheckFailed(f"{name}: has no {key}")
    handlers = _load(folder / "configs" / "train.json")["train"]["handlers"]
    if not any(h["_target_"] == "ValidationHandler" and h["interval"] == "@val_interval" for h in handlers):
        raise CheckFailed("train.json: its ValidationHandler must take val_interval as interval")
    return ", ".join(KEYS)


def version(folder: Path) -> str:
    """The version is valid and in the changelog."""
    metadata = _load(folder / "configs" / "metadata.json")
    found = metadata.get("version", "")
    if not re.fullmatch(r"\d+\.\d+\.\d+", found) or not metadata.get("changelog", {}).get(found):
        raise CheckFailed(f"metadata.json: the version '{found}' is not x.y.z or not in the changelog")
    return found


def code_form(folder: Path) -> str:
    """black, isort and flake8 as the zoo sets them."""
    tools = (
        ["black", "--check", "--quiet", "--line-length", "120"],
        ["isort", "--check-only", "--quiet", "--profile", "black", "--line-length", "120", "-p", "nisf"],
        ["flake8", "--isolated", "--max-line-length", "120", "--extend-ignore", "E203,W503"],
    )
    for tool in tools:
        done = subprocess.run(
            [sys.executable, "-m", *tool, "scripts"], cwd=folder, capture_output=True, text=True, encoding="utf-8"
        )
        if done.returncode:
            said = (done.stdout + done.stderr).strip().splitlines()
            raise CheckFailed(f"{tool[0]}: {said[0] if said else 'would change the code in scripts'}")
    return "black, isort, flake8"
