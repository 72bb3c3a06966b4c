"""U-Net probabilities: slices and their neighbours, the way to the pixel size and back, held-out slices."""

import logging
from functools import partial

import numpy as np
import pytest
import torch
from helpers.tiny import chain, phantom_scans
from monai.data import MetaTensor

from nisf.geometry.orientation import SHORT_AXIS
from nisf.geometry.pose import quarter_turns
from nisf.inference.inferers import points_of
from nisf.models.nisf import NISF
from nisf.models.slice_net import Halved, SliceNet, largest_pieces, read_frames, to_pixel, unet_frames
from nisf.training.slice_net import StackInferer, labelled_frames, prepare_stack
from nisf.training.slice_transforms import RandSliced
from nisf.transforms.hold_out import HoldOutd
from nisf.transforms.points import ToStored
from nisf.transforms.scan import Scan, scan_of, with_scan
from nisf.transforms.slice_order import SliceOrderd
from nisf.transforms.unet_prob import AddUNetProbd
from nisf.utils.errors import InputError

FEATURES = (4, 4, 4, 4, 4, 4)


class Threshold(torch.nn.Module):
    """Stands for a U-Net that has learned that bright is class 1; the neighbours' brightness is class 2 and 3."""

    def forward(self, x):
        below, here, above = x[:, 0], x[:, 1], x[:, 2]
        return 60 * torch.stack([torch.full_like(here, 0.5), here, below - here, above - here], dim=1)


def bright_net(pixel=2.0):
    net = SliceNet(4, pixel=pixel, features=FEATURES)
    net.unet = Threshold()
    return net.eval()


def a_stack(shape=(40, 48, 5)):
    """A bright box in the middle slices."""
    stack = torch.zeros(1, *shape)
    stack[:, 10:30, 16:32, 1:4] = 1
    return stack


@pytest.mark.parametrize("spacing", [(2.0, 2.0), (1.0, 1.3), (3.1, 2.6)])
def test_probabilities_lie_on_the_stacks_own_grid(spacing):
    stack = a_stack()
    found = bright_net().probabilities(stack, spacing)
    assert found.shape == (4, *stack.shape[1:])
    torch.testing.assert_close(found.sum(dim=0), torch.ones(stack.shape[1:]))
    agree = ((found.argmax(dim=0) == 1) == (stack[0] == 1)).float().mean()
    assert agree > 0.97  # but for the edges of the box


def test_a_slice_sees_its_neighbours():
    found = bright_net().probabilities(a_stack(), (2.0, 2.0)).argmax(dim=0)
    assert (found[12:28, 18:30, 0] == 3).all()  # bright above
    assert (found[12:28, 18:30, 4] == 2).all()  # bright below


@pytest.mark.parametrize("center", [(20, 24), (2, 3), (39, 47)])
@pytest.mark.parametrize("patch, window", [(16, None), (64, 16)])
def test_a_window_is_read_in_its_place(center, patch, window):
    """Inside the window as without one, beyond it background; it is as large as the patches unless another is given."""
    net, stack = bright_net(pixel=2.0), torch.rand(1, 40, 48, 3)
    net.patch.fill_(patch)
    net.window = window
    whole, window = (net.probabilities(stack, (2.0, 2.0), center=c) for c in (None, center))
    x, y = (slice(max(c + 1 - 8, 0), c + 1 + 8) for c in center)
    torch.testing.assert_close(window[:, x, y], whole[:, x, y])
    outside = torch.ones(40, 48, dtype=torch.bool)
    outside[x, y] = False
    assert (window[0][outside] > 0.99).all()


def test_a_window_that_the_levels_cannot_halve_is_refused():
    for window in (0, 100):
        with pytest.raises(InputError, match=f"window of the U-Net is {window} pixels; a multiple of 16 is needed"):
            SliceNet(window=window)


