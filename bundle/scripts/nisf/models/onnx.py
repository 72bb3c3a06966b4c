"""The network as an ONNX file, and a check that onnxruntime gives the same numbers."""

from __future__ import annotations

import logging
from pathlib import Path

import torch

from nisf.models.nisf import NISF
from nisf.utils.errors import InputError
from nisf.utils.extras import check_extra
from nisf.utils.files import whole_file

#: Numbers of subjects and points at which file and network are compared; the file was made at another size.
SIZES = ((1, 1), (1, 1000), (3, 257))

#: Largest difference of a logit that single precision can explain.
TOLERANCE = 1e-3


def export(network: NISF, path: str | Path) -> None:
    """The run id ``onnx``: writes the file and prints the largest difference to the network."""
    print(f"{path}: largest difference of a logit to the network's {write_onnx(network, path):.1e}")


def write_onnx(network: NISF, path: str | Path) -> float:
    """Writes the network as ``coords`` [B, D, N] and ``latent`` [B, L] to ``logits`` [B, C + K, N], B and N free.

    The file's metadata contain ``latent_mean``, the prior's mean (separated by spaces), ``in_channels``, and
    ``temperature``, the divisor of the class logits before the softmax.

    Returns:
        The largest absolute difference of a logit between onnxruntime and the network, over ``SIZES``.

    Raises:
        InputError: onnx, onnxscript or onnxruntime is not installed, or the numbers differ.
    """
    onnx = _packages()
    from monai.networks.utils import convert_to_onnx

    for chatty in ("onnxscript", "onnx_ir"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    network = network.cpu().eval()
    batch, points = torch.export.Dim("batch", min=1), torch.export.Dim("points", min=1)
    model = convert_to_onnx(
        network,
        inputs=list(_example(network, 2, 50)),
        input_names=["coords", "latent"],
        output_names=["logits"],
        use_trace=True,
        dynamo=True,
        verbose=False,
        dynamic_shapes={"coords": {0: batch, 2: points}, "latent": {0: batch}},
    )
    about = {
        "latent_mean": " ".join(f"{value:.9g}" for value in network.latent_mean.tolist()),
        "in_channels": str(network.in_channels),
        "temperature": f"{float(network.temperature):.9g}",
    }
    onnx.helper.set_model_props(model, about)
    difference = largest_difference(network, model.SerializeToString())
    if not difference < TOLERANCE:
        raise InputError(
            f"{path}: onnxruntime's logits differ by {difference:.2g}; use other versions of torch and onnx"
        )
    with whole_file(Path(path)) as temporary:
        onnx.save(model, str(temporary))
    return difference


def largest_difference(network: NISF, model: str | bytes) -> float:
    """Largest absolute difference of a logit between an exported file (path or content) and the network."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    found = []
    for size in SIZES:
        inputs = dict(zip(("coords", "latent"), _example(network, *size)))
        used = {one.name: inputs[one.name].numpy() for one in session.get_inputs()}
        with torch.no_grad():
            expected = network(*[inputs[name] for name in used])
        (logits,) = session.run(None, used)
        found.append(float((torch.from_numpy(logits) - expected).abs().max()))
    return max(found)


def _example(network: NISF, batch: int, points: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Coordinates in [-1, 1] and latents drawn from the prior, the same for the same size."""
    generator = torch.Generator().manual_seed(0)
    coords = torch.rand(batch, network.coord_dims, points, generator=generator) * 2 - 1
    noise = torch.randn(batch, network.latent_size, generator=generator)
    return coords, network.latent_mean.cpu() + noise @ network.latent_factor.cpu().T


def _packages():
    """The onnx package, after a check that everything it needs is installed."""
    check_extra("onnx", "writing ONNX files")
    import onnx

    return onnx
