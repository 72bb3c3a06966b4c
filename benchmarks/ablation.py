"""The contribution of each part of a fit: the shipped ACDC weights on the validation patients with parts switched off.

    python benchmarks/ablation.py --dataset_dir ACDC [--section validation] [--json FILE]

Each row is the ``evaluation`` command with the listed options. Prints a Markdown table. Run it alone on the machine.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from options import of_patients

from nisf.evaluation.scores import read_scores
from nisf.utils.files import write_text
from nisf.utils.provenance import provenance

BUNDLE = Path(__file__).resolve().parent.parent / "bundle"
ROWS = {
    "default": [],
    "U-Net fitted, not blended": ["--unet_blend", "0"],
    "intensities alone, pose fitted": ["--unet_blend", "0", "--unet_weight", "0"],
    "intensities alone, pose as the U-Net shows it": [
        *("--unet_blend", "0"),
        *("--unet_weight", "0"),
        *("--pose", "False"),
    ],
    "default, every second slice removed": ["--hold_out", "every_2"],
    "U-Net fitted, not blended, every second slice removed": ["--hold_out", "every_2", "--unet_blend", "0"],
}


def evaluate(options: list[str], data: str, section: str, folder: Path, config: str = "acdc") -> dict:
    """Mean Dice per class and over all, mean Hausdorff 95, seconds per scan of one evaluation."""
    configs = [str(BUNDLE / "configs" / f"{name}.json") for name in ("inference", "evaluate", config)]
    words = [sys.executable, "-m", "monai.bundle", "run", "evaluation", "--bundle_root", str(BUNDLE)]
    words += ["--config_file", str(configs), "--dataset_dir", str(Path(data).resolve()), "--section", section]
    started = time.time()
    done = subprocess.run(
        [*words, "--output_dir", str(folder), *options], cwd=folder.parent, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit((done.stdout + done.stderr)[-8000:])
    rows = {row["class"]: row for row in read_scores(folder) if row["phase"] == "mean"}
    dice = {name: row["dice_mean"] for name, row in rows.items()}
    scans = rows["mean"]["n_subjects"]
    return {"dice": dice, "hd95_mm": rows["mean"]["hd95_mm_mean"], "seconds": (time.time() - started) / scans}


def main() -> None:
    """Prints the table."""
    options = of_patients(__doc__).parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for place, (name, words) in enumerate(ROWS.items()):
            found[name] = evaluate(words, options.dataset_dir, options.section, Path(folder) / str(place))
            if place == 0:
                classes = list(found[name]["dice"])
                print(f"| what | {' | '.join(classes)} | Hausdorff 95 (mm) | s a scan, all in all |")
                print("|---" * (len(classes) + 3) + "|")
            dice = " | ".join(f"{value:.3f}" for value in found[name]["dice"].values())
            print(f"| {name} | {dice} | {found[name]['hd95_mm']:.1f} | {found[name]['seconds']:.1f} |", flush=True)
    if options.json:
        write_text(options.json, json.dumps({"rows": found, **provenance(vars(options))}, indent=1))


if __name__ == "__main__":
    main()