def test_the_window_follows_the_organ():
    """A bright box in a corner is read whole though the window is smaller than the slice."""
    net, frames = bright_net(pixel=2.0), torch.zeros(1, 64, 64, 4, 3)
    net.patch.fill_(32)
    frames[:, 48:60, 2:14, 1:3] = 1
    found = read_frames(net, frames, (2.0, 2.0)).argmax(dim=0)
    assert torch.equal(found == 1, frames[0] == 1)


class OneSided(torch.nn.Module):
    """Stands for a U-Net that knows upright hearts best: bright is class 1, grey class 3, and less so below them."""

    def forward(self, x):
        here = x[:, 1]
        body, beside, under = (here > 0.8).float(), ((here - 0.5).abs() < 0.2).float(), here.roll(4, dims=-2)
        return torch.stack([4 * under, 10 * body, torch.zeros_like(here), 10 * beside], dim=1)


@pytest.fixture
def upright_heart():
    """Network, frames and the way to find turns."""
    net, heart = bright_net(), torch.zeros(1, 64, 48, 3, 2)
    net.unet = OneSided()
    heart[:, 30:42, 14:26], heart[:, 22:30, 14:26] = 1.0, 0.5
    return net, heart, partial(quarter_turns, body=(1, 2), pointer=3, radius=12.0)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_turned_heart_is_read_upright(upright_heart, turns):
    """In whichever quarter turn it lies, the probabilities are those of the upright heart, in their place."""
    net, heart, turns_of = upright_heart
    turned, spacing = heart.rot90(turns, (1, 2)), ((3.0, 2.0) if turns % 2 else (2.0, 3.0))
    upright = read_frames(net, heart, (2.0, 3.0), turns_of=turns_of)
    found, as_it_lies = (read_frames(net, turned, spacing, turns_of=way) for way in (turns_of, None))
    torch.testing.assert_close(found.rot90(-turns, (1, 2)), upright)
    assert (as_it_lies.rot90(-turns, (1, 2)) - upright).abs().max() > 0.1


def test_a_turn_that_the_turned_heart_does_not_bear_out_is_not_made(upright_heart):
    """Where each reading says another turn, the frames are read as they lie."""
    net, heart, _ = upright_heart
    said = iter([2, 1])
    found = read_frames(net, heart, (2.0, 3.0), turns_of=lambda classes, spacing: next(said))
    torch.testing.assert_close(found, read_frames(net, heart, (2.0, 3.0)))
    turned = read_frames(net, heart, (2.0, 3.0), turns_of=lambda classes, spacing: 2)
    assert (turned - found).abs().max() > 0.1


LOST, KNOWN = np.diag([2.0, 2.0, 8.0, 1.0]), np.eye(4)
KNOWN[:3, :3] = SHORT_AXIS * np.array([2.0, 2.0, 8.0])


@pytest.mark.parametrize(
    "affine, turns, said",
    [
        (LOST, 0, ""),
        (LOST, 1, "about 90 degrees"),
        (LOST, 3, "about -90 degrees"),
        (KNOWN, 1, ""),  # some hearts lie so
        (KNOWN, 2, "though its affine says otherwise"),
    ],
)
def test_the_user_is_told_of_a_turned_heart(upright_heart, affine, turns, said, caplog):
    net, heart, turns_of = upright_heart
    image = MetaTensor(heart.rot90(turns, (1, 2)), affine=torch.from_numpy(affine))
    with caplog.at_level(logging.INFO):
        item = AddUNetProbd(net, turns_of=turns_of)({"image": with_scan(image, Scan((0.0, 0.5)))})
        found = SliceOrderd()(item)["image"]
    assert said in caplog.text and ("turned" in caplog.text) == bool(said)
    assert torch.equal(found.as_tensor(), heart if said else image.as_tensor()), "and the image is turned back"


def test_held_out_slices_are_neither_seen_nor_given_anything():
    stack = a_stack()
    other = stack.clone()
    other[..., [1, 3]] = torch.rand(1, 40, 48, 2)
    found = [bright_net().probabilities(s, (2.0, 2.0), [0, 2, 4]) for s in (stack, other)]
    assert torch.equal(*found)
    assert (found[0][0, ..., [1, 3]] == 1).all()
    assert (found[0].argmax(dim=0)[12:28, 18:30, 0] == 3).all()  # the nearest slice that is seen


