"""Virtual subjects: the same for a seed, smooth, within bounds; the first copy is the subject itself."""

import numpy as np
import pytest
import torch

from nisf.transforms.virtual_subjects import RandVirtualSubjectd, VirtualSubject
from nisf.utils.errors import InputError

NONE = dict.fromkeys(
    ("shift", "turn", "scale", "shear", "bend", "swell", "tempo", "gamma", "contrast", "bias"), 0.0
) | {"waves": 4}


def item(number=50, index=3):
    generator = torch.Generator().manual_seed(0)
    coords = torch.rand(4, number, generator=generator) * 2 - 1
    intensity, label = torch.rand(1, number, generator=generator), torch.randint(4, (1, number), generator=generator)
    return {"coords": coords, "intensity": intensity, "label": label, "index": index}


def transform(copies=4, seed=0, **options):
    return RandVirtualSubjectd(copies=copies, seed=seed, **options).set_random_state(seed=1)


def test_a_subject_has_one_copy_at_least():
    with pytest.raises(InputError, match="copies is 0; at least 1"):
        transform(copies=0)


def test_each_virtual_subject_has_a_row_of_its_own():
    turn, drawn = transform(), item()
    rows = {turn(drawn)["index"] for _ in range(60)}
    assert rows == {12, 13, 14, 15}


def test_the_first_copy_is_the_subject_itself():
    turn, drawn = transform(copies=1), item()
    out = turn(drawn)
    assert out["index"] == 3
    for key in ("coords", "intensity", "label"):
        torch.testing.assert_close(out[key], drawn[key])


def test_a_row_always_means_the_same_virtual_subject():
    coords = item()["coords"]
    first, again = transform().virtual(13), transform().virtual(13)
    assert torch.equal(first.move(coords), again.move(coords))
    assert not torch.allclose(first.move(coords), transform(seed=5).virtual(13).move(coords), atol=1e-3)
    assert not torch.allclose(first.move(coords), transform().virtual(14).move(coords), atol=1e-3)


def test_labels_and_time_stay_and_intensities_stay_in_range():
    turn, drawn = transform(copies=40, gamma=0.5, contrast=0.5, bias=0.5), item()
    for _ in range(30):
        out = turn(drawn)
        assert torch.equal(out["label"], drawn["label"]) and torch.equal(out["coords"][3], drawn["coords"][3])
        assert 0 <= out["intensity"].min() and out["intensity"].max() <= 1


def test_spreads_are_those_that_are_stated():
    """Over many virtual subjects the shift, the turn and the bending have the spread that was asked for."""

    def every(**options):
        return [VirtualSubject.drawn([0, n], **{**NONE, **options}) for n in range(400)]

    assert abs(np.std([s.shift.numpy() for s in every(shift=0.1)]) - 0.1) < 0.01
    turns = [torch.atan2(s.matrix[1, 0], s.matrix[0, 0]).item() for s in every(turn=0.3)]
    assert abs(np.std(turns) - 0.3) < 0.04
    coords = item(200)["coords"]
    bends = torch.stack([s.move(coords) - coords for s in every(bend=0.05)])[:, :3]
    assert abs(float(bends.square().mean().sqrt()) - 0.05) < 0.01


def test_the_bending_never_folds_space():
    """Neighbouring points keep their order: the map's Jacobian determinant stays positive with the default options."""
    coords = item(100)["coords"].double()
    for row in range(1, 40):
        one = transform(copies=100, swell=0.2, bend=0.04).virtual(row)
        step = 1e-4 * torch.eye(3, dtype=torch.double)
        slopes = [
            (one.move(torch.cat([coords[:3] + s[:, None], coords[3:]])) - one.move(coords))[:3] / 1e-4 for s in step
        ]
        assert torch.linalg.det(torch.stack(slopes).permute(2, 1, 0)).min() > 0.1


def test_a_swelling_widens_the_middle_and_leaves_what_is_far():
    one = VirtualSubject.drawn([0, 3], **{**NONE, "swell": 0.2})
    factor = float(one.swell[0].exp())
    assert abs(factor - 1) > 0.01
    coords = torch.tensor([[0.01, 0.0, 0.0, 0.3], [1.2, 0.0, 0.0, 0.3]]).t()
    torch.testing.assert_close(
        one.move(coords), coords * torch.tensor([[factor, 1], [1, 1], [1, 1], [1, 1]]), atol=1e-4, rtol=1e-4
    )


def test_a_tempo_moves_the_frames_between_and_keeps_order_and_ends():
    one = VirtualSubject.drawn([0, 3], **{**NONE, "tempo": 0.3})
    times = torch.linspace(0, 1, 41)
    found = one.move(torch.cat([torch.zeros(3, 41), times[None]]))
    assert torch.equal(found[:3], torch.zeros(3, 41)) and (found[3].diff() > 0).all()
    torch.testing.assert_close(found[3, [0, 20, 40]], times[[0, 20, 40]])
    assert (found[3] - times).abs().max() > 0.005


def test_gamma_brightens_alike_everywhere():
    one = VirtualSubject.drawn([0, 1], **{**NONE, "gamma": 0.5})
    drawn = item()
    torch.testing.assert_close(one.shade(drawn["intensity"], drawn["coords"]), drawn["intensity"] ** float(one.gamma))
    assert one.gamma != 1
