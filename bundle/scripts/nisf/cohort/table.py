"""The outcome of every scan of a cohort as a Parquet table, a row for each scan."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from nisf.utils.files import whole_file

TABLE = "scans.parquet"

#: State of a scan that no worker has done yet.
WAITING = "waiting"


def row_of(record: Mapping[str, object], folder: Path) -> dict[str, object]:
    """A record of ``ScanWorker.do`` as a row of the table; what is missing is null.

    Args:
        record: record with at least ``scan`` and ``state``.
        folder: result folder, to which file names are relative.
    """
    verdict, made_with = record.get("verdict") or {}, record.get("made_with") or {}
    ended = record.get("ended")
    flags = [flag["name"] for flag in verdict.get("flags") or []] if verdict else None
    return {
        "subject": record["scan"],
        "state": record["state"],
        "seconds": record.get("seconds"),
        "attempts": record.get("attempts"),
        "worker": record.get("worker"),
        "ended": None if ended is None else datetime.fromisoformat(ended),
        "reason": record.get("reason") or None,
        "predicted_dice": verdict.get("predicted_dice"),
        "trusted": verdict.get("trusted"),
        "flags": flags,
        "corrected": bool(record.get("corrected")) if record["state"] != WAITING else None,
        "note": record.get("note") or None,
        "files": [_within(Path(file), folder) for file in record.get("files") or []],
        "versions": list((made_with.get("versions") or {}).items()),
        "weights": list((made_with.get("weights") or {}).items()),
        "settings": json.dumps(made_with["settings"], sort_keys=True) if made_with else None,
        **{f"quality_{name}": value for name, value in (record.get("quality") or {}).items()},
    }


def _within(file: Path, folder: Path) -> str:
    return str(file.relative_to(folder)) if file.is_relative_to(folder) else str(file)


def write_table(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    """Writes rows of ``row_of`` as a Parquet file in one move.

    Raises:
        InputError: the folder cannot be written or the disk is full.
    """
    import pyarrow as pa
    from pyarrow import parquet

    text = pa.string()
    columns = {
        "subject": text,
        "state": text,
        "seconds": pa.float64(),
        "attempts": pa.int32(),
        "worker": text,
        "ended": pa.timestamp("s", tz="UTC"),
        "reason": text,
        "predicted_dice": pa.float64(),
        "trusted": pa.bool_(),
        "flags": pa.list_(text),
        "corrected": pa.bool_(),
        "note": text,
        "files": pa.list_(text),
        "versions": pa.map_(text, text),
        "weights": pa.map_(text, text),
        "settings": text,
    }
    numbers = sorted({name for row in rows for name in row} - set(columns))
    schema = pa.schema([*columns.items(), *((name, pa.float64()) for name in numbers)])
    with whole_file(path) as part:
        parquet.write_table(pa.Table.from_pylist(list(rows), schema), part, compression="zstd")
    return path
