"""A 3D U-Net trained and scored on the task of NISF: the same patients, machine and scores; a given training time.

    python benchmarks/peer_unet3d.py --dataset_dir ACDC --minutes 45 [--section validation] [--weights FILE]

Minutes are processor time of each thread, so that other jobs do not count.

MONAI's ``DynUNet`` with kernels and strides for thick slices, as nnU-Net plans them for ACDC (1.5 mm in plane, slices
as they are), two thirds of the patches on the heart, the augmentation of ``unet.json``, Dice and cross
entropy. Frames are read by MONAI's sliding window. Where slices are missing it gets the seen ones and its class
probabilities are interpolated across the gaps, as in ``peer_unet.py``. ``--weights`` stores the trained network, and
is read if it exists.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.inferers import SlidingWindowInferer
from monai.losses import DiceCELoss
from monai.networks.nets import DynUNet
from monai.transforms import Compose, MapTransform, RandCropByPosNegLabeld, SpatialPadd
from peer_unet import CONFIGS, across_gaps
from torch.nn import functional as F

from nisf.evaluation import metrics
from nisf.geometry.orientation import spacing_of
from nisf.models.slice_net import largest_pieces, scaled, to_pixel
from nisf.training.slice_net import labelled
from nisf.transforms.hold_out import HoldOutd
from nisf.transforms.scan import scan_of
from nisf.utils.bundle import UNET, config_files
from nisf.utils.files import write_text
from nisf.utils.provenance import provenance
from nisf.utils.tensors import as_intensity

PIXEL = 1.5
PATCH = (128, 128, 8)
BATCH = 2


def build(num_classes: int) -> DynUNet:
    """A network that downsamples four times in plane and twice across the slices."""
    kernels = [[3, 3, 1], [3, 3, 1], [3, 3, 3], [3, 3, 3], [3, 3, 3]]
    strides = [[1, 1, 1], [2, 2, 1], [2, 2, 1], [2, 2, 2], [2, 2, 2]]
    filters = [16, 32, 64, 96, 128]
    return DynUNet(3, 1, num_classes, kernels, strides, strides[1:], filters=filters, norm_name="instance")


class Volumed(MapTransform):
    """A labelled frame of a stored stack at ``PIXEL``: ``image`` [1, X, Y, Z] and ``label`` [1, X, Y, Z]."""

    def __call__(self, data: dict) -> dict:
        """The frame, drawn by numpy's generator."""
        image, label = (data[key].as_subclass(torch.Tensor) for key in self.keys)
        frame = int(np.random.choice(labelled(label)))
        volume = as_intensity(image[..., frame]).permute(3, 0, 1, 2)
        shares = F.one_hot(label[0, ..., frame].long()).permute(2, 3, 0, 1).float()
        volume, shares = (to_pixel(slices, data["spacing"], PIXEL) for slices in (volume, shares))
        return {"image": volume.permute(1, 2, 3, 0), "label": shares.permute(1, 2, 3, 0).argmax(dim=0, keepdim=True)}


def augmentation() -> Compose:
    """Random patches, and the random transforms of ``unet.json`` on volumes."""
    wide = [math.ceil(1.2 * size) if axis < 2 else size for axis, size in enumerate(PATCH)]
    config = ConfigParser()
    config.read_config(config_files(UNET))
    keys = {"keys": ["image", "label"]}
    move = {
        "_target_": "RandAffined", "prob": 0.8, "spatial_size": PATCH, "rotate_range": [0.0, 0.0, 0.6], **keys,
        "scale_range": [0.3, 0.3, 0.0], "mode": ["bilinear", "nearest"], "padding_mode": "zeros",
    }  # fmt: skip
    flat = ("nisf.", "RandSimulateLowResolutiond")  # for slices alone
    shading = [one for one in config["train#random_transforms"][2:] if not one["_target_"].startswith(flat)]
    smooth = next(t for t in shading if t["_target_"] == "RandGaussianSmoothd")
    smooth["sigma_z"] = [0.01, 0.02]
    parser = ConfigParser({"moves": {"_target_": "Compose", "transforms": [move, *shading]}})
    return Compose(
        [
            Volumed(["image", "label"]),
            SpatialPadd(["image", "label"], wide),
            RandCropByPosNegLabeld(["image", "label"], "label", wide, pos=2, neg=1, num_samples=1),
            parser.get_parsed_content("moves"),
        ]
    )


