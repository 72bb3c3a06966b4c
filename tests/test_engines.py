"""Population and its loss: what a training step computes."""

import torch

from scripts.engines import Population, TrainingLoss, build_optimizer, build_schedule
from scripts.losses import NISFLoss
from scripts.networks import NISF, LatentTable


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
    assert module.latents.weight.grad[1].abs().sum() > 0
    assert module.latents.weight.grad[[0, 2]].abs().sum() == 0
    torch.testing.assert_close(latent, module.latents.weight[1:2])


def test_a_checkpoint_knows_the_plain_network_alone():
    names = set(population().state_dict())
    assert names == {f"network.{n}" for n in population().network.state_dict()} | {"latents.weight"}


def test_weight_decay_is_for_weights_and_latents_have_their_own_step_size():
    module = population()
    optimizer = build_optimizer(module, lr=0.1, latent_lr=0.2, weight_decay=0.3)
    network, latents = optimizer.param_groups
    assert (network["lr"], network["weight_decay"]) == (0.1, 0.3)
    assert (latents["lr"], latents["weight_decay"]) == (0.2, 0)
    schedule = build_schedule(optimizer, "cosine", 10)
    for _ in range(10):
        optimizer.step()
        schedule.step()
    assert max(group["lr"] for group in optimizer.param_groups) < 1e-9
