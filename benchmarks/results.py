"""Scores of the shipped weights on the test subjects and the history of their training: docs/results/results.md.

    python benchmarks/results.py --acdc DIR --hippocampus DIR [--phantom DIR] [--runs DIR] [--json FILE]

Each evaluation is the command above its table. ``--phantom`` and the folders under ``--runs`` (``acdc``, ``phantom``,
``hippocampus``: the output folders of the trainings) are optional. Run it alone on the machine; use test subjects only
to report.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from about import machine

from nisf.evaluation.scores import read_scores
from nisf.utils.files import write_text

ROOT = Path(__file__).resolve().parent.parent
NAMES = {"phantom": "Phantom", "acdc": "ACDC", "hippocampus": "Hippocampus (Decathlon Task04)"}


def evaluate(name: str, data: str | None, output: Path) -> dict:
    """Runs the evaluation of one override file from another folder; returns its summary, time and command."""
    configs = [f"BUNDLE/configs/{part}.json" for part in ("inference", "evaluate", name)]
    words = [
        "-m",
        "monai.bundle",
        "run",
        "evaluation",
        "--bundle_root",
        "BUNDLE",
        "--config_file",
        str(configs).replace(" ", ""),
    ]
    quoted = [f'"{word}"' if word.startswith("[") else word for word in words]
    shown = " ".join(["python", *quoted, "--output_dir", "OUT", *(["--dataset_dir", "DATA"] if data else [])])
    real = [word.replace("BUNDLE", str(ROOT / "bundle")) for word in words] + ["--output_dir", str(output)]
    real += ["--dataset_dir", str(Path(data).resolve())] if data else []
    started = time.time()
    subprocess.run([sys.executable, *real], check=True, cwd=output.parent)
    return {
        "name": name,
        "command": shown,
        "seconds": time.time() - started,
        "rows": read_scores(output),
        "fit": fit_times(output),
        "calibration": json.loads((output / "calibration.json").read_text())["expected_calibration_error"],
        "reliability": output / "reliability.png",
    }


def fit_times(output: Path) -> dict:
    """Mean seconds, steps and points of the fits of an evaluation, from its latent files."""
    fits = [torch.load(path, weights_only=True) for path in output.rglob("*_latent.pt")]
    return {
        key: sum(value(f) for f in fits) / len(fits)
        for key, value in {
            "seconds": lambda f: f["seconds"],
            "steps": lambda f: len(f["history"]),
            "points": lambda f: f["points"],
        }.items()
    } | {"scans": len(fits)}


def score_table(result: dict) -> list[str]:
    """The table of one evaluation as Markdown."""
    lines = [
        "| phase | class | Dice | Hausdorff 95 (mm) | scores | empty truth | empty prediction | no distance |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        dice = f"{row['dice_mean']:.3f} ± {row['dice_std']:.3f}"
        distance = "" if row["hd95_mm_mean"] is None else f"{row['hd95_mm_mean']:.1f} ± {row['hd95_mm_std']:.1f}"
        counts = " | ".join(str(row[key]) for key in ("n", "n_empty_truth", "n_empty_prediction", "n_failed"))
        lines.append(f"| {row['phase']} | {row['class']} | {dice} | {distance} | {counts} |")
    fit = result["fit"]
    lines += [
        "",
        f"{fit['scans']} scans; a fit took {fit['seconds']:.1f} s on average ({fit['steps']:.0f} steps, "
        f"{fit['points'] / 1e3:.0f}k point evaluations); "
        f"the whole command {result['seconds']:.0f} s.",
    ]
    return lines


def calibration_table(result: dict, figures: Path) -> list[str]:
    """Expected calibration errors as Markdown; the picture is copied beside the page."""
    lines = ["| probabilities | all voxels of the field | heart (stated background < 0.99) |", "|---|---|---|"]
    for name, errors in result["calibration"].items():
        lines.append(f"| {name} | {errors['field']:.4f} | {errors['heart']:.4f} |")
    figures.mkdir(parents=True, exist_ok=True)
    shutil.copy(result["reliability"], figures / f"{result['name']}_reliability.png")
    return [
        "",
        "Expected calibration error:",
        "",
        *lines,
        "",
        f"![reliability](../figures/{result['name']}_reliability.png)",
    ]


def training_summary(folder: Path, name: str, figures: Path) -> list[str]:
    """The history of one training as Markdown; its curves are copied beside the page."""
    losses = json.loads((folder / "training.json").read_text())
    validations = json.loads((folder / "validation.json").read_text())["history"]
    lines = ["| epoch | training loss | validation Dice | best fit step |", "|---|---|---|---|"]
    for entry in validations:
        loss = next(h["loss"] for h in losses if h["epoch"] == entry["epoch"])
        lines.append(f"| {entry['epoch']} | {loss:.3f} | {entry['mean_dice']:.3f} | {entry['best_step']} |")
    figures.mkdir(parents=True, exist_ok=True)
    for picture in ("training_curve", "fit_curve"):
        shutil.copy(folder / f"{picture}.png", figures / f"{name}_{picture}.png")
        lines += ["", f"![{picture}](../figures/{name}_{picture}.png)"]
    return lines


def page(results: list[dict], runs: Path | None, figures: Path) -> str:
    """The whole page."""
    lines = [
        "# Results",
        "",
        f"Written by `benchmarks/results.py`; {machine()}.",
        "",
        "Volume scores on the files' own grids, labels used only to score. Dice and Hausdorff 95 by MONAI; mean and "
        "standard deviation over subjects. Empty classes are left out of the means and counted. Phase `mean` averages "
        "a subject's phases, class `mean` the classes.",
    ]
    for result in results:
        lines += [
            "",
            f"## {NAMES[result['name']]}, test subjects",
            "",
            f"    {result['command']}",
            "",
            *score_table(result),
            *calibration_table(result, figures),
        ]
        folder = None if runs is None else runs / result["name"]
        if folder is not None and (folder / "training.json").is_file():
            lines += [
                "",
                f"### Training of the {result['name']} weights",
                "",
                "Validation Dice is that of the points drawn for the fit, inside the field, ED and ES pooled: it is "
                "higher than the mean volume Dice.",
                "",
            ]
            lines += training_summary(folder, result["name"], figures)
    return "\n".join(lines) + "\n"


def main() -> None:
    """Evaluates, writes the page, prints where it is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in NAMES:
        parser.add_argument(f"--{name}", metavar="DIR", help=f"folder of the {NAMES[name]} data")
    parser.add_argument("--runs", type=Path, help="folder of the trainings' output folders")
    parser.add_argument("--json", metavar="FILE", help="also write the summaries there")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "results" / "results.md")
    options = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for name in NAMES:
            data = getattr(options, name)
            if data or name == "phantom":
                results.append(evaluate(name, data, Path(folder) / name))
        write_text(options.output, page(results, options.runs, options.output.parent.parent / "figures"))
    if options.json:
        plain = [{key: value for key, value in result.items() if key != "reliability"} for result in results]
        write_text(options.json, json.dumps({"machine": machine(), "results": plain}, indent=1))
    print(options.output)


if __name__ == "__main__":
    main()
