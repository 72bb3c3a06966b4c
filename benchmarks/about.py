"""What a benchmark's JSON says about its run: command, date, machine, weights, settings and versions."""

from __future__ import annotations

import argparse
import datetime
import platform
import shlex
import sys
from pathlib import Path

import psutil
import torch

from nisf import Segmenter
from nisf.utils.provenance import provenance


def machine() -> str:
    """One line about where this ran."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"{torch.get_num_threads()} CPU threads"
    memory = psutil.virtual_memory().total / 2**30
    return f"{datetime.date.today()}, {platform.machine()}, {device}, {memory:.0f} GiB, torch {torch.__version__}"


def about(options: argparse.Namespace, segmenter: Segmenter) -> dict:
    """Everything about a run, for its JSON; ``weights`` and ``unet_weights`` are the networks' digests."""
    pipeline = segmenter.parser.get_parsed_content("pipeline")
    return {
        "command": shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        "date": str(datetime.date.today()),
        "machine": machine(),
        **{name: pipeline[name] for name in ("weights", "unet_weights")},
        **provenance(vars(options)),
    }
