"""Ways to run the U-Net over the slices of a frame: milliseconds, and share of the machine's own matmul rate.

    python benchmarks/unet_ways.py [--slices 12] [--repeats 10] [--json FILE]

The shipped U-Net on windows as ``nisf segment`` reads them: by PyTorch in float32 and bfloat16, channels last, compiled
(with the seconds that compiling takes), and by ONNX Runtime in float32 and in 8-bit integers. The numbers in 8 bits are
calibrated on noise, so only their time counts. Each way runs the same work in the same run; the best of the repeats is
shown. Needs onnx and onnxruntime (``pip install nisf[onnx]``). Run it alone on the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import onnxruntime
import torch
from about import machine
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static
from throughput import matmul_rate
from torch.utils.flop_counter import FlopCounterMode

from nisf.models.slice_net import SliceNet
from nisf.utils.bundle import INFERENCE, parser_of
from nisf.utils.compile import has_bf16
from nisf.utils.files import write_text


class Noise(CalibrationDataReader):
    """Two batches of noise."""

    def __init__(self, like: torch.Tensor) -> None:
        self.batches = [{"x": torch.rand_like(like).numpy()} for _ in range(2)]

    def get_next(self) -> dict | None:
        """The next batch."""
        return self.batches.pop() if self.batches else None


def milliseconds(work: Callable[[], object], repeats: int) -> float:
    """The shortest of some repeats, after one that does not count."""
    work()
    found = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        found.append(time.perf_counter() - started)
    return 1000 * min(found)


def by_torch(network: SliceNet, slices: torch.Tensor, repeats: int) -> dict[str, float]:
    """Milliseconds of each way by PyTorch."""
    found = {"PyTorch, float32": milliseconds(lambda: network(slices), repeats)}
    with torch.autocast("cpu", torch.bfloat16, enabled=has_bf16(torch.device("cpu"))):
        found["PyTorch, bfloat16"] = milliseconds(lambda: network(slices), repeats)
        started, fast = time.perf_counter(), torch.compile(network)
        fast(slices)
        name = f"PyTorch, bfloat16, compiled in {time.perf_counter() - started:.0f} s"
        found[name] = milliseconds(lambda: fast(slices), repeats)
        last, turned = (one.to(memory_format=torch.channels_last) for one in (network, slices))
        found["PyTorch, bfloat16, channels last"] = milliseconds(lambda: last(turned), repeats)
    return found


def by_onnx(network: SliceNet, slices: torch.Tensor, repeats: int, folder: Path) -> dict[str, float]:
    """Milliseconds of each way by ONNX Runtime."""
    whole, small, found = folder / "unet.onnx", folder / "unet_int8.onnx", {}
    names = {"input_names": ["x"], "output_names": ["y"]}
    torch.onnx.export(network, (slices,), str(whole), **names, dynamo=False, opset_version=17)
    kinds = {"op_types_to_quantize": ["Conv", "ConvTranspose"], "per_channel": True}
    quantize_static(str(whole), str(small), Noise(slices), quant_format=QuantFormat.QDQ, **kinds)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    for name, path in (("float32", whole), ("8 bits", small)):
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        given = {"x": slices.numpy()}
        found[f"ONNX Runtime, {name}"] = milliseconds(lambda s=session, g=given: s.run(None, g), repeats)
    return found


@torch.no_grad()
def main() -> None:
    """Runs every way and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--json", metavar="FILE", help="also write the numbers there")
    options = parser.parse_args()
    torch.manual_seed(0)
    network = parser_of(INFERENCE).get_parsed_content("add_unet_prob").network.eval()
    side = network.side
    slices = torch.rand(options.slices, 3 * network.in_channels, side, side)
    with FlopCounterMode(display=False) as counter:
        network(slices)
    cpu = torch.device("cpu")
    best = {kind: matmul_rate(cpu, kind, 2) / 1e9 for kind in (torch.float32, torch.bfloat16)}
    work = counter.get_total_flops() / 1e9
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder  # nothing that was compiled before
        rows = by_onnx(network, slices, options.repeats, Path(folder)) | by_torch(network, slices, options.repeats)
    rates = ", ".join(f"{str(kind).split('.')[1]} {value:.0f} GFLOP/s" for kind, value in best.items())
    print(f"{machine()}\nmatmul: {rates}; {options.slices} slices of {side} x {side}: {work:.1f} GFLOP\n")
    print("| way | ms | share of the best matmul rate |\n|---|---|---|")
    for name, value in sorted(rows.items(), key=lambda row: row[1]):
        print(f"| {name} | {value:.0f} | {1e3 * work / value / max(best.values()):.0%} |")
    if options.json:
        found = {"machine": machine(), "gflop": work, "matmul": list(best.values()), "milliseconds": rows}
        write_text(options.json, json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
