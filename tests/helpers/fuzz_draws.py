"""Random inputs and damage for the fuzz tests, and how refusals differ from crashes."""

import copy
import warnings

import numpy as np
import pydicom
from hypothesis import strategies as st

from nisf.utils.errors import input_error_in

#: Numbers that break things.
ODD = [0.0, -0.0, 1.0, -1.0, 1e-30, 1e30, float("nan"), float("inf"), -float("inf"), 255.0, 1e-3]
NUMBERS = st.one_of(st.sampled_from(ODD), st.floats(width=32))
TEXT = st.one_of(
    st.sampled_from(["", "..", "../../up", "/", "\x00", "a\nb", "ED", "nan", "1e999"]), st.text(max_size=12)
)
#: Places and kinds of a NIfTI header's numbers: dim, datatype, bitpix, pixdim, vox_offset, scaling, codes, affine.
FIELDS = [(40 + 2 * i, "<h") for i in range(8)] + [(70, "<h"), (72, "<h"), (252, "<h"), (254, "<h")]
FIELDS += [(76 + 4 * i, "<f") for i in range(8)] + [(108 + 4 * i, "<f") for i in range(3)]
FIELDS += [(280 + 4 * i, "<f") for i in range(12)]
PLAIN = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-5, 1000), NUMBERS, TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXT, inner, max_size=4)),
    max_leaves=6,
)


def taken(work):
    """Whether ``work`` ends well; False where it refuses in one sentence. Any other exception is a crash."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            work()
        return True
    except Exception as error:
        found = input_error_in(error)
        if found is None:
            raise
        assert "\n" not in str(found).replace("a\nb", ""), found  # but in a name that was drawn
        return False


def spoilt(data, content):
    """Bytes with a few of them changed, removed, inserted, or the end missing."""
    content = bytearray(content)
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, max(len(content) - 1, 0)))
        kind = data.draw(st.sampled_from(["change", "change", "cut", "insert", "end"]))
        if kind == "change" and content:
            content[place] = data.draw(st.integers(0, 255))
        elif kind == "cut":
            del content[place : place + data.draw(st.integers(1, 64))]
        elif kind == "insert":
            content[place:place] = data.draw(st.binary(max_size=16))
        else:
            del content[place:]
    return bytes(content)


def replaced(data, tree):
    """A JSON tree with one value removed or replaced."""
    tree = copy.deepcopy(tree)
    node, path = tree, []
    while True:
        if not isinstance(node, (dict, list)) or not node or (path and data.draw(st.integers(0, 3)) == 0):
            break
        key = data.draw(st.sampled_from(sorted(node) if isinstance(node, dict) else list(range(len(node)))))
        path.append((node, key))
        node = node[key]
    parent, key = path[-1]
    if data.draw(st.booleans()):
        parent[key] = data.draw(PLAIN)
    else:
        del parent[key]
    return tree


def edit_dicom(path, edits):
    """Attributes of a DICOM file set to other values, or deleted (None), as far as pydicom can write them."""
    file = pydicom.dcmread(path)
    for name, value in edits:
        _set(file, name, value)
    _save(file, path)


def _set(file, name, value):
    try:
        if value is None:
            delattr(file, name)
        else:
            setattr(file, name, value)
    except (ValueError, TypeError, AttributeError, OverflowError):
        pass  # pydicom itself will not write that


def _save(file, path):
    before = open(path, "rb").read()
    try:
        file.save_as(path)
    except Exception:  # nor that
        with open(path, "wb") as whole:
            whole.write(before)
