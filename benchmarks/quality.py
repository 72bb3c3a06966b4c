"""Predicted against true Dice, and the flags, on scans with artificial faults.

    python benchmarks/quality.py --phantom COHORT --section validation --rows FILE     # fits, a line each into FILE
    python benchmarks/quality.py --phantom COHORT --rows FILE --fit                    # coefficients beside the weights
    python benchmarks/quality.py --phantom COHORT --section test --rows FILE2          # fits and prints the table

With ``--acdc FOLDER`` in place of ``--phantom`` the same for ACDC; ``--rows FILE --leave-out`` then predicts each
validation patient from the others. An interrupted run continues where it stopped. The faults are those of
``faults.py``; a fit is that of ``nisf segment`` with at most four frames, ED and ES among them. Dice is the mean over
classes, ED and ES against the label with the same fault put into it (the label of an upside-down stack is also
upside down). Where there is no heart every outline is wrong, so the true Dice is 0; refused scans are counted
separately.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from faults import FAULTS
from spoilt_scans import Fitter, dice_of, every_fault

from nisf.quality.dice_regression import DicePrediction
from nisf.quality.flags import limits_of
from nisf.quality.record import Quality
from nisf.quality.verdict import TRUSTED, Judge
from nisf.utils.errors import NoHeartFound, input_error_in, reason_of
from nisf.utils.provenance import provenance

#: Random seeds of the faults: for the scans that give the coefficients, and for those that test them.
SEEDS = {"validation": 0, "test": 1}


def read_rows(file: Path) -> list[dict]:
    """The finished fits."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def fit_all(layout: str, data: str, section: str, count: int, seed: int, faults: list[str], file: Path) -> None:
    """Fits what is not yet in the file."""
    done = {(row["subject"], row["fault"], row["seed"]) for row in read_rows(file)}
    fitter = Fitter(layout)
    for subject, fault, entry, make in every_fault(layout, data, section, count, seed, faults):
        if (subject, fault, seed) in done:
            continue
        row = {"layout": layout, "section": section, "subject": subject, "fault": fault, "seed": seed}
        try:
            with tempfile.TemporaryDirectory() as folder:
                found = fitter(entry, make(), Path(folder))
            quality = found["scan"].quality
            row |= {"dice": dice_of(found, entry["phases"]), "numbers": quality.numbers, "slices": quality.slices}
        except Exception as error:  # a refused scan is a result
            row |= {"refused": reason_of(error), "no_heart": isinstance(input_error_in(error), NoHeartFound)}
        with open(file, "a") as lines:
            lines.write(json.dumps(row) + "\n")
        print(subject, fault, row.get("refused") or f"{row['dice']:.3f}", flush=True)


def calibrated(rows: list[dict], about: dict) -> Judge:
    """Coefficients and limits from fits with known Dice."""
    fits = [row for row in rows if "dice" in row]
    limits = limits_of([row["numbers"] for row in fits if row["fault"] == "as it is"])
    prediction = DicePrediction.fitted(
        [row["numbers"] for row in fits], [row["dice"] for row in fits], limits["least_volume"]
    )
    return Judge(prediction, limits, about)


def judged(rows: list[dict], judge: Judge) -> list[dict]:
    """The rows with the judge's verdict."""
    return [{**row, "verdict": _verdict_on(row, judge)} for row in rows]


def _verdict_on(row: dict, judge: Judge) -> dict:
    if "refused" not in row:
        return judge(row["numbers"], row["slices"]).verdict()
    return Quality.without_heart().verdict() if row["no_heart"] else {}


def left_out(rows: list[dict]) -> list[dict]:
    """The rows, each judged by coefficients from the other subjects."""
    found = []
    for subject in sorted({row["subject"] for row in rows}):
        judge = calibrated([row for row in rows if row["subject"] != subject], {})
        found += judged([row for row in rows if row["subject"] == subject], judge)
    return found


