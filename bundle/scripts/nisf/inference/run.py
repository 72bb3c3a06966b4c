"""What the run id ``inference`` does once its config is built; ``nisf.runs`` lists the other ways to run it."""

from __future__ import annotations

from nisf.inference.batch import Batch
from nisf.inference.evaluator import ScanEvaluator
from nisf.inference.outcome import FAILED
from nisf.utils.files import check_writable


def infer(evaluator: ScanEvaluator, output_dir: str, batch: Batch) -> None:
    """Fits every waiting scan, writes the results, also what finished ones lack, then prints the outcome of each.

    Raises:
        SystemExit: status 1 if a scan failed; the results of the others are on disk.
    """
    check_writable(output_dir)
    batch.add_label_files()
    if batch.waiting:
        evaluator.run()
    batch.write()
    print(batch.table())
    if batch.count(FAILED):
        raise SystemExit(1)
