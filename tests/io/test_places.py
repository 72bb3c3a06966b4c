"""No scan takes the place of another's results, and each finds its own again."""

import os
import shutil
import unicodedata

import pytest
from helpers.latent_files import write_latent

from nisf.io.places import placed
from nisf.io.results import folder_of
from nisf.io.source import Source
from nisf.utils.errors import InputError


def scan(path, content=b""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content or str(path).encode())
    return {"subject": path.name.split(".")[0], "image": str(path)}


def finish(out, subject, **content):
    """What a run leaves of a subject that has its place."""
    name = folder_of([subject["image"]], subject["subject"])
    (out / name).mkdir(parents=True)
    source = Source.of_subject(subject).to_dict()
    write_latent(out / name / f"{name}_latent.pt", **{"source": source, **content})
    return name


def names(out, *subjects):
    return [subject["subject"] for subject, _ in placed(subjects, out)]


def run(out, *subjects):
    """Names of the subjects after a run that finished them."""
    found = [subject for subject, _ in placed(subjects, out)]
    for subject in found:
        if not (out / subject["subject"]).exists():
            finish(out, subject)
    return [subject["subject"] for subject in found]


def test_another_scan_of_the_same_name_gets_a_name_of_its_own_and_both_find_theirs_again(tmp_path):
    a, b = scan(tmp_path / "A" / "sa.nii.gz"), scan(tmp_path / "B" / "sa.nii.gz")
    out = tmp_path / "out"
    assert run(out, a) == ["sa"] and run(out, b) == ["B_sa"]
    assert names(out, a) == ["sa"] and names(out, b) == ["B_sa"] and names(out, b, a) == ["B_sa", "sa"]
    shutil.rmtree(out / "sa")  # what is left stays where it is
    assert names(out, b) == ["B_sa"]


def test_two_of_one_name_in_one_run_are_told_apart(tmp_path):
    scans = [scan(tmp_path / folder / "sa.nii.gz", b"the same") for folder in "AB"]
    assert run(tmp_path / "out", *scans) == ["sa", "B_sa"] == names(tmp_path / "out", *scans)


def test_no_scan_gets_the_name_of_another_one_of_the_run(tmp_path):
    out = tmp_path / "out"
    run(out, scan(tmp_path / "B" / "sa.nii.gz"))
    sa = scan(tmp_path / "C" / "A" / "sa.nii.gz")
    other = {**scan(tmp_path / "Z" / "A_sa_4d.nii.gz"), "subject": "A_sa"}
    assert names(out, sa, other) == ["C_A_sa", "A_sa"] == names(out, other, sa)[::-1]


def test_folders_that_are_all_called_dicom_have_the_names_of_those_above(tmp_path):
    found = []
    for patient in ("p1", "p2"):
        (tmp_path / patient / "DICOM").mkdir(parents=True)
        found.append({"subject": "DICOM", "image": str(tmp_path / patient / "DICOM")})
    assert names(tmp_path / "out", *found) == ["DICOM", "p2_DICOM"]


def test_data_that_moved_or_was_copied_keep_their_results(tmp_path):
    out, a = tmp_path / "out", scan(tmp_path / "data" / "A" / "sa.nii.gz")
    run(out, scan(tmp_path / "data" / "B" / "sa.nii.gz"), a)
    (tmp_path / "data").rename(tmp_path / "moved")
    b, a = ({"subject": "sa", "image": str(tmp_path / "moved" / folder / "sa.nii.gz")} for folder in "BA")
    assert names(out, b) == ["sa"] and names(out, a) == ["A_sa"]


def test_a_file_that_changed_keeps_its_place_also_when_its_name_has_become_longer(tmp_path):
    a, b, out = scan(tmp_path / "A" / "sa.nii.gz"), scan(tmp_path / "B" / "sa.nii.gz"), tmp_path / "out"
    run(out, a)
    scan(tmp_path / "A" / "sa.nii.gz", b"another export")
    both = [{**a, "subject": "A_sa"}, {**b, "subject": "B_sa"}]  # as a folder of the two is read
    assert names(out, *both) == ["sa", "B_sa"]


@pytest.mark.parametrize(
    "one, other",
    [("Scan", "scan"), (unicodedata.normalize("NFC", "Zoë"), unicodedata.normalize("NFD", "Zoë"))],
)
def test_names_that_some_disk_takes_for_one_are_told_apart(tmp_path, one, other):
    first, second = (scan(tmp_path / folder / f"{name}.nii.gz") for folder, name in (("A", one), ("B", other)))
    out = tmp_path / "out"
    assert run(out, first) == [one] and run(out, second) == [f"B_{other}"]
    # the first file under the other spelling is still the scan whose results are there
    assert names(out, {"subject": other, "image": shutil.copy(first["image"], tmp_path / f"{other}.nii.gz")}) == [one]


def test_results_of_earlier_versions_belong_to_their_path(tmp_path):
    a, b, out = scan(tmp_path / "A" / "sa.nii.gz"), scan(tmp_path / "B" / "sa.nii.gz"), tmp_path / "out"
    finish(out, a, source=None, image_files=[a["image"]])
    assert names(out, a) == ["sa"] and names(out, b) == ["B_sa"]
    same = shutil.copy(a["image"], tmp_path / "sa.nii.gz")
    assert names(out, {"subject": "sa", "image": same}) == ["sa"]
    os.unlink(a["image"])  # nothing tells any more whose they were
    assert names(out, {"subject": "sa", "image": same}) == [f"{tmp_path.name}_sa"]


def test_a_scan_without_any_free_name_is_refused(tmp_path):
    out, taken = tmp_path / "out", []
    with pytest.raises(InputError, match="sa.nii.gz: .* holds other scans' results under every name"):
        for number in range(50):
            taken += run(out, scan(tmp_path / "A" / "sa.nii.gz", b"%d" % number))
            latent = out / taken[-1] / f"{taken[-1]}_latent.pt"
            write_latent(latent, source=Source(("/elsewhere",), taken[-1]).to_dict())
    assert taken[:2] == ["sa", "A_sa"] and len(set(taken)) == len(taken) > 3
