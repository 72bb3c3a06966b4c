"""Handler that scores labelled scans, and the run of an evaluation."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from ignite.engine import Engine, Events

from nisf.evaluation import metrics
from nisf.evaluation.held_out import HeldOut
from nisf.evaluation.reliability import REGIONS, Reliability, write_reliability
from nisf.geometry.orientation import spacing_of
from nisf.inference.evaluator import ScanEvaluator
from nisf.plots.panels import cases_figure
from nisf.transforms.load import UNLABELLED
from nisf.utils.distributed import all_of, rank
from nisf.utils.errors import InputError
from nisf.utils.files import check_writable
from nisf.utils.provenance import provenance
from nisf.utils.tensors import plain_array

logger = logging.getLogger(__name__)


class ScoreScans:
    """Scores each segmentation against its label on the file's own grid: Dice and 95% Hausdorff distance.

    Volume scores per class and frame, by MONAI's metrics. Labels outside the fitted field count as missed. If slices
    were held out, the seen and the held-out ones are also scored separately, with two baselines (``HeldOut``).
    After the run ``write`` writes ``scores.csv``, ``summary.csv``, ``scores.json``, ``cases.png`` (best, median and
    worst subject), and the reliability of the class probabilities on the voxels of the field, before and after
    calibration.

    Args:
        class_names: inside label value (text) to name.
        output_dir: folder of the files.
        settings: settings that are kept with the scores.
    """

    def __init__(self, class_names: Mapping[str, str], output_dir: str, settings: Mapping[str, object]) -> None:
        self.class_names, self.output_dir, self.settings = dict(class_names), Path(output_dir), settings
        self.rows: list[dict] = []
        self.cases: dict[str, dict] = {}
        self.reliability = {"uncalibrated": Reliability(), "calibrated": Reliability()}

    def attach(self, engine: Engine) -> None:
        """Registers for each scan."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Scores the current scan, if it has a label."""
        output, batch = engine.state.output, engine.state.batch
        if not output or "truth" not in batch:
            return
        truth, prediction = plain_array(batch["truth"])[0], plain_array(output["seg"])[0]
        seen = [t for t in range(truth.shape[-1]) if (truth[..., t] > UNLABELLED).all()]
        phases = {name: t for name, t in (batch.get("phases") or {}).items() if t in seen}
        truth, frames = np.maximum(truth, 0), phases or seen
        affine = np.asarray(batch["truth"].affine)
        rest = (frames, spacing_of(affine), self.class_names, batch["subject"])
        held = HeldOut.of(output["image"], affine, truth.shape[:3])
        rows = metrics.score_subject(prediction, truth, *rest, {} if held is None else held.regions())
        self.rows.extend(rows if held is None else [*rows, *held.baselines(truth, *rest)])
        rows = [row for row in rows if row["region"] == "all"]
        self._keep_case(batch, output, next(iter(phases.values()), seen[0]), rows)
        self._check_probabilities(batch, output, float(engine.network.temperature))

    def _check_probabilities(self, batch: Mapping, output: Mapping, temperature: float) -> None:
        first, classes = output["recon"].shape[0], 1 + len(self.class_names)
        prediction, label = output["pred_fitted"].as_tensor(), batch["label"].as_tensor()
        for frame in range(label.shape[-1]):
            stated = prediction[first : first + classes, ..., frame].reshape(classes, -1).float()
            logits = stated.clamp_min(1e-7).log() * temperature  # up to a constant
            of_frame = label[0, ..., frame].reshape(-1)
            self.reliability["calibrated"].add(stated, of_frame)
            if "uncertainty" in output:
                mean = prediction[first + classes : first + 2 * classes, ..., frame].reshape(classes, -1).float()
                self.reliability.setdefault("posterior mean", Reliability()).add(mean, of_frame, stated[0])
            self.reliability["uncalibrated"].add(logits.softmax(dim=0), of_frame, stated[0])

    def _keep_case(self, batch: Mapping, output: Mapping, frame: int, rows: list[dict]) -> None:
        dice = float(np.nanmean([row["dice"] for row in rows]))
        image = plain_array(output["image"])[0, 0, ..., frame]
        self.cases[batch["subject"]] = {
            "title": f"{batch['subject']}, Dice {dice:.3f}",
            "dice": dice,
            "image": (image * 255).astype(np.uint8),
            "prediction": output["seg_fitted"][0, ..., frame],
            "truth": np.maximum(plain_array(batch["label"])[0, ..., frame], 0),
            "spacing": spacing_of(np.asarray(batch["label"].affine)),
        }

    def of_all(self) -> None:
        """Collects the scores of all processes; each of them must call it."""
        self.rows = all_of(self.rows)
        self.cases = dict(all_of(list(self.cases.items())))
        found = all_of(list(self.reliability.items()))
        self.reliability = {name: Reliability() for name, _ in found}
        for name, one in found:
            self.reliability[name].add_counts(one)

    def write(self) -> str:
        """Writes scores and picture; returns the table for the terminal."""
        summary = metrics.summarise(self.rows)
        metrics.write_scores(self.rows, summary, self.output_dir, provenance(self.settings))
        ranked = sorted(self.cases.values(), key=lambda case: -np.nan_to_num(case["dice"]))
        chosen = {"best": ranked[0], "median": ranked[len(ranked) // 2], "worst": ranked[-1]}
        cases = [{**case, "title": f"{name}: {case['title']}"} for name, case in chosen.items()]
        cases_figure(self.output_dir / "cases.png", cases, labels=self.class_names)
        write_reliability(self.output_dir, self.reliability, provenance(self.settings))
        found = self.reliability["calibrated"]
        errors = ", ".join(f"{region} {found.error(region):.4f}" for region in REGIONS)
        return f"{metrics.format_table(summary)}\nexpected calibration error of the probabilities: {errors}"


def read_scores(folder: str | Path, region: str = "all") -> list[dict]:
    """The summary rows of one region in an evaluation's ``scores.json``."""
    rows = json.loads((Path(folder) / "scores.json").read_text(encoding="utf-8"))["summary"]
    return [row for row in rows if row["region"] == region]


def evaluate(evaluator: ScanEvaluator, scores: ScoreScans, output_dir: str) -> None:
    """Fits every labelled scan, writes what inference writes and the scores, and prints their table.

    Each of several processes fits its share; the first writes the scores of all.

    Raises:
        InputError: no scan had a label.
        SystemExit: status 1 if a scan failed.
    """
    check_writable(output_dir)
    if len(evaluator.data_loader):  # there may be more processes than scans
        evaluator.run()
    scores.of_all()
    if scores.rows and rank() == 0:
        print(scores.write())
        print(f"scores: {scores.output_dir}")
    elif not scores.rows and not all_of(evaluator.failures):
        raise InputError(f"{output_dir}: none of the scans has a label to score against; use inference instead")
    report_failures(evaluator)


def report_failures(evaluator: ScanEvaluator) -> None:
    """Prints the table of failed scans of all processes and ends with status 1 if there are any."""
    failures = all_of(evaluator.failures)
    total = sum(all_of([len(evaluator.data_loader.dataset)]))
    if rank() == 0:
        print(f"{total - len(failures)} of {total} scans done")
        if failures:
            width = max(len(one.subject) for one in failures)
            print(f"{len(failures)} failed:")
            for one in failures:
                print(f"  {one.subject:<{width}}  {one.reason}")
    if failures:
        raise SystemExit(1)
