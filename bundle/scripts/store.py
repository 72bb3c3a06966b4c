"""Preprocessed subjects on disk, memory-mapped: a training step decompresses no file."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from monai.data import PersistentDataset
from monai.data.utils import pickle_hashing
from torch.utils.serialization import config

logger = logging.getLogger(__name__)


class MappedDataset(PersistentDataset):
    """MONAI's PersistentDataset whose cached tensors are mapped from their files instead of read.

    The deterministic transforms run once a subject; later reads touch only the pages of the voxels drawn. A subject's file is
    opened once a process. Changed transforms or files make new cache entries.

    Args:
        data: subjects of a data list; each gets its position as ``index``, the row of its latent.
        transform: deterministic transforms ending in ``ToStored``, then the random ones.
        cache_dir: folder of the store.
    """

    def __init__(self, data: Sequence, transform: Sequence[Callable] | Callable, cache_dir: str) -> None:
        numbered = [{**subject, "index": index} for index, subject in enumerate(data)]
        super().__init__(numbered, transform, cache_dir, hash_transform=_described)
        self._opened: dict[int, dict] = {}

    def __len__(self) -> int:
        return len(self.data)

    def _transform(self, index: int) -> dict:
        if index not in self._opened:
            item = {key: value for key, value in self.data[index].items() if key != "index"}
            with config.patch("load.mmap", True):
                self._cachecheck(item)  # writes the file where there is none
                self._opened[index] = self._cachecheck(item)
        return self._post_transform({**self._opened[index], "index": index})

    def fill(self, progress: Callable[[int, int], None] | None = None) -> MappedDataset:
        """Preprocesses every subject now, so that a bad file is named before hours are spent."""
        for index in range(len(self)):
            self[index]
            if progress is not None:
                progress(index + 1, len(self))
        return self


def _described(transforms: Sequence) -> bytes:
    """A hash of the transforms' classes and settings."""
    return pickle_hashing([(type(t).__name__, sorted((k, repr(v)) for k, v in vars(t).items() if k != "R")) for t in transforms])
