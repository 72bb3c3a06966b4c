"""A committee is the mean of its members' logits, and is used, saved and exported as one network."""

import pytest
import torch

from nisf.models.committee import Committee, members_of, network_of
from nisf.models.join import join_weights
from nisf.models.nisf import NISF
from nisf.models.weights import load_weights, save_weights
from nisf.utils.bundle import run_bundle
from nisf.utils.errors import InputError

SIZES = {"hidden_size": 6, "latent_size": 5, "num_layers": 3, "num_probes": 4, "closed_cycle": True}


def small(seed, **options):
    torch.manual_seed(seed)
    network = NISF(**{**SIZES, **options}).eval()
    with torch.no_grad():
        network.latent_mean.normal_()
        network.latent_factor.copy_(torch.randn(network.latent_size, network.latent_size).tril())
        network.temperature.fill_(1 + seed)
    return network


def committee(number=2):
    return Committee([small(seed) for seed in range(number)])


@pytest.mark.parametrize("number", [2, 3])
def test_logits_are_the_mean_of_the_members_each_with_its_part_of_the_latent(number):
    whole = committee(number)
    coords, latents = torch.rand(4, 4, 30), [torch.randn(4, 5) for _ in range(number)]
    expected = torch.stack([one(coords, own) for one, own in zip(whole.members, latents)]).mean(dim=0)
    torch.testing.assert_close(whole(coords, torch.cat(latents, dim=1)), expected)
    expected = torch.stack([one(coords) for one in whole.members]).mean(dim=0)
    torch.testing.assert_close(whole(coords), expected)


def test_the_prior_is_that_of_the_members_side_by_side():
    whole, (first, second) = committee(), (small(0), small(1))
    assert whole.latent_size == 10 and torch.equal(
        whole.latent_mean, torch.cat([first.latent_mean, second.latent_mean])
    )
    covariance = whole.latent_factor @ whole.latent_factor.t()
    torch.testing.assert_close(covariance[:5, :5], first.latent_factor @ first.latent_factor.t())
    torch.testing.assert_close(covariance[5:, 5:], second.latent_factor @ second.latent_factor.t())
    assert not covariance[5:, :5].any()


def test_probabilities_have_the_temperature_that_is_set():
    whole, logits = committee(), torch.randn(2, 5, 9)
    whole.temperature.fill_(2.5)
    torch.testing.assert_close(whole.probabilities(logits)[:, 1:], (logits[:, 1:] / 2.5).softmax(dim=1))


def test_options_and_weights_make_it_again(tmp_path):
    whole = committee(3)
    path = save_weights(whole, tmp_path / "model.pt")
    for untrained in (network_of(**whole.options()), small(7)):  # weights say how many members there are
        found = load_weights(untrained, path)
        assert len(members_of(found)) == 3 and found.options() == whole.options()
        assert all(torch.equal(value, found.state_dict()[name]) for name, value in whole.state_dict().items())
    alone = load_weights(committee(), save_weights(small(4), tmp_path / "alone.pt"))
    assert isinstance(alone, NISF) and torch.equal(alone.latent_mean, small(4).latent_mean)


def test_weights_of_another_shape_are_refused_in_one_sentence(tmp_path):
    path = save_weights(committee(), tmp_path / "model.pt")
    with pytest.raises(InputError, match=r"^[^\n]*model.pt: the weights are of another network[^\n]*$"):
        load_weights(small(0, num_layers=2), path)
    with pytest.raises(InputError, match="set closed_cycle to true in a file for --config"):
        load_weights(small(0, closed_cycle=False), path)


def test_members_must_be_alike():
    for members in ([small(0)], [small(0), small(1, num_layers=2)]):
        with pytest.raises(InputError, match="two or more networks of one shape"):
            Committee(members)


def test_torchscript_gives_the_same_numbers():
    whole = committee().eval()
    scripted, coords, latent = torch.jit.script(whole), torch.rand(2, 4, 20), torch.randn(2, 10)
    torch.testing.assert_close(scripted(coords, latent), whole(coords, latent))
    torch.testing.assert_close(scripted(coords), whole(coords))


def test_trainings_are_joined_by_the_run_id(tmp_path):
    made = [NISF(num_layers=6, closed_cycle=True) for _ in range(2)]
    paths = [str(save_weights(one, tmp_path / f"{number}.pt")) for number, one in enumerate(made)]
    joined = tmp_path / "joined.pt"
    run_bundle("join", ["inference", "join"], weights=paths, joined_file=str(joined))
    found = load_weights(NISF(num_layers=6, closed_cycle=True), joined)
    coords = torch.rand(1, 4, 10)
    torch.testing.assert_close(found(coords), (made[0](coords) + made[1](coords)) / 2)


def test_what_cannot_be_joined_is_named(tmp_path):
    one, whole = save_weights(small(0), tmp_path / "one.pt"), save_weights(committee(), tmp_path / "whole.pt")
    with pytest.raises(InputError, match="weights names 1 files; two or more"):
        join_weights(small(0), [one], tmp_path / "joined.pt")
    with pytest.raises(InputError, match="whole.pt: is a committee itself"):
        join_weights(small(0), [one, whole], tmp_path / "joined.pt")
    assert not (tmp_path / "joined.pt").exists()
