"""What made a result: weights, fit and settings. A calibration holds only for results that were made alike."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping

import torch

from nisf.models.nisf import NISF
from nisf.models.weights import digest_of

#: What a scan may be fitted with besides its own image; nothing of it in a calibration.
INPUTS = {"series": False, "mask": False, "hold_out": False}

#: Options of a fit that change a result by rounding or chance alone.
PASSED = ("seed", "chunk", "callback")

#: Largest ``grid_step`` (mm) with which results agree with those of evaluating every voxel to 0.001 of Dice
#: (``benchmarks/sampling.py``): a calibration made with any step up to this one holds for all of them.
AS_EXACT = 8.0

#: How a difference is told; a setting is named with both values.
WORDS = {
    "weights": "the network has other weights",
    "unet_weights": "the U-Net has other weights",
    "series": "other series were fitted too",
    "mask": "a mask hides a part of the scan",
    "hold_out": "slices or frames were held out or are missing",
    "network": "the network has another shape",
}


def pipeline_of(
    network: NISF, unet: torch.nn.Module | None, fit: Callable, settings: Mapping[str, object]
) -> dict[str, object]:
    """Everything that makes a result and changes it, as plain types.

    The device, sizes of chunks, random seeds, numbers of draws and the files written are left out.

    Args:
        network: network with its weights.
        unet: U-Net with its weights, or None.
        fit: fit function with options bound to it; options that are not bound count with their defaults.
        settings: the other settings.

    Returns:
        digests ``weights`` and ``unet_weights``, the ``network``'s options, ``fit`` and its options, the settings, and
        ``INPUTS``, which are those of a scan (``Scan.inputs``).
    """
    function, bound = getattr(fit, "func", fit), getattr(fit, "keywords", {})
    defaults = {name: one.default for name, one in inspect.signature(function).parameters.items()}
    options = {name: value for name, value in {**defaults, **bound}.items() if value is not inspect.Parameter.empty}
    parts = {
        "weights": digest_of(network),
        "unet_weights": None if unet is None else digest_of(unet),
        "network": network.options(),
        "fit": getattr(function, "__name__", str(function)),
        **{name: value for name, value in options.items() if name not in PASSED},
        **settings,
        **INPUTS,
    }
    return json.loads(json.dumps(parts))


def difference(made: Mapping[str, object], calibrated: Mapping[str, object]) -> str:
    """Why a calibration does not hold for a result, in a few words; empty if it does.

    Args:
        made: pipeline of the result.
        calibrated: pipeline of the calibration.
    """
    if not made or not calibrated:
        return f"the {'result' if not made else 'calibration'} does not say what it was made with"
    order = [*WORDS, *sorted({*made, *calibrated} - {*WORDS})]
    names = [name for name in order if _counted(name, made) != _counted(name, calibrated)]
    if not names:
        return ""
    first = names[0]
    words = WORDS.get(first) or f"{first} is {_counted(first, made)} in place of {_counted(first, calibrated)}"
    more = len(names) - 1
    return words if not more else f"{words}, and {more} more difference{'s' * (more > 1)}"


def _counted(name: str, pipeline: Mapping[str, object]) -> object:
    """The value of a setting, the same for values with which results agree."""
    value = pipeline.get(name)
    return max(value, AS_EXACT) if name == "grid_step" and isinstance(value, (int, float)) else value
