"""Every command of nisf on every kind of bad input: exit status, and the sentence that says why.

    python benchmarks/bad_inputs.py [--only WORD] [--processes 2] [--json FILE]

The inputs are made from a small phantom cohort (``bad_files.py``); the kinds are those of ``tests/README.md``. Each
call is a process of its own. A call fails here if it prints a traceback or runs what it was given, if its exit status
is none of those that the help names, if it ends with 0 where the input cannot be worked with, or if it ends otherwise
without a sentence. Exit status 1 if any call fails.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bad_files import LABELS, PEOPLE, RESULTS, SCANS, TENSORS, lists, write_list
from bad_options import OPTIONS

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from helpers.bundle_runs import TINY  # noqa: E402
from helpers.forked import run_command  # noqa: E402

PHANTOM = ("--config", "phantom,fast")
TRAINING = ["--config", "phantom,plain", "--epochs", 1]
TRAINING += [word for name, value in {**TINY, "steps_per_epoch": 2}.items() for word in (f"--{name}", value)]
#: What a scan gives to --like, --mask or a label does not ask for.
GRID_ALONE = ("NaN", "constant image", "no heart in view", "complex numbers", "colours", "cut-off file")
REFUSED, DONE, EITHER = (1, 2), (0,), (0, 1, 2)


@dataclass
class Call:
    """A command line and the exit statuses that are right."""

    command: str
    kind: str
    words: Sequence[object]
    right: tuple[int, ...] = REFUSED
    status: int = -1
    said: str = ""
    fault: str = ""

    def run(self, cwd: Path) -> Call:
        """Runs it and looks at what it says."""
        done = run_command(["nisf", *self.words], cwd, timeout=300)
        text = done.stdout + done.stderr
        lines = [line.strip() for line in (done.stderr.strip() or done.stdout.strip()).splitlines() if line.strip()]
        why = [line for line in lines if not re.match(r"\d+ of \d+ ", line)]  # not the count of a batch
        self.status, self.said = done.returncode, ["", *lines[-1:], *why[-1:] * (done.returncode > 0)][-1]
        faults = {
            "traceback": "Traceback" in text or "unexpected fault" in text,
            "code was run": "THE BOMB WENT OFF" in text,
            f"exit status {self.status}": self.status not in self.right,
            "no message": self.status != 0 and not lines,
        }
        self.fault = ", ".join(word for word, found in faults.items() if found)
        return self


class Workplace:
    """A folder with good inputs, and the calls on bad ones.

    Args:
        folder: empty folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.number = folder, 0
        sizes = ("--matrix", 48, "--voxel_mm", 4, "--slices", 6, "--frames", 3)
        self._must("phantom", "-o", "good", "--training", 1, "--validation", 1, "--test", 1, *sizes)
        self.scan, self.label = (folder / "good" / f"test000_sa{end}.nii.gz" for end in ("", "_gt"))
        self._must("segment", self.scan, "-o", "done", *PHANTOM)
        self.latent = folder / "done" / "test000_sa" / "test000_sa_latent.pt"
        self.entry = {"image": str(self.scan), "label": str(self.label), "phases": {"ED": 0, "ES": 1}}

    def _must(self, *words: object) -> None:
        done = run_command(["nisf", *words], self.folder)
        if done.returncode:
            raise SystemExit(done.stderr)

    def place(self, name: str = "scan.nii.gz") -> Path:
        """A path in an empty folder of its own."""
        self.number += 1
        folder = self.folder / f"in{self.number}"
        folder.mkdir()
        return folder / name

    def out(self) -> str:
        """A result folder of its own."""
        self.number += 1
        return f"out{self.number}"

    def calls(self) -> Iterator[Call]:
        """All calls."""
        for part in (self.scans, self.labels, self.lists, self.weights, self.latents, self.results, self.options):
            yield from part()

    def scans(self) -> Iterator[Call]:
        """Commands that read a scan."""
        for kind, make in SCANS.items():
            path = make(self.scan, self.place())
            yield Call("segment", kind, ["segment", path, "-o", self.out(), *PHANTOM])
            yield Call(
                "segment --series",
                kind,
                self._with("--series", path),
                self._of(kind, ("no heart in view", "single slice", "2D image")),
            )
            yield Call("segment --mask", kind, self._with("--mask", path), self._of(kind, GRID_ALONE))
            yield Call("cohort run", kind, ["cohort", "run", path.parent, "-o", self.out(), *PHANTOM])
            words = ["sample", self.latent, "-o", f"{self.out()}.nii.gz", "--like", path]
            yield Call("sample --like", kind, words, self._of(kind, (*GRID_ALONE, "single slice", "2D image")))
            yield from self._of_list(kind, {**self.entry, "image": str(path)})

    def _with(self, option: str, path: Path) -> list[object]:
        return ["segment", self.scan, "-o", self.out(), option, path, *PHANTOM]

    @staticmethod
    def _of(kind: str, fine: Sequence[str]) -> tuple[int, ...]:
        return EITHER if kind in fine else REFUSED

    def _of_list(self, kind: str, entry: dict) -> Iterator[Call]:
        listing = write_list(self.place().parent, entry)
        right = EITHER if kind in ("no heart in view", "single slice", "label without a class") else REFUSED
        yield Call("train", kind, ["train", listing, "-o", self.out(), *TRAINING], right)
        yield Call(
            "evaluate",
            kind,
            ["evaluate", listing, "-o", self.out(), *PHANTOM],
            self._of(kind, ("label without a class",)),
        )

    def labels(self) -> Iterator[Call]:
        """Commands that read a label."""
        for kind, make in LABELS.items():
            yield from self._of_list(kind, {**self.entry, "label": str(make(self.label, self.place()))})

    def lists(self) -> Iterator[Call]:
        """Commands that read a data list."""
        for kind, make in lists(self.entry).items():
            listing = make(self.place().parent)
            alone = EITHER if kind in ("text for phases",) else REFUSED
            yield Call("segment", kind, ["segment", listing, "-o", self.out(), *PHANTOM], alone)
            yield Call("cohort run", kind, ["cohort", "run", listing, "-o", self.out(), *PHANTOM], alone)
            yield Call("train", kind, ["train", listing, "-o", self.out(), *TRAINING])
            yield Call("evaluate", kind, ["evaluate", listing, "-o", self.out(), *PHANTOM])

    def weights(self) -> Iterator[Call]:
        """Commands that read weights."""
        good = self.latent
        for kind, make in TENSORS.items():
            path, name = make(good, self.place("weights.pt")), f"{kind} weights"
            for option in ("--model", "--unet_model"):
                yield Call(f"segment {option}", name, self._with(option, path))
                yield Call(f"evaluate {option}", name, ["evaluate", "good", "-o", self.out(), *PHANTOM, option, path])
            yield Call("cohort run", name, ["cohort", "run", "good", "-o", self.out(), *PHANTOM, "--model", path])
            yield Call("sample", name, ["sample", good, "-o", f"{self.out()}.nii.gz", "--model", path])
            yield Call("mesh", name, ["mesh", good, "-o", self.out(), "--model", path])
            folder = self.place().parent
            if path.exists():
                (folder / "checkpoint_epoch=1.pt").write_bytes(path.read_bytes())
                words = ["train", "good", "-o", folder, "--resume", *TRAINING]
                yield Call("train --resume", f"{kind} checkpoint", words)

    def latents(self) -> Iterator[Call]:
        """Commands that read a latent file."""
        for kind, make in TENSORS.items():
            path, name = make(self.latent, self.place("a_latent.pt")), f"{kind} latent"
            yield Call("sample", name, ["sample", path, "-o", f"{self.out()}.nii.gz"])
            yield Call("mesh", name, ["mesh", path, "-o", self.out()])
            yield Call("report", name, ["report", path.parent])

    def results(self) -> Iterator[Call]:
        """``report`` and tables of people."""
        for kind, make in RESULTS.items():
            yield Call("report", kind, ["report", make(self.folder / "done", self.place("results"))])
        for kind, text in PEOPLE.items():
            table = self.place("people.csv")
            table.write_text(text)
            yield Call("report", kind, ["report", "done", "--people", table], (2,))
            words = ["cohort", "run", "good", "-o", self.out(), *PHANTOM, "--people", table]
            yield Call("cohort run", kind, words, (2,))

    def options(self) -> Iterator[Call]:
        """Options, devices and folders."""
        out, scan, latent = self.out(), self.scan, self.latent
        calls = {
            "segment": ["segment", scan, "-o", out, *PHANTOM],
            "cohort run": ["cohort", "run", "good", "-o", out, *PHANTOM],
            "sample": ["sample", latent, "-o", f"{out}.nii.gz"],
            "mesh": ["mesh", latent, "-o", out],
            "report": ["report", "done"],
            "train": ["train", "good", "-o", out, *TRAINING],
            "evaluate": ["evaluate", "good", "-o", out, *PHANTOM],
            "phantom": ["phantom", "-o", out],
            "doctor": ["doctor"],
        }
        for command, words in calls.items():
            yield Call(command, "unknown option", [*words, "--nonsense", "1"], (2,))
            if command != "report" and command != "phantom":
                for device in ("foo", "cuda:99"):
                    yield Call(command, f"device {device}", [*words, "--device", device], (2,))
            if command not in ("doctor", "report"):
                (self.folder / "file").write_text("in the way")
                there = "file/x.nii.gz" if command == "sample" else "file/out"
                yield Call(command, "result folder that is a file", [*words, "-o", there], (1, 2))
                yield Call(
                    command,
                    "no result named",
                    [word for word in words if word not in ("-o", words[words.index("-o") + 1])],
                    (2,),
                )
            if command not in ("doctor", "phantom"):
                yield Call(command, "nothing named", [*command.split()], (2,))
        yield Call("doctor", "folder in a file", ["doctor", "--folder", "file/out"], (1,))
        (self.place("cohort.json")).write_text('{"training": []}')
        yield Call("phantom", "data list of someone else", ["phantom", "-o", f"in{self.number}"], (2,))
        for command, text in OPTIONS:
            right = (1,) if "[99]" in text else (2,)  # no such slice or frame in this scan, but maybe in others
            own = self.out()  # calls run at the same time
            words = [word.replace(out, own) if isinstance(word, str) else word for word in calls[command]]
            yield Call(command, text, [*words, *text.split()], right)


