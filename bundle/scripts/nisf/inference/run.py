"""What the run id ``inference`` does once its config is built; ``nisf.runs`` says which other ways there are."""

from __future__ import annotations

from nisf.inference.batch import FAILED, Batch
from nisf.inference.evaluator import ScanEvaluator
from nisf.utils.files import check_writable


def infer(evaluator: ScanEvaluator, output_dir: str, batch: Batch) -> None:
    """Fits and writes every scan that waits, then says what became of each.

    Raises:
        SystemExit: status 1 when a scan failed; what the others gave is on disk.
    """
    check_writable(output_dir)
    if batch.waiting:
        evaluator.run()
    batch.write()
    print(batch.table())
    if batch.count(FAILED):
        raise SystemExit(1)