def test_an_upside_down_neighbourhood_is_told_apart():
    net = SliceNet(3, features=FEATURES).eval()
    stack = torch.rand(1, 32, 32, 4)
    flipped = net.probabilities(stack.flip(3), (1.5, 1.5)).flip(3)
    assert (net.probabilities(stack, (1.5, 1.5)) - flipped).abs().max() > 1e-4


def test_resampling_keeps_the_outer_edges_in_place():
    ramp = torch.linspace(0.5, 39.5, 40).reshape(1, 1, 40, 1).expand(1, 1, 40, 32)  # mm at voxel centres
    for spacing, pixel in (((1.0, 1.0), 2.0), ((1.0, 1.0), 0.8)):
        found = to_pixel(ramp, spacing, pixel)[0, 0, :, 0]
        expected = (torch.arange(len(found)) + 0.5) * 40 / len(found)
        assert (found - expected)[2:-2].abs().max() < 0.05


@pytest.mark.parametrize(
    "frames, count, expected", [(2, 10, [0, 1]), (30, 3, [0, 10, 20]), (1, 4, [0]), (7, 7, list(range(7)))]
)
def test_frames_are_spread_over_the_cycle(frames, count, expected):
    assert unet_frames(frames, count) == expected


def test_no_frames_are_refused():
    with pytest.raises(InputError, match="unet_frames is 0"):
        unet_frames(5, 0)


def test_small_pieces_are_dropped():
    classes = torch.zeros(20, 20, 4, 1, dtype=torch.long)
    classes[2:8, 2:8, 1:3], classes[8:12, 2:8, 1:3], classes[16, 16, 1] = 1, 3, 2
    given = classes.clone()
    found = largest_pieces(classes)
    assert found[16, 16, 1, 0] == 0 and torch.equal(classes, given)
    classes[16, 16, 1] = 0
    assert torch.equal(found, classes)


def test_pieces_at_the_border_of_the_image_are_told_apart():
    classes = torch.zeros(20, 24, 3, 2, dtype=torch.uint8)
    classes[:4, 20:, :, 0], classes[18:, :2, 0, 0] = 2, 1  # in two corners
    classes[19, 23, 2, 1] = 3
    found = largest_pieces(classes)
    classes[18:, :2, 0, 0] = 0
    assert torch.equal(found, classes)
    assert not largest_pieces(torch.zeros_like(classes)).any()


def test_seen_slices_hold_together_across_those_that_are_not():
    item = HoldOutd("image", "every_2")(scan_item() | {"image": scan_item()["image"].repeat(1, 1, 1, 2, 1)})
    found = AddUNetProbd(bright_net(), frames=1)(item)["unet_class"][0, ..., 0]
    kept = scan_of(item["image"]).kept_slices
    assert {z for z in range(10) if (found[12:28, 18:30, z] > 0).all()} == set(kept)


def scan_item():
    generator = torch.Generator().manual_seed(0)
    image = a_stack().unsqueeze(-1) * torch.tensor([1.0, 0.9, 0.8, 1.0]) + 0.01 * torch.rand(
        1, 40, 48, 5, 4, generator=generator
    )
    image = MetaTensor(image, affine=torch.diag(torch.tensor([2.0, 2.0, 8.0, 1.0])))
    return {"image": with_scan(image, Scan((0.0, 0.25, 0.5, 0.75)))}


def test_the_unet_reaches_the_fit_as_points_of_its_frames():
    item = AddUNetProbd(bright_net(), frames=2)(scan_item())
    points = points_of(item["image"], NISF(num_classes=4, hidden_size=8, latent_size=4, num_layers=2))
    unet_prob = points.unet_prob
    assert unet_prob.frame.times == (0, 0.5) and unet_prob.image.shape == (4, 40, 48, 5, 2)
    number = torch.tensor([((20 * 48 + 24) * 5 + 2) * 2 + 1])
    coords, classes = unet_prob.take(number)
    assert classes[:, 0].argmax() == 1
    np.testing.assert_allclose(
        coords[:, 0], points.frame.points(torch.tensor([((20 * 48 + 24) * 5 + 2) * 4 + 2]))[:, 0]
    )


