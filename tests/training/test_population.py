"""Population and its loss: what a training step computes."""

from copy import deepcopy

import pytest
import torch

from nisf.models.losses import NISFLoss
from nisf.models.nisf import NISF, LatentTable
from nisf.training.population import DrawnSampler, Population, PopulationAdam, TrainingLoss, build_schedule
from nisf.utils.errors import InputError


def population(chunk: int = 16384) -> Population:
    torch.manual_seed(0)
    network = NISF(latent_size=6, hidden_size=8, num_layers=3)
    return Population(network, LatentTable(3, 6, std=0.5), compile=False, bf16=False, chunk=chunk)


def step(chunk: int) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Loss and gradients of one step over 50 points of two subjects."""
    module, generator = population(chunk), torch.Generator().manual_seed(1)
    coords = torch.rand(2, 4, 50, generator=generator)
    target = {
        "intensity": torch.rand(2, 1, 50, generator=generator),
        "label": torch.randint(4, (2, 1, 50), generator=generator),
    }
    loss = TrainingLoss(NISFLoss())(module(coords, torch.tensor([2, 0])), target)
    loss.backward()
    return loss.detach(), [p.grad.clone() for p in module.parameters()]


def test_a_step_in_chunks_is_the_same_step():
    whole, chunked = step(1000), step(16)
    torch.testing.assert_close(whole, chunked)


def test_each_subject_uses_its_own_latent_and_only_those_get_a_gradient():
    module = population()
    coords = torch.rand(1, 4, 5)
    output, latent = module(coords, torch.tensor([1]))
    torch.testing.assert_close(output, module.network(coords, module.latents.weight[1:2]))
    output.sum().backward()
    gradient = module.latents.weight.grad.to_dense()
    assert gradient[1].abs().sum() > 0
    assert gradient[[0, 2]].abs().sum() == 0
    torch.testing.assert_close(latent, module.latents.weight[1:2])


def test_a_checkpoint_knows_the_plain_network_alone():
    names = set(population().state_dict())
    assert names == {f"network.{n}" for n in population().network.state_dict()} | {"latents.weight"}


def gradients(module, rows):
    """Leaves gradients of the points of the subjects ``rows``."""
    index = torch.tensor(rows)
    output, _ = module(torch.rand(len(rows), 4, 5), index)
    output.square().sum().backward()


def test_weight_decay_is_for_weights_and_latents_have_their_own_step_size():
    module = population()
    optimizer = PopulationAdam(module, lr=0.1, latent_lr=0.2, weight_decay=0.3)
    network, latents = optimizer.param_groups
    assert (network["lr"], network["weight_decay"]) == (0.1, 0.3)
    assert latents["lr"] == 0.2 and "weight_decay" not in latents
    schedule = build_schedule(optimizer, "cosine", 10)
    for _ in range(10):
        optimizer.zero_grad()
        gradients(module, [0, 1])
        optimizer.step()
        schedule.step()
    assert max(group["lr"] for part in optimizer.parts for group in part.param_groups) < 1e-9


def test_a_step_moves_the_rows_of_its_subjects_alone():
    module = population()
    optimizer = PopulationAdam(module, lr=0.1, latent_lr=0.1, weight_decay=0.0)
    gradients(module, [0, 2])
    optimizer.step()
    before = module.latents.weight.detach().clone()
    optimizer.zero_grad()
    gradients(module, [2])
    optimizer.step()
    moved = (module.latents.weight.detach() - before).abs().sum(dim=1)
    assert moved[0] == moved[1] == 0 and moved[2] > 0


def test_a_loaded_optimiser_goes_on_as_the_saved_one():
    def walk(module, optimizer, steps):
        for step in range(steps):
            torch.manual_seed(step)
            optimizer.zero_grad()
            gradients(module, [step % 3])
            optimizer.step()

    first, second = population(), population()
    saved, loaded = (PopulationAdam(m, lr=0.01, latent_lr=0.02, weight_decay=0.1) for m in (first, second))
    walk(first, saved, 4)
    second.load_state_dict(first.state_dict())
    loaded.load_state_dict(deepcopy(saved.state_dict()))
    assert loaded.param_groups[0] is loaded.parts[0].param_groups[0]
    walk(first, saved, 3)
    walk(second, loaded, 3)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters()))


def test_an_epoch_without_draws_is_refused():
    with pytest.raises(InputError, match="0 draws; give 1 or more for subjects_per_step"):
        DrawnSampler(range(3), num_samples=0)
