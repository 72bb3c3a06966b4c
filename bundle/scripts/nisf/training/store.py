"""Preprocessed subjects on disk, memory-mapped: a training step decompresses no file."""

from __future__ import annotations

import logging
import os
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import ignite.distributed as idist
import numpy as np
import torch
from monai.data import MetaTensor, PersistentDataset
from monai.data.utils import json_hashing
from monai.transforms import Transform
from torch.utils.serialization import config

from nisf.geometry.frame import CoordinateFrame
from nisf.transforms.scan import SCAN, Scan, UNetProb
from nisf.utils.distributed import shares
from nisf.utils.errors import InputError
from nisf.utils.files import unwritable, walk_files

logger = logging.getLogger(__name__)

#: Version of what the deterministic transforms put into the store; a new number makes old entries unused.
VERSION = 3


class MappedDataset(PersistentDataset):
    """MONAI's PersistentDataset with cached tensors that are mapped from their files instead of read.

    The deterministic transforms run once per subject; later reads touch only the pages of the drawn voxels. A subject's
    file is opened once per process. Changed transforms, data list entries or files (their size or modification time)
    make new cache entries.

    Args:
        data: subjects of a data list; each gets its position as ``index``, the row of its latent.
        transform: deterministic transforms ending in ``ToStored``, then the random ones.
        cache_dir: folder of the store.

    Raises:
        InputError: the folder cannot be created or written.
    """

    def __init__(self, data: Sequence, transform: Sequence[Callable] | Callable, cache_dir: str) -> None:
        numbered = [{**subject, "index": index} for index, subject in enumerate(data)]
        try:
            Path(cache_dir).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(cache_dir, error) from error
        super().__init__(numbered, transform, cache_dir, hash_func=_fingerprint, hash_transform=_described)
        self._opened: dict[int, dict] = {}

    def __len__(self) -> int:
        return len(self.data)

    def stored(self, index: int) -> dict:
        """What the store holds of a subject, before the random transforms."""
        if index not in self._opened:
            item = {key: value for key, value in self.data[index].items() if key != "index"}
            if part := self._discard_part(item):
                logger.warning("%s: is cut off or damaged; it is made again", part)
            try:
                with config.patch("load.mmap", True):
                    self._cachecheck(item)  # writes the file where there is none
                    self._opened[index] = typed(self._cachecheck(item))
            except (OSError, RuntimeError) as error:
                if error.__cause__ is not None or unwritable(error) is None:
                    raise  # from a transform, or too little memory
                self._discard_part(item)  # MONAI copies the file from the temporary folder, and the copy may be partial
                raise _unwritable(self.cache_dir, error) from error
        return self._opened[index]

    def _transform(self, index: int) -> dict:
        return self._post_transform({**self.stored(index), "index": index})

    def _discard_part(self, item: Mapping[str, object]) -> Path | None:
        """Removes the item's file if a killed run or a full disk left only part of it, or the disk corrupted it."""
        file = self.cache_dir / f"{self.hash_func(item).decode()}{self.transform_hash}.pt"
        if not file.is_file() or is_whole(file):
            return None
        file.unlink(missing_ok=True)
        return file

    def fill(self, progress: Callable[[int, int], None] | None = None) -> MappedDataset:
        """Preprocesses every subject now, so that a bad file is found before hours are spent; each of several processes
        does its share, and all wait for each other."""
        own = shares(len(self))
        for done, index in enumerate(own, 1):
            self[index]
            if progress is not None:
                progress(done, len(own))
        idist.barrier()
        return self


def typed(plain: Mapping[str, object]) -> dict[str, object]:
    """A stored subject as it was before ``ToStored`` reduced it to plain types: an image with its ``Scan``."""
    item = {key: value for key, value in plain.items() if key not in ("frame", "unet_prob")}
    frame = CoordinateFrame.from_dict(plain["frame"]) if "frame" in plain else None
    count = item["image"].shape[-1]
    scan = Scan(
        times=tuple(t / count for t in range(count)) if frame is None else frame.times,
        subject=str(item.get("subject", "")),
        frame=frame,
        unet_prob=UNetProb(**plain["unet_prob"]) if "unet_prob" in plain else None,
    )
    affine = None if frame is None else torch.from_numpy(frame.affine)
    item["image"] = MetaTensor(item["image"], affine=affine, meta={SCAN: scan})
    return item


def is_whole(file: str | os.PathLike) -> bool:
    """Whether every part of a ``torch.save`` file exists and matches its checksum."""
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.testzip() is None
    except Exception:  # zipfile raises a different type for each way in which a file can be broken
        return False


def _unwritable(folder: str | Path, error: Exception) -> InputError:
    reason = unwritable(error)
    return InputError(f"{folder}: the store cannot be written ({reason}); free space or choose another cache_dir")


# JSON, because pickles of equal values can differ
def _fingerprint(item: Mapping[str, object]) -> bytes:
    """A hash of a subject's entry and of size and modification time of its files (or of those in its folder)."""
    named = [path for key in ("image", "label", "crops") for path in _paths(item.get(key))]
    named = [file for path in named for file in (walk_files(path) if os.path.isdir(path) else [path])]
    stats = [os.stat(path) if os.path.exists(path) else None for path in named]
    return json_hashing([_settings(item), [stat and [stat.st_size, stat.st_mtime_ns] for stat in stats]])


def _paths(value: object) -> list[str]:
    return [str(path) for path in (value if isinstance(value, (list, tuple)) else [value]) if path is not None]


def _described(transforms: Sequence) -> bytes:
    """A hash of the transforms' classes and settings, the same in every process."""
    return json_hashing([VERSION, *map(_settings, transforms)])


def _settings(value: object) -> object:
    if isinstance(value, (str, int, float, bool, type(None))):
        return value
    if isinstance(value, (list, tuple)):
        return [_settings(v) for v in value]
    if isinstance(value, dict):
        return {str(k): _settings(v) for k, v in sorted(value.items())}
    if isinstance(value, Transform):
        public = {k: v for k, v in vars(value).items() if not k.startswith("_") and k != "R"}
        return [type(value).__name__, _settings(public)]
    if isinstance(value, torch.nn.Module):
        return [type(value).__name__, [float(v.double().abs().sum()) for v in value.state_dict().values()]]
    if isinstance(value, (np.ndarray, np.generic, torch.Tensor)):
        return value.tolist()
    if isinstance(value, (Path, torch.dtype)):
        return str(value)
    # not the repr: it may hold an address, which differs from process to process
    return getattr(value, "__qualname__", type(value).__name__)


def fill_stores(stores: Mapping[str, MappedDataset]) -> None:
    """Preprocesses every subject of the named stores, and logs how far it is; raises as the transforms."""
    for name, dataset in stores.items():
        dataset.fill(
            lambda done, n, name=name: (
                logger.info("store: %s subject %d of %d", name, done, n) if done == n or done % 10 == 0 else None
            )
        )
