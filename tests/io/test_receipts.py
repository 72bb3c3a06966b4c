"""Receipts of finished scans: what they notice, and what is read where there is none."""

import gzip

import nibabel as nib
import numpy as np
import pytest
from helpers.latent_files import write_latent

from nisf.io.receipts import fault_of, read_receipt, receipt_of, unread_fault_of, write_receipt


@pytest.fixture
def scan(tmp_path):
    """Results of a scan: a label file and a latent file."""
    labels, latent = tmp_path / "heart" / "heart_seg.nii.gz", tmp_path / "heart" / "heart_latent.pt"
    labels.parent.mkdir()
    nib.save(nib.Nifti1Image(np.arange(24000, dtype=np.uint8).reshape(20, 30, 40), np.eye(4)), labels)
    return labels, write_latent(latent)


def flip_last(file):
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


DAMAGES = {
    "cut": lambda file: file.write_bytes(file.read_bytes()[:-1]),
    "empty": lambda file: file.write_bytes(b""),
    "one bit": flip_last,
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("which", [0, 1])
def test_a_receipt_notices_any_change_of_a_file(scan, which, damage):
    write_receipt(scan[1], scan, {"scan": "heart", "seconds": 1.5})
    receipt = read_receipt(receipt_of(scan[1]))
    assert (receipt["scan"], receipt["seconds"]) == ("heart", 1.5) and fault_of(receipt, scan[0].parent) == ""
    DAMAGES[damage](scan[which])
    assert fault_of(receipt, scan[0].parent) == f"{scan[which].name} is cut off or was changed"
    scan[which].unlink()
    assert fault_of(receipt, scan[0].parent) == f"{scan[which].name} is missing"


@pytest.mark.parametrize("damage", ["cut", "empty"])
@pytest.mark.parametrize("which", [0, 1])
def test_without_a_receipt_files_are_read_to_their_last_byte(scan, which, damage):
    assert unread_fault_of(scan) == ""
    DAMAGES[damage](scan[which])
    assert unread_fault_of(scan) == f"{scan[which].name} is damaged or cut off"


def test_voxels_that_the_header_promises_must_be_there(scan):
    scan[0].write_bytes(
        gzip.compress(gzip.decompress(scan[0].read_bytes())[:-1])
    )  # a whole file, but not a whole image
    assert unread_fault_of(scan) == "heart_seg.nii.gz is damaged or cut off"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"files": 3}', '{"files": [{"name": "a"}]}'])
def test_a_receipt_that_cannot_be_read_is_none(tmp_path, text):
    path = tmp_path / "a_receipt.json"
    assert read_receipt(path) is None
    path.write_text(text)
    assert read_receipt(path) is None


def test_no_receipt_is_written_of_a_file_that_is_not_there(scan):
    scan[0].unlink()
    with pytest.raises(OSError):
        write_receipt(scan[1], scan, {})
    assert [path.name for path in scan[1].parent.iterdir()] == [scan[1].name]
