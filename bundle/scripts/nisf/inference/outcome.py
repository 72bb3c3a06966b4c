"""The outcome of each scan, and in the end a table and a machine-readable summary of them all."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from nisf.inference.evaluator import FEATURES
from nisf.quality.record import in_a_word
from nisf.utils.digest import digest_of_settings
from nisf.utils.files import write_text

SUMMARY = "scans.json"

DONE, FINISHED, FAILED = "done", "finished", "failed"


@dataclass
class Outcome:
    """The outcome of one scan.

    Attributes:
        scan: name of the subject, and of its result folder unless its file is called after it.
        state: ``done``, ``finished`` (by an earlier run) or ``failed``.
        seconds: time for reading, fit, sampling and writing; None where nothing was done.
        files: files written.
        quality: ``Quality.known``.
        verdict: ``Quality.verdict``.
        reason: reason of a failure.
        note: what there is to know of a finished scan, one sentence.
        corrected: names of its label files that were corrected by hand.
        made_with: settings, versions and weights of the run that made it, see ``Recipe.to_dict``; empty where unknown.
    """

    scan: str
    state: str
    seconds: float | None = None
    files: list[str] = field(default_factory=list)
    quality: dict[str, float | None] = field(default_factory=dict)
    verdict: dict[str, object] = field(default_factory=dict)
    reason: str = ""
    note: str = ""
    corrected: list[str] = field(default_factory=list)
    made_with: dict[str, dict] = field(default_factory=dict)


class Summary:
    """The outcomes of a run.

    Args:
        output_dir: folder of the results.

    Attributes:
        outcomes: outcome by subject; filled as the run goes on.
    """

    def __init__(self, output_dir: str | Path) -> None:
        self.output_dir = Path(output_dir)
        self.outcomes: dict[str, Outcome] = {}

    def count(self, state: str) -> int:
        """Number of scans in ``state``."""
        return sum(outcome.state == state for outcome in self.outcomes.values())

    def write(self, name: str = SUMMARY) -> Path:
        """Writes the summary, ``<output_dir>/scans.json``; an unknown quality number is null.

        ``runs`` holds settings, versions and weights by their digest, which each scan names under ``made_with``: a
        finished scan was not made by this run.
        """
        runs, rows = {}, []
        for outcome in self.outcomes.values():
            digest = digest_of_settings(outcome.made_with) if outcome.made_with else None
            if digest is not None:
                runs[digest] = outcome.made_with
            rows.append({**asdict(outcome), "made_with": digest})
        counts = {state: self.count(state) for state in (DONE, FINISHED, FAILED)}
        content = {**counts, "output": str(self.output_dir), "scans": rows, "runs": runs}
        return write_text(self.output_dir / name, json.dumps(content, indent=1) + "\n")

    def table(self) -> str:
        """One line per scan, and the counts."""
        width = max([len("scan"), *map(len, self.outcomes)])
        features = [sign.replace("_", " ") for sign in FEATURES]
        lines = ["  ".join([f"{'scan':<{width}}", f"{'':<8}", "seconds", "expected Dice", *features]).rstrip()]
        lines += [_line(outcome, width) for outcome in self.outcomes.values()]
        return "\n".join([*lines, self.counts()])

    def counts(self) -> str:
        """Number of scans in each state, in one line."""
        done, finished, failed = (self.count(state) for state in (DONE, FINISHED, FAILED))
        parts = [f"{done} of {len(self.outcomes)} scans done"]
        parts += [f"{finished} finished by an earlier run"] * bool(finished) + [f"{failed} failed"] * bool(failed)
        return ", ".join(parts)


def _line(outcome: Outcome, width: int) -> str:
    start = f"{outcome.scan:<{width}}  {outcome.state:<8}"
    if outcome.state == FAILED:
        return f"{start}  {outcome.reason}"
    numbers = [f"{outcome.seconds:>7.1f}" if outcome.seconds is not None else " " * 7]
    values = {"expected Dice": outcome.verdict.get("predicted_dice")} | {k: outcome.quality.get(k) for k in FEATURES}
    numbers += [" " * len(k) if value is None else f"{value:>{len(k)}.3f}" for k, value in values.items()]
    words = "; ".join(filter(None, [in_a_word(outcome.verdict), outcome.note]))
    return "  ".join([start, *numbers, words]).rstrip()