def test_a_piece_apart_speaks_for_the_background():
    item = scan_item()
    item["image"][:, 36:39, 2:5, 2] = 1.0
    found = AddUNetProbd(bright_net(), frames=2)(item)
    values = scan_of(found["image"]).unet_prob.values
    assert (values[0, 36:39, 2:5, 2] > 0.9).all() and (found["unet_class"][0, 36:39, 2:5, 2] == 0).all()
    assert (values[1, 14:26, 20:28, 2] > 0.9).all()
    torch.testing.assert_close(values.sum(dim=0), torch.ones(40, 48, 5, 2))


def test_without_a_network_nothing_is_added():
    item = AddUNetProbd(None)(scan_item())
    assert set(item) == {"image"} and scan_of(item["image"]).unet_prob is None


# ---- training


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    (entry,) = phantom_scans(tmp_path_factory.mktemp("scans"), 1)
    return chain(ToStored(), half_field=60.0)(entry)


def test_a_drawn_slice_is_one_of_the_stack_with_its_neighbours(stored):
    draw = RandSliced(pixel=6.0, alone=0.0, reverse=0.0, scale=1.0).set_random_state(
        seed=1
    )  # the phantom's own voxel: no resampling
    image, label = (stored[key].as_subclass(torch.Tensor) for key in ("image", "label"))
    seen = set()
    for _ in range(40):
        out = draw(stored)
        for z in range(image.shape[3]):
            for t in range(image.shape[4]):
                if torch.equal(out["image"][1], image[0, :, :, z, t] / 255) and torch.equal(
                    out["label"][0], label[0, :, :, z, t].float()
                ):
                    seen.add(z)
                    last = image.shape[3] - 1
                    assert torch.equal(out["image"][0], image[0, :, :, max(z - 1, 0), t] / 255)
                    assert torch.equal(out["image"][2], image[0, :, :, min(z + 1, last), t] / 255)
    assert seen == set(range(image.shape[3]))


def test_a_subject_without_labels_is_refused(stored):
    bare = {**stored, "label": torch.full_like(stored["label"], -1)}
    with pytest.raises(InputError, match="no labelled frame"):
        RandSliced()(bare)


def test_validation_scores_the_frames_that_are_labelled(stored):
    image, label, (spacing,), _ = prepare_stack(stored, torch.device("cpu"))
    net = SliceNet(4, pixel=6.0, features=FEATURES).eval()
    found = StackInferer()(image, net, spacing)
    assert found.shape == (1, 4, *image.shape[2:]) and label.shape == image.shape
    predicted, true = labelled_frames({"pred": found, "label": label})
    assert predicted.shape == true.shape == (image.shape[-1], 4, *image.shape[2:5])
    assert torch.equal(true.argmax(dim=1), label[0, 0].permute(3, 0, 1, 2).long())
    torch.testing.assert_close(found, read_frames(net, image[0], spacing)[None])


def test_slices_that_are_read_alone_are_as_among_all():
    net, stack = SliceNet(pixel=2.0).eval(), torch.rand(1, 32, 48, 7, generator=torch.Generator().manual_seed(0))
    every, some = (
        net.probabilities(stack, (2.0, 2.0), [0, 1, 3, 4, 6], read=part) for part in (slice(None), slice(1, None, 2))
    )
    torch.testing.assert_close(some[..., [1, 4]], every[..., [1, 4]])
    assert bool((some[0][..., [0, 2, 3, 5, 6]] == 1).all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_quicker_pooling_is_pytorchs(dtype):
    x = torch.randn(2, 3, 32, 48, generator=torch.Generator().manual_seed(0)).to(dtype)
    assert torch.equal(Halved().eval()(x), torch.nn.functional.max_pool2d(x, 2))
