"""The fast ways agree with the plain one, and a machine that lacks them is served all the same."""

import logging
import re
from pathlib import Path

import pytest
import torch

from nisf.models.nisf import NISF
from nisf.utils.compile import compiled, has_bf16

NO_COMPILER = "no C++ compiler was found"


def small_network():
    torch.manual_seed(0)
    return NISF(hidden_size=16, latent_size=16, num_layers=2)


def only_these_on_the_path(folder, monkeypatch):
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("CXX", raising=False)


def output_and_gradients(network, fast):
    """Logits and the gradients of weights and latent, on fixed points."""
    generator = torch.Generator().manual_seed(1)
    coords = torch.rand(2, 4, 32, generator=generator) * 2 - 1
    latent = torch.randn(2, 16, generator=generator).requires_grad_(True)
    network.zero_grad()
    output = fast(coords, latent)
    output.square().mean().backward()
    return [output.detach(), latent.grad, *(p.grad.clone() for p in network.parameters())]


@pytest.mark.filterwarnings("ignore")
def test_compiled_network_agrees_with_the_plain_one(caplog):
    network = small_network()
    with caplog.at_level(logging.WARNING):
        fast = compiled(network)
    if NO_COMPILER in caplog.text:
        assert fast is network
        return
    assert fast is not network
    for found, expected in zip(output_and_gradients(network, fast), output_and_gradients(network, network)):
        scale = float(expected.abs().max())
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * scale)


def test_switched_off_it_is_the_network_itself():
    network = small_network()
    assert compiled(network, enabled=False) is network


def test_without_a_compiler_it_is_the_network_itself_and_says_so_once(tmp_path, monkeypatch, caplog):
    only_these_on_the_path(tmp_path, monkeypatch)
    network = small_network()
    with caplog.at_level(logging.WARNING):
        assert compiled(network) is network
    assert caplog.text.count(NO_COMPILER) == 1


def test_a_named_compiler_that_is_not_there_counts_as_none(monkeypatch, caplog):
    monkeypatch.setenv("CXX", "no-such-compiler")
    network = small_network()
    with caplog.at_level(logging.WARNING):
        assert compiled(network) is network
    assert NO_COMPILER in caplog.text


def test_a_compiler_on_the_path_is_used(tmp_path, monkeypatch, caplog):
    for name in ("g++", "clang++"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    only_these_on_the_path(tmp_path, monkeypatch)
    with caplog.at_level(logging.WARNING):
        compiled(small_network())  # nothing is compiled before the first call
    assert NO_COMPILER not in caplog.text


def units_of_the_cpu(monkeypatch, **there):
    for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda name=name: there.get(name, False), raising=False)


def test_a_cpu_without_bf16_units_has_no_bf16(monkeypatch):
    units_of_the_cpu(monkeypatch)
    assert not has_bf16("cpu")
    assert not has_bf16(torch.device("cpu"))


@pytest.mark.parametrize("unit", ["_is_amx_tile_supported", "_is_avx512_bf16_supported"])
def test_either_unit_of_a_cpu_will_do(monkeypatch, unit):
    units_of_the_cpu(monkeypatch, **{unit: True})
    assert has_bf16("cpu")


def test_a_torch_that_cannot_tell_counts_as_without(monkeypatch):
    for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert not has_bf16("cpu")


def test_unknown_devices_have_no_bf16():
    assert not has_bf16("meta")


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="reads Linux's /proc/cpuinfo")
def test_answer_for_this_cpu_is_what_linux_says():
    flags = re.search(r"^(?:flags|Features)\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    words = set(flags.group(1).split()) if flags else set()
    if not words & {"amx_tile", "avx512_bf16"}:
        assert not has_bf16("cpu")
