"""What the run id inference does."""

from __future__ import annotations

from nisf.inference.batch import FAILED, Batch
from nisf.inference.evaluator import ScanEvaluator
from nisf.utils.distributed import all_of, rank
from nisf.utils.files import check_writable


def infer(evaluator: ScanEvaluator, output_dir: str, batch: Batch | None = None) -> None:
    """Fits and writes every scan that waits, then says what became of each.

    Raises:
        SystemExit: status 1 when a scan failed; what the others gave is on disk.
    """
    check_writable(output_dir)
    if batch is None:
        evaluator.run()
        return report_failures(evaluator)
    if batch.waiting:
        evaluator.run()
    batch.write()
    print(batch.table())
    if batch.count(FAILED):
        raise SystemExit(1)


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
