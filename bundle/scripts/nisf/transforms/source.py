"""The files that a scan is read from, recognised by their content before they are loaded."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from monai.transforms import Transform

from nisf.io.source import Source

#: Entry of an item.
SOURCE = "source_files"


class AddSourced(Transform):
    """Adds the ``Source`` of an entry of a data list to the item, before its files are loaded.

    What is fitted is then what the result names, also where a file is replaced during the fit.
    """

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        """The item with its source."""
        return {**data, SOURCE: Source.of_subject(data)}


def source_of(item: Mapping[Hashable, object]) -> Source:
    """The source of an item; from the files of its ``scan`` as they are now, if it was not added before."""
    return item.get(SOURCE) or Source.of_subject({"image": list(item["scan"].files)})