def table(rows: list[dict]) -> str:
    """A table with a line for each fault."""
    lines = ["| fault | scans | refused | true Dice | predicted | mean absolute error | not trusted | flags |"]
    lines.append("|---" * 8 + "|")
    for fault in [*FAULTS, None]:
        of_fault = [row for row in rows if fault in (None, row["fault"])]
        if not of_fault:
            continue
        fits = [row for row in of_fault if "dice" in row]
        true = np.array([r["dice"] for r in fits])
        said = np.array([r["verdict"]["predicted_dice"] for r in fits], float)  # NaN without coefficients
        counts = Counter(flag["name"] for row in of_fault for flag in row["verdict"].get("flags", []))
        told = ", ".join(f"{name} {count}" for name, count in counts.most_common())
        numbers = (
            ["", "", ""] if not fits else [f"{v:.3f}" for v in (true.mean(), said.mean(), abs(true - said).mean())]
        )
        bad = sum(row["verdict"].get("trusted") is False for row in of_fault)
        words = [fault or "all", str(len(of_fault)), str(len(of_fault) - len(fits)), *numbers, str(bad)]
        lines.append(f"| {' | '.join(words)} | {told if fault else ''} |")
    return "\n".join(lines)


def summary(rows: list[dict]) -> str:
    """Errors and misses in a few lines."""
    fits = [row for row in rows if "dice" in row]
    pairs = np.array([[row["dice"], row["verdict"]["predicted_dice"]] for row in fits], float).T
    bad = [row for row in fits if row["dice"] < TRUSTED]
    good = [row for row in fits if row["dice"] >= TRUSTED]
    missed = [row for row in bad if row["verdict"]["trusted"]]
    uncertain = [row for row in good if not row["verdict"]["trusted"] and row["fault"] != "upside down"]
    empty = [row for row in rows if row["fault"] == "no heart"]
    flagged = [row for row in empty if row["verdict"].get("trusted") is False]
    return (
        f"{len(rows)} scans, {len(rows) - len(fits)} refused; mean absolute error "
        f"{np.abs(pairs[0] - pairs[1]).mean():.3f}, correlation {np.corrcoef(pairs)[0, 1]:.3f}\n"
        f"true Dice below {TRUSTED}: {len(bad)}, of them trusted {len(missed)}; "
        f"{TRUSTED} or more: {len(good)}, of them not trusted {len(uncertain)} (upside-down ones left aside)\n"
        f"no heart: {len(flagged)} of {len(empty)} flagged"
    )


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--phantom", metavar="COHORT")
    group.add_argument("--acdc", metavar="FOLDER")
    parser.add_argument("--section", default="validation", choices=SEEDS)
    parser.add_argument("--subjects", type=int, default=1000)
    parser.add_argument("--seed", type=int, help="random seed of the faults; 0 for validation, 1 for test unless given")
    parser.add_argument("--faults", default="", help="names separated by commas; all unless given")
    parser.add_argument("--rows", metavar="FILE", required=True, help="JSON lines, a fit each")
    parser.add_argument("--fit", action="store_true", help="write the coefficients beside the weights")
    parser.add_argument("--leave-out", action="store_true", help="judge each subject by the others")
    options = parser.parse_args()
    layout, data = ("phantom", options.phantom) if options.phantom else ("acdc", options.acdc)
    file = Path(options.rows)
    seed = SEEDS[options.section] if options.seed is None else options.seed
    fit_all(layout, data, options.section, options.subjects, seed, [f for f in options.faults.split(",") if f], file)
    rows, fitter = read_rows(file), Fitter(layout)
    if options.fit:
        subjects = len({row["subject"] for row in rows})
        fits = sum("dice" in row for row in rows)
        about = {"subjects": subjects, "fits": fits, "section": options.section, **provenance({})["versions"]}
        print(calibrated(rows, about).write(fitter.model, fitter.pipeline))
    judge = Judge.beside(fitter.model, fitter.pipeline, {"1": "LV"})
    found = left_out(rows) if options.leave_out else judged(rows, judge)
    print(f"{table(found)}\n\n{summary(found)}")


if __name__ == "__main__":
    main()
