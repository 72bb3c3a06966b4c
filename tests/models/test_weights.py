"""Weights go into the network that they were trained in; of another, one sentence says what is different."""

import pytest
import torch

from nisf.models.join import join_unets
from nisf.models.nisf import NISF
from nisf.models.slice_net import SliceNet
from nisf.models.weights import load_unet, load_weights, save_weights
from nisf.utils.bundle import run_bundle
from nisf.utils.errors import InputError

#: Channels of a U-Net that takes no time.
FEATURES = (4, 4, 8, 8, 8, 4)


def small(**options):
    return NISF(**{"hidden_size": 6, "latent_size": 5, "num_layers": 2, "num_probes": 4, **options})


@pytest.mark.parametrize("closed", [False, True])
def test_weights_come_back(tmp_path, closed):
    network = small(closed_cycle=closed)
    found = load_weights(small(closed_cycle=closed), save_weights(network, tmp_path / "model.pt"))
    assert all(torch.equal(value, found.state_dict()[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize(
    "trained, config, sentence",
    [
        (
            {},
            {"closed_cycle": True},
            "for time as a plain number; set closed_cycle to false in a file for --config, or name newer weights",
        ),
        (
            {"closed_cycle": True},
            {},
            "for a time that closes with the cycle; set closed_cycle to true in a file for --config",
        ),
        ({}, {"hidden_size": 7}, r"of another network \(.*\); use the config that they were trained with"),
        ({"coord_dims": 3}, {"closed_cycle": True}, "of another network"),
        ({"latent_size": 4}, {}, "of another network"),
    ],
)
def test_weights_of_another_network_are_refused_in_one_sentence(tmp_path, trained, config, sentence):
    path = save_weights(small(**trained), tmp_path / "old.pt")
    with pytest.raises(InputError, match=f"^[^\n]*old.pt: the weights are {sentence}[^\n]*$"):
        load_weights(small(**config), path)


def test_weights_of_another_kind_are_refused_in_one_sentence(tmp_path):
    unet = SliceNet(features=(2,) * 6)
    for network, other in ((small(), unet), (unet, small(closed_cycle=True))):
        with pytest.raises(InputError, match="of another network"):
            load_weights(network, save_weights(other, tmp_path / "other.pt"))


def test_a_unet_has_the_channels_that_its_weights_have(tmp_path):
    small, large = SliceNet(features=(4, 4, 8, 8, 8, 4)), SliceNet(features=(4, 8, 8, 8, 8, 4), pixel=1.2, patch=64)
    found = load_unet(small, save_weights(large, tmp_path / "unet.pt"), "cpu")
    assert found.features == large.features and float(found.pixel) == pytest.approx(1.2) and int(found.patch) == 64
    item = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(found(item), large.eval()(item))
    with pytest.raises(InputError, match="unet.pt: the weights are of another network"):
        load_unet(SliceNet(num_classes=3, features=small.features), tmp_path / "unet.pt", "cpu")


def test_unets_are_joined_by_the_run_id_to_one_whose_logits_are_their_mean(tmp_path):
    made = [SliceNet(features=FEATURES).half() for _ in range(2)]
    paths = [str(save_weights(one, tmp_path / f"{number}.pt")) for number, one in enumerate(made)]
    run_bundle("join_unets", ["inference", "join"], weights=paths, joined_file=str(tmp_path / "joined.pt"))
    found = load_unet(SliceNet(features=FEATURES), tmp_path / "joined.pt", "cpu")
    assert found.members == 2 and found.features == FEATURES
    item = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(found(item), sum(one.float().eval()(item) for one in made) / 2)
    alone = load_unet(found, paths[0], "cpu")  # and back
    torch.testing.assert_close(alone(item), made[0](item))


def test_unets_that_cannot_be_joined_are_named(tmp_path):
    small, fine = SliceNet(features=FEATURES), SliceNet(features=FEATURES, pixel=1.2)
    one, other = save_weights(small, tmp_path / "one.pt"), save_weights(fine, tmp_path / "other.pt")
    joined, again = tmp_path / "joined.pt", tmp_path / "again.pt"
    with pytest.raises(InputError, match="weights names 1 files; two or more"):
        join_unets(small, [one], joined)
    with pytest.raises(InputError, match="other.pt: has other channels, pixel size or patches than .*one.pt"):
        join_unets(small, [one, other], joined)
    assert not joined.exists()
    join_unets(small, [one, one], joined)
    with pytest.raises(InputError, match="joined.pt: is a committee itself"):
        join_unets(small, [one, joined], again)