def table(calls: Sequence[Call]) -> str:
    """Number of calls by command (without the option) and exit status."""
    lines = ["| command | calls | exit status 0 | 1 | 2 | failed here |", "|---|---|---|---|---|---|"]
    for name in dict.fromkeys(call.command.split(" --")[0] for call in calls):
        own = [call for call in calls if call.command.split(" --")[0] == name]
        counts = [sum(call.status == status for call in own) for status in (0, 1, 2)]
        cells = [f"`nisf {name}`", len(own), *counts, sum(bool(call.fault) for call in own)]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def main() -> int:
    """Runs all calls; returns the number of those that fail."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="only calls whose command and kind hold this")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", help="file for the calls")
    options = parser.parse_args()
    began = time.time()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        place = Workplace(folder)
        calls = [one for one in place.calls() if not options.only or options.only in f"{one.command} {one.kind}"]
        with ThreadPoolExecutor(options.processes) as pool:
            for call in pool.map(lambda one: one.run(folder), calls):
                said = call.said.replace(f"{folder}/", "")
                state = f"FAIL {call.fault}" if call.fault else "ok  "
                print(f"{state} {call.command} | {call.kind} | {call.status} | {said}", flush=True)
    failed = [call for call in calls if call.fault]
    refused = sum(call.status > 0 for call in calls)
    print(table(calls))
    print(f"{len(calls)} calls, {refused} refused, {len(failed)} failed, {time.time() - began:.0f} s")
    if options.json:
        Path(options.json).write_text(
            json.dumps([vars(call) for call in calls], indent=1, default=str), encoding="utf-8"
        )
    return len(failed)


if __name__ == "__main__":
    sys.exit(min(main(), 1))
