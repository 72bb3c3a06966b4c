"""Random transforms of the U-Net's training slices, dictionary transforms as MONAI's own.

With MONAI's they stand for scanners, protocols and diseases that the training data do not have: random contrast of each
tissue (Billot et al., SynthSeg, Medical Image Analysis 86, 2023), ghosts (Pérez-García et al., TorchIO, 2021), crops.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import torch
from monai.config import KeysCollection
from monai.networks.layers import GaussianFilter
from monai.transforms import MapTransform, RandomizableTransform
from torch.nn import functional as F

from nisf.models.slice_net import to_pixel
from nisf.training.slice_net import labelled
from nisf.utils.tensors import as_intensity, likeliest


class RandSliced(RandomizableTransform):
    """Draws a labelled frame and a slice of a stored stack: ``image`` [3 C, H, W] and ``label`` [1, H, W].

    Args:
        pixel: pixel size of the resampled slice, mm.
        alone: probability that a neighbour is replaced by the slice itself, as at the ends of a stack.
        reverse: probability that the two neighbours change places, as in a stack from apex to base.
        scale: largest factor by which the slice is made larger or smaller.
    """

    def __init__(self, pixel: float = 1.5, alone: float = 0.15, reverse: float = 0.5, scale: float = 1.35) -> None:
        super().__init__(1.0)
        self.pixel, self.alone, self.reverse, self.scale = pixel, alone, reverse, scale

    def __call__(self, data: Mapping[Hashable, object]) -> dict[str, torch.Tensor]:
        """The drawn slice."""
        image, label = (data[key].as_subclass(torch.Tensor) for key in ("image", "label"))
        frame = self.R.choice(labelled(label))
        place, last = int(self.R.randint(image.shape[3])), image.shape[3] - 1
        order = (1, -1) if self.R.rand() < self.reverse else (-1, 1)
        steps = [0 if self.R.rand() < self.alone else step for step in order]
        first, second = (min(max(place + step, 0), last) for step in steps)
        pixel = self.pixel * self.scale ** self.R.uniform(-1, 1)
        slices = as_intensity(image[..., [first, place, second], frame]).permute(3, 0, 1, 2)
        slices = to_pixel(slices, data["spacing"], pixel)
        classes = label[0, :, :, place, frame].long()
        shares = F.one_hot(classes).permute(2, 0, 1).float()
        found = likeliest(to_pixel(shares.unsqueeze(0), data["spacing"], pixel)[0])
        return {"image": slices.flatten(0, 1), "label": found.unsqueeze(0).float()}


class RandTissueContrastd(MapTransform, RandomizableTransform):
    """Gives each tissue another brightness and contrast: ``image + a_k + b_k (image - mean_k)`` where the label is k.

    Borders are softened by about a pixel, as partial volumes are.

    Args:
        keys: the images [C, H, W].
        label: key of the classes [1, H, W].
        prob: probability.
        shift: standard deviation of the added brightness ``a_k``.
        contrast: standard deviation of ``b_k``.
    """

    def __init__(
        self,
        keys: KeysCollection = "image",
        label: str = "label",
        prob: float = 0.3,
        shift: float = 0.15,
        contrast: float = 0.3,
    ) -> None:
        MapTransform.__init__(self, keys)
        RandomizableTransform.__init__(self, prob)
        self.label, self.shift, self.contrast = label, shift, contrast
        self.soften = GaussianFilter(2, 0.8)

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """The item with changed images."""
        item = dict(data)
        self.randomize(None)
        if not self._do_transform:
            return item
        shares = F.one_hot(torch.as_tensor(item[self.label])[0].long()).permute(2, 0, 1).float()
        shift = torch.from_numpy(self.R.normal(0, self.shift, (len(shares), 1, 1))).float()
        contrast = torch.from_numpy(self.R.normal(0, self.contrast, (len(shares), 1, 1))).float()
        soft = self.soften(shares.unsqueeze(0))[0]
        for key in self.key_iterator(item):
            image = torch.as_tensor(item[key])
            mean = (image.mean(dim=0) * shares).sum(dim=(1, 2)) / shares.sum(dim=(1, 2)).clamp(min=1)
            added = (soft * (shift - contrast * mean[:, None, None])).sum(dim=0)
            item[key] = image * (1 + (soft * contrast).sum(dim=0)) + added
        return item


class RandGhostd(MapTransform, RandomizableTransform):
    """Adds a moving body's ghosts: faint copies of the image, displaced by equal parts of the field of view.

    Args:
        keys: the images [C, H, W].
        prob: probability.
        ghosts: smallest and largest number of copies.
        strength: largest share of the copies in the image.
    """

    def __init__(
        self,
        keys: KeysCollection = "image",
        prob: float = 0.1,
        ghosts: Sequence[int] = (2, 6),
        strength: float = 0.3,
    ) -> None:
        MapTransform.__init__(self, keys)
        RandomizableTransform.__init__(self, prob)
        self.ghosts, self.strength = tuple(ghosts), strength

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """The item with ghosts."""
        item = dict(data)
        self.randomize(None)
        if not self._do_transform:
            return item
        number, axis = int(self.R.randint(self.ghosts[0], self.ghosts[1] + 1)), int(self.R.randint(1, 3))
        strength = float(self.R.uniform(0, self.strength))
        for key in self.key_iterator(item):
            image = torch.as_tensor(item[key])
            steps = [round(image.shape[axis] * i / number) for i in range(1, number)]
            copies = torch.stack([image.roll(step, dims=axis) for step in steps]).mean(dim=0)
            item[key] = (1 - strength) * image + strength * copies
        return item


class RandFieldOfViewd(MapTransform, RandomizableTransform):
    """Sets everything outside a random box to zero, as in frames that were cropped about the heart.

    Args:
        keys: image and classes [C, H, W]; what cannot be seen is background.
        prob: probability.
        smallest: smallest side of the box, as a share of the image's.
    """

    def __init__(self, keys: KeysCollection = ("image", "label"), prob: float = 0.2, smallest: float = 0.45) -> None:
        MapTransform.__init__(self, keys)
        RandomizableTransform.__init__(self, prob)
        self.smallest = smallest

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        """The item with cropped tensors."""
        item = dict(data)
        self.randomize(None)
        if not self._do_transform:
            return item
        shares, starts = self.R.uniform(self.smallest, 1.0, 2), self.R.uniform(0, 1, 2)
        for key in self.key_iterator(item):
            image = torch.as_tensor(item[key])
            sides = [round(n * share) for n, share in zip(image.shape[1:], shares)]
            x, y = (round((n - side) * start) for n, side, start in zip(image.shape[1:], sides, starts))
            cropped = torch.zeros_like(image)
            box = (slice(None), slice(x, x + sides[0]), slice(y, y + sides[1]))
            cropped[box] = image[box]
            item[key] = cropped
        return item
