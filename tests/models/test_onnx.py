"""The exported network against the network itself; TorchScript is in test_bundle.py."""

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from monai.bundle import onnx_export

from nisf.io.latent_file import read_latent
from nisf.models.nisf import NISF
from nisf.models.onnx import TOLERANCE, largest_difference, write_onnx
from nisf.models.weights import load_weights, save_weights
from nisf.sampling.fitted_scan import FittedScan
from nisf.utils.bundle import bundle_root, run_bundle
from nisf.utils.errors import InputError

SMALL = {"hidden_size": 16, "latent_size": 8, "num_layers": 3, "closed_cycle": True}


def network_of(path=None, **options):
    torch.manual_seed(0)
    network = NISF(**options)
    network.latent_mean.normal_()
    return network.eval() if path is None else load_weights(network, path).eval()


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Of a small network."""
    return save_weights(network_of(**SMALL), tmp_path_factory.mktemp("weights") / "small.pt")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The shipped weights of the phantom, by the run id."""
    path = tmp_path_factory.mktemp("exported") / "phantom.onnx"
    run_bundle("onnx", ["inference", "phantom", "onnx"], onnx_file=str(path), device="cpu")
    return path


@pytest.fixture(scope="module")
def session(exported):
    return onnxruntime.InferenceSession(exported)


@pytest.mark.parametrize("batch, points", [(1, 1), (1, 37), (2, 4000), (5, 64)])
def test_onnxruntime_gives_the_networks_numbers_at_any_number_of_points_and_latents(session, batch, points):
    network = network_of(bundle_root() / "models" / "phantom.pt", num_layers=6)
    coords, latent = torch.rand(batch, 4, points) * 2 - 1, network.latent_mean + torch.randn(batch, 128) * 0.1
    (found,) = session.run(["logits"], {"coords": coords.numpy(), "latent": latent.numpy()})
    assert found.shape == (batch, 5, points)
    with torch.no_grad():
        np.testing.assert_allclose(found, network(coords, latent), atol=1e-4)


def test_a_fitted_scan_is_read_with_the_file_alone(session, exported, phantom_result):
    (file,) = phantom_result.glob("*_latent.pt")
    saved, fitted = read_latent(file), FittedScan.load(file)
    frame = saved.frame
    points = fitted.frame.normalised_to_world(np.random.default_rng(0).uniform(-0.5, 0.5, (60, 3)))
    coords = np.concatenate([frame.world_to_normalised(points).T, np.full((1, 60), 0.25)])[None].astype(np.float32)
    (logits,) = session.run(None, {"coords": coords, "latent": saved.fit.latent.numpy()[None]})
    np.testing.assert_allclose(1 / (1 + np.exp(-logits[0, 0])), fitted.read(points, time=0.25)[0], atol=1e-4)
    about = {entry.key: entry.value for entry in onnx.load(exported).metadata_props}
    assert float(about["temperature"]) == pytest.approx(float(fitted.network.temperature))
    mean = np.array(about["latent_mean"].split(), dtype=float)
    np.testing.assert_allclose(mean, fitted.network.latent_mean, atol=1e-6)


def test_monais_export_gives_the_prior_mean_at_any_number_of_points(weights, tmp_path):
    axes = {"coords": {0: "batch", 2: "points"}}
    onnx_export(
        "network_def",
        filepath=str(tmp_path / "prior.onnx"),
        ckpt_file=str(weights),
        config_file=str(bundle_root() / "configs" / "inference.json"),
        bundle_root=str(bundle_root()),
        input_shape=[2, 4, 50],
        use_trace=True,
        converter_kwargs={"input_names": ["coords"], "output_names": ["logits"], "dynamic_axes": axes},
        members=1,
        **SMALL,
    )
    network = network_of(weights, **SMALL)
    assert largest_difference(network, str(tmp_path / "prior.onnx")) < 1e-5


def test_the_check_sees_other_weights_and_leaves_no_file(weights, tmp_path, monkeypatch):
    network = network_of(weights, **SMALL)
    assert write_onnx(network, tmp_path / "net.onnx") < 1e-5
    network.class_head.bias.data += 0.01
    assert largest_difference(network, str(tmp_path / "net.onnx")) == pytest.approx(0.01, abs=1e-4)
    assert 0.01 > TOLERANCE
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # as where it is not installed
    with pytest.raises(InputError, match=r"onnxruntime is not installed; .*pip install 'nisf\[onnx\]'"):
        write_onnx(network, tmp_path / "other.onnx")
    assert [path.name for path in Path(tmp_path).iterdir()] == ["net.onnx"]
