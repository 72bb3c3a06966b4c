"""Handlers of inference and evaluation: a line a scan, and the scores of labelled scans."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from ignite.engine import Engine, Events

from scripts import metrics
from scripts.calibration import REGIONS, Reliability, write_reliability
from scripts.cine import UNLABELLED
from scripts.figures import cases_figure
from scripts.geometry import spacing_of
from scripts.held_out import HeldOut
from scripts.outputs import plain_array, provenance
from scripts.ranks import all_of
from scripts.trust import in_a_word

logger = logging.getLogger(__name__)

#: Numbers of ``quality_of`` that are told of each scan.
SIGNS = ("reconstruction_error", "disagreement")


class ScanProgress:
    """A line a scan: what was done, how long it took, and how much time is left."""

    def attach(self, engine: Engine) -> None:
        """Registers for the start of the run and each scan."""
        engine.add_event_handler(Events.STARTED, lambda _: setattr(self, "started", time.time()))
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Reports."""
        done, total = engine.state.iteration, len(engine.data_loader)
        gone = time.time() - self.started
        fit = engine.state.output.get("fit") if engine.state.output else None
        if fit is not None:
            loss, steps = fit.history[-1]["loss"], len(fit.history)
            signs = ", ".join(
                f"{name.replace('_', ' ')} {fit.quality[name]:.3f}" for name in SIGNS if name in fit.quality
            )
            detail = f"loss {loss:.4f}, {steps} steps, fit {fit.seconds:.1f} s, {fit.reason}; {signs}"
            detail = "; ".join([detail, in_a_word(fit.verdict)]).removesuffix("; ")
        else:
            detail = "failed"
        subject = engine.state.batch.get("subject", "")
        logger.info(
            "scan %d/%d %s: %s | %s gone, %s left",
            done,
            total,
            subject,
            detail,
            clock(gone),
            clock(gone / done * (total - done)),
        )


def clock(seconds: float) -> str:
    """A time as people say it: 45 s, 12 min, 3 h 5 min."""
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


class ScoreScans:
    """Scores each segmentation against its label on the file's own grid: Dice and 95% Hausdorff distance.

    Volume scores per class and frame, by MONAI's metrics. Labels outside the fitted field count as missed. Where slices
    were held out, the seen and the held-out ones are scored by themselves as well, beside two rivals (``HeldOut``).
    After the run ``write`` leaves ``scores.csv``, ``summary.csv``, ``scores.json``, ``cases.png`` (best, median and
    worst subject), and the reliability of the class probabilities on the voxels of the field, before and after
    calibration.

    Args:
        class_names: inside label value (text) to name.
        output_dir: folder.
        settings: kept beside the scores.
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
        """Scores the scan that was just done, if it has a label."""
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
        self.rows.extend(rows if held is None else [*rows, *held.rivals(truth, *rest)])
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
        """Takes in the scores of the other processes; a call of all of them."""
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
    """The summary rows of an evaluation's ``scores.json``, of one region."""
    rows = json.loads((Path(folder) / "scores.json").read_text())["summary"]
    return [row for row in rows if row["region"] == region]