def draws(dataset: torch.utils.data.Dataset, transform: Compose) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Endless batches: images [B, 1, X, Y, Z] and labels of the same shape."""
    while True:
        items = [transform(dataset[int(np.random.randint(len(dataset)))])[0] for _ in range(BATCH)]
        yield tuple(torch.stack([torch.as_tensor(item[key]) for item in items]).float() for key in ("image", "label"))


def train(network: DynUNet, dataset: torch.utils.data.Dataset, minutes: float) -> int:
    """Trains by Adam with a cosine schedule over processor time; returns the number of patches seen."""
    loss = DiceCELoss(softmax=True, to_onehot_y=True, include_background=False, batch=True)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=1e-4)
    started, seen, told = time.process_time(), 0, 0.0
    for image, label in draws(dataset, augmentation()):
        share = (time.process_time() - started) / (60 * minutes * torch.get_num_threads())
        if share >= 1:
            return seen
        optimizer.param_groups[0]["lr"] = 1e-3 * (1 + math.cos(math.pi * share))
        value = loss(network(image), label)
        optimizer.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 12.0)
        optimizer.step()
        seen += len(image)
        if time.time() - told > 60:
            told = time.time()
            print(f"{share:4.0%} of {minutes:.0f} min, {seen} patches, loss {float(value.detach()):.3f}", flush=True)
    return seen


@torch.no_grad()
def classes_of(network: DynUNet, image: torch.Tensor, kept: list[int]) -> np.ndarray:
    """Classes [X, Y, Z, T] of a canonical stack [1, X, Y, Z, T] of which only the slices ``kept`` are seen."""
    window = SlidingWindowInferer(PATCH, sw_batch_size=2, overlap=0.5, mode="gaussian")
    spacing, frames = spacing_of(np.asarray(image.affine)), []
    for t in range(image.shape[4]):
        seen = scaled(image.as_tensor().float())[:, :, :, kept, t]
        slices = to_pixel(seen.permute(3, 0, 1, 2), spacing, PIXEL)
        found = window(slices.permute(1, 2, 3, 0).unsqueeze(0), network)[0].softmax(dim=0)
        whole = torch.zeros(len(found), *image.shape[1:4])
        back = F.interpolate(found.permute(3, 0, 1, 2), image.shape[1:3], mode="bilinear", align_corners=False)
        whole[..., kept] = back.permute(1, 2, 3, 0)
        frames.append(whole)
    every = across_gaps(torch.stack(frames, dim=-1), kept).argmax(dim=0)
    return largest_pieces(every).numpy()


def score(subjects: list[dict], network: DynUNet, hold_out: str | None, names: dict) -> list[dict]:
    """Rows of ``metrics.score_subject`` over ED and ES."""
    rows = []
    for item in subjects:
        image, phases = item["image"], item["phases"]
        frames = sorted(set(phases.values()))
        seen = HoldOutd("image", hold_out)({"image": image})["image"]
        kept = scan_of(seen).kept_slices or list(range(image.shape[3]))
        found = np.zeros(tuple(image.shape[1:]), dtype=int)
        found[..., frames] = classes_of(network, image[..., frames], kept)
        label = np.maximum(item["label"].as_tensor()[0].numpy(), 0)
        spacing = spacing_of(np.asarray(image.affine))
        rows += metrics.score_subject(found, label, phases, spacing, names, item["subject"])
    return rows


def main() -> None:
    """Trains, unless the weights exist, and scores whole stacks and stacks with every second slice missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset_dir", required=True)
    parser.add_argument("--minutes", type=float, default=45)
    parser.add_argument("--section", default="validation")
    parser.add_argument("--weights", default="peer_unet3d.pt")
    parser.add_argument("--cache_dir", default="output/peer_unet3d")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    import nisf  # noqa: F401  (named by the configs' expressions)

    torch.manual_seed(0)
    np.random.seed(0)
    config = ConfigParser()
    config.read_config(config_files([*UNET, "acdc"]))
    config.update(
        {"dataset_dir": options.dataset_dir, "cache_dir": options.cache_dir, "bundle_root": str(CONFIGS.parent)}
    )
    config["train#random_transforms"] = []
    network = build(config.get_parsed_content("num_classes"))
    if not Path(options.weights).exists():
        seen = train(network, config.get_parsed_content("train#dataset"), options.minutes)
        torch.save({"network": network.state_dict(), "patches": seen, "minutes": options.minutes}, options.weights)
    state = torch.load(options.weights, weights_only=True)
    network.load_state_dict(state.pop("network"))
    network.eval()
    print(state)
    reading, names = config.get_parsed_content("loading")[:2], config.get_parsed_content("class_names")
    config["validate#subjects#section"] = options.section
    subjects = [reading[1](reading[0](one)) for one in config.get_parsed_content("validate#subjects")]
    results = {}
    for hold_out in (None, "every_2"):
        summary = metrics.summarise(score(subjects, network, hold_out, names))
        print(f"3D U-Net, {hold_out or 'all slices'}\n{metrics.format_table(summary)}\n")
        results[hold_out or "all"] = summary
    if options.json:
        write_text(options.json, json.dumps({**results, **state, **provenance(vars(options))}, indent=1))


if __name__ == "__main__":
    main()
