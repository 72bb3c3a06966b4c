"""Where the results of scans go, so that no scan's replace another's.

A scan's results are in ``<output>/<scan>``. Where that folder holds the results of another scan, the names of the
folders above its file come before its name, ``A_sa`` for ``A/sa.nii.gz``, and the same command finds it there again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from nisf.io.earlier import Owner, owner_of, saved_fit
from nisf.io.nifti import stem_of
from nisf.io.results import ScanResults, folder_of
from nisf.io.source import Source, sources_of
from nisf.utils.errors import InputError
from nisf.utils.names import name_key

logger = logging.getLogger(__name__)

#: Number of characters above which a folder's name is not tried.
LONGEST = 150


class Places:
    """The folder of results, and who has which place in it.

    Args:
        output: folder of all results.
        subjects: subjects of the run; no other scan gets the name of one of them.
    """

    def __init__(self, output: str | Path, subjects: Sequence[Mapping[str, object]] = ()) -> None:
        self.output, self.taken = Path(output), set()
        self.reserved = {name_key(str(subject["subject"])) for subject in subjects}
        folders = self.output.iterdir() if self.output.is_dir() else []
        # as they are spelt on this disk; another disk may take two spellings for one
        self.spelt = {name_key(folder.name): folder.name for folder in sorted(folders)}

    def of(self, subject: Mapping[str, object], source: Source) -> dict[str, object]:
        """The subject, under a name whose place is its own: the one with its results, else the first that is free.

        Raises:
            InputError: no place is free.
        """
        own = name_key(folder_of(sources_of(subject), str(subject["subject"])))
        others = self.taken | (self.reserved - {own, name_key(str(subject["subject"]))})
        names = [name for name in self._names(subject) if name_key(name) not in others]
        owners = {name: self._owner(name, source) for name in names}
        for wanted in (Owner.SCAN, Owner.CHANGED, Owner.NOBODY):
            for name in names:
                if owners[name] is wanted:
                    return self._take(subject, name, wanted)
        raise InputError(
            f"{sources_of(subject)[0]}: {self.output} holds other scans' results under every name that this one could "
            "have; choose another result folder"
        )

    def _names(self, subject: Mapping[str, object]) -> Iterator[str]:
        """Names that a scan's folder may have, the best first."""
        files, subject_name = sources_of(subject), str(subject["subject"])
        first, stem = folder_of(files, subject_name), stem_of(files[0])
        tried = [first, *[stem] * (len(files) == 1)]
        for base in tuple(tried):
            for folder in Path(files[0]).absolute().parents:
                base = f"{folder.name}_{base}"
                if folder.name and len(base) <= LONGEST:
                    tried.append(base)
        for name in dict.fromkeys(map(self._as_spelt, tried)):
            if name in (first, folder_of(files, name)):  # else the files would be written elsewhere
                yield name

    def _as_spelt(self, name: str) -> str:
        return name if (self.output / name).is_dir() else self.spelt.get(name_key(name), name)

    def _owner(self, name: str, source: Source) -> Owner:
        results = ScanResults(self.output / name, name)
        return owner_of(results, saved_fit(results), source) if results.folder.is_dir() else Owner.NOBODY

    def _take(self, subject: Mapping[str, object], name: str, owner: Owner) -> dict[str, object]:
        self.taken.add(name_key(name))
        files = sources_of(subject)
        first = folder_of(files, str(subject["subject"]))
        if name == first:
            return dict(subject)
        if owner is Owner.NOBODY:
            logger.info("%s: %s is another scan's, so its results are called %s", files[0], self.output / first, name)
        else:
            logger.info("%s: its results are those called %s", files[0], name)
        return {**subject, "subject": name}


def placed(subjects: Sequence[Mapping], output: str | Path) -> list[tuple[dict[str, object], Source]]:
    """The subjects, each under a name that is its own below ``output``, with their sources.

    Raises:
        InputError: no place is free for one of them.
    """
    places = Places(output, subjects)
    with ThreadPoolExecutor(8) as threads:  # reading files and digests leave Python's lock to others
        sources = list(threads.map(Source.of_subject, subjects))
    return [(places.of(subject, source), source) for subject, source in zip(subjects, sources)]
