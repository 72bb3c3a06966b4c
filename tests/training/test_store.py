"""A subject is preprocessed once; later reads map its file, and a bad scan is reported instead of raised."""

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.stores import loading, store
from helpers.tiny import TINY, disk_full_after, entries
from monai.transforms import Compose, ScaleIntensityRangePercentilesd, Transform

from nisf.inference.evaluator import Failure, ScanDataset
from nisf.phantom.cohort import write_cohort
from nisf.training.store import MappedDataset, is_whole
from nisf.transforms.load import LoadCined
from nisf.transforms.points import RandFramed, RandPointsd, ToStored
from nisf.transforms.scan import UNetProb, scan_of, with_scan
from nisf.transforms.spatial import CanonicalOrientationd, CropToFieldd
from nisf.utils.errors import InputError, reason_of


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return write_cohort(tmp_path_factory.mktemp("cohort"), 0, 0, 3, **TINY)


@pytest.fixture
def subjects(cohort):
    return entries(cohort)


def files(folder):
    return {path.name: path.stat().st_mtime_ns for path in sorted(folder.iterdir())}


def test_stored_subjects_equal_those_preprocessed_anew(tmp_path, subjects):
    dataset = store(subjects, tmp_path)
    assert len(dataset) == 3
    for index, subject in enumerate(subjects):
        fresh, item = Compose(loading())(subject), dataset[index]
        assert item["index"] == index, "the row of its latent"
        assert torch.allclose(item["image"].float() / 255, fresh["image"].as_tensor(), atol=0.5 / 255 + 1e-6)
        assert torch.equal(item["label"].long(), fresh["label"].as_tensor().long())
        stored, known = scan_of(item["image"]), scan_of(fresh["image"])
        assert stored.frame.to_dict() == known.frame.to_dict() and stored.subject == subject["subject"]
        assert stored.times == known.times
        assert item["phases"] == subject["phases"]


def test_unet_probabilities_come_back_in_8_bits(tmp_path, subjects):
    class Sure(Transform):
        """Stands for a U-Net."""

        def __call__(self, item):
            image = item["image"]
            values = torch.linspace(0, 1, image[..., :2].numel()).reshape(image[..., :2].shape)
            item["image"] = with_scan(image, replace(scan_of(image), unet_prob=UNetProb(values, [0, 2])))
            return item

    dataset = MappedDataset(subjects[:1], Compose([*loading(), Sure(), ToStored()]), str(tmp_path))
    found = scan_of(dataset[0]["image"]).unet_prob
    assert found.frames == [0, 2] and found.values.dtype == torch.uint8
    expected = torch.linspace(0, 1, found.values.numel()).reshape(found.values.shape)
    assert torch.allclose(found.values / 255, expected, atol=0.5 / 255 + 1e-6)


def test_tensors_are_mapped_from_the_file_not_read(tmp_path, subjects):
    dataset = store(subjects, tmp_path)
    dataset.fill()
    for name in files(tmp_path):
        with open("/proc/self/maps") as maps:
            assert name in maps.read(), "the file is mapped into this process"
    item = store(subjects, tmp_path)[1]
    assert item["image"].dtype == torch.uint8 and item["image"][..., 0].is_contiguous()
    assert max(path.stat().st_size for path in tmp_path.iterdir()) < 2 * item["image"].nbytes + 20_000, "8 bits a voxel"


def test_second_data_set_reads_what_the_first_wrote(tmp_path, subjects, monkeypatch):
    first = store(subjects, tmp_path).fill()
    before = files(tmp_path)
    assert len(before) == 3
    monkeypatch.setattr(LoadCined, "__call__", lambda *_: pytest.fail("a stored subject was loaded again"))
    second = store(subjects, tmp_path)
    assert torch.equal(second[2]["image"], first[2]["image"])
    assert files(tmp_path) == before


def test_order_of_subjects_and_equal_settings_in_other_words_share_the_files(tmp_path, subjects):
    store(subjects, tmp_path).fill()
    before = files(tmp_path)
    backwards = store([dict(reversed(s.items())) for s in reversed(subjects)], tmp_path)
    assert [backwards[i]["index"] for i in range(3)] == [0, 1, 2]
    assert backwards[0]["subject"] == subjects[2]["subject"]
    keys = ("".join(["im", "age"]), "label")  # an equal string, but another object
    spelled = [LoadCined(keys), CanonicalOrientationd(list(keys)), CropToFieldd(keys, half_field=60.0), loading()[3]]
    MappedDataset(subjects, Compose([*spelled, ToStored()]), str(tmp_path)).fill()
    assert files(tmp_path) == before


def test_another_process_finds_the_files(tmp_path, cohort, subjects):
    code = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent.parent)!r})
from helpers.stores import store
from helpers.tiny import entries
store(entries(Path({str(cohort)!r})), {str(tmp_path)!r}).fill()
"""
    environment = {**os.environ, "PYTHONHASHSEED": "77"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    before = files(tmp_path)
    store(subjects, tmp_path).fill()
    assert len(before) == 3 and files(tmp_path) == before


def test_changed_settings_or_entries_make_new_files(tmp_path, subjects):
    small = store(subjects, tmp_path, half_field=40.0)[0]["image"].shape
    assert store(subjects, tmp_path, half_field=60.0)[0]["image"].shape != small
    assert len(files(tmp_path)) == 2
    swapped = [{**subjects[0], "label_map": {"0": 0, "1": 3, "2": 2, "3": 1}}]
    one, other = store(subjects, tmp_path)[0]["label"], store(swapped, tmp_path)[0]["label"]
    assert torch.equal(one == 1, other == 3) and len(files(tmp_path)) == 3


def test_dtype_of_a_transform_is_a_setting(tmp_path, subjects):
    for dtype in (np.float32, np.float64):
        scale = ScaleIntensityRangePercentilesd("image", 1, 99, 0.0, 1.0, clip=True, dtype=dtype)
        MappedDataset(subjects[:1], [*loading()[:3], scale, ToStored()], str(tmp_path))[0]
    assert len(files(tmp_path)) == 2


def test_file_that_was_written_anew_is_preprocessed_anew(tmp_path):
    write_cohort(tmp_path / "data", 0, 0, 1, **TINY)
    listing = tmp_path / "data" / "cohort.json"
    before = store(entries(listing), tmp_path / "store")[0]["image"].clone()
    image = tmp_path / "data" / "test000_sa.nii.gz"
    other = write_cohort(tmp_path / "other", 0, 0, 1, seed=5, **TINY).parent
    for name in ("test000_sa.nii.gz", "test000_sa_gt.nii.gz"):
        (other / name).replace(tmp_path / "data" / name)
    os.utime(image, ns=(time.time_ns(), image.stat().st_mtime_ns + 10**9))
    after = store(entries(listing), tmp_path / "store")[0]["image"]
    assert after.shape != before.shape or not torch.equal(after, before)


def test_random_transforms_run_on_every_read(tmp_path, subjects):
    dataset = store(subjects, tmp_path, RandFramed(), RandPointsd(30))
    dataset.transform.set_random_state(0)
    first, second = dataset[1], dataset[1]
    assert set(first) == {"coords", "intensity", "label", "index"} and first["index"] == 1
    assert first["coords"].shape == (4, 30) and not torch.equal(first["coords"], second["coords"])
    plain = store(subjects, tmp_path)
    assert len(plain) == 3 and len(files(tmp_path)) == 1, "random transforms are no part of what is stored"


def test_random_transforms_do_not_change_the_store(tmp_path, subjects):
    class Spoil(RandFramed):
        def __call__(self, data):
            data["image"].zero_()
            return data

    store(subjects, tmp_path, Spoil())[0]
    assert store(subjects, tmp_path)[0]["image"].any()


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.999])
def test_cut_off_store_file_is_made_anew(tmp_path, subjects, keep, caplog):
    whole = store(subjects, tmp_path)[0]["image"].clone()
    (file,) = tmp_path.iterdir()
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * keep)])
    again = store(subjects, tmp_path)[0]
    assert torch.equal(again["image"], whole) and again["index"] == 0
    assert file.stat().st_size == len(content) and file.name in caplog.text


def test_filling_names_the_bad_file_and_counts(tmp_path, subjects):
    seen = []
    store(subjects, tmp_path).fill(lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    bad = [subjects[0], {**subjects[1], "image": "/nowhere/p9_sa.nii.gz"}]
    with pytest.raises(Exception) as caught:
        store(bad, tmp_path).fill()
    assert reason_of(caught.value).startswith("/nowhere/p9_sa.nii.gz: there is no such file")


def test_store_folder_that_is_a_file_is_said_in_a_sentence(tmp_path, subjects):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match="the store cannot be written .*; .*cache_dir"):
            store(subjects, folder)


def test_full_disk_is_said_in_a_sentence_and_the_next_run_goes_on(tmp_path, subjects):
    with disk_full_after(3000), pytest.raises(InputError, match="the store cannot be written .*; free space"):
        store(subjects, tmp_path).fill()
    assert store(subjects, tmp_path).fill()[2]["image"].any()


@pytest.fixture
def small_disk(tmp_path):
    """Mounts a disk of so many bytes."""
    place = tmp_path / "small"

    def mount(size):
        place.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place], capture_output=True)
        if done.returncode:
            pytest.skip("no disk can be mounted here; the test above limits the sizes of files instead")
        return place

    yield mount
    subprocess.run(["umount", place], capture_output=True)


def test_full_disk_keeps_whole_files_alone(tmp_path, subjects, small_disk):
    store(subjects, tmp_path / "large").fill()
    size = max(path.stat().st_size for path in (tmp_path / "large").iterdir())
    disk = small_disk(3 * size // 2)
    with pytest.raises(InputError, match="the store cannot be written .No space left on device.; free space"):
        store(subjects, disk).fill()
    assert [is_whole(path) for path in disk.iterdir()] == [True]


def test_scan_that_cannot_be_read_is_an_item_with_its_reason(tmp_path, subjects):
    cut = tmp_path / "cut.nii.gz"
    cut.write_bytes(b"not an image")
    items = ScanDataset([subjects[0], {"subject": "p7", "image": str(cut)}, subjects[2]], Compose(loading()))
    assert len(items) == 3
    reason = f"{cut}: is empty, cut off or no image; give a whole NIfTI file (.nii or .nii.gz)"
    assert items[1] == {"subject": "p7", "failure": Failure("p7", reason)}
    assert items[0]["image"].ndim == 5 and "failure" not in items[2]


def test_unexpected_fault_keeps_its_kind_and_goes_to_the_log(subjects, caplog):
    def broken(item):
        raise KeyError("voxels")

    item, subject = ScanDataset(subjects[:1], broken)[0], subjects[0]["subject"]
    assert item == {"subject": subject, "failure": Failure(subject, "KeyError: 'voxels'", unexpected=True)}
    assert "Traceback" in caplog.text


def test_reason_is_the_sentence_however_often_it_was_wrapped():
    try:
        try:
            raise InputError("a.nii: holds NaN; replace them")
        except InputError as error:
            raise RuntimeError("applying transform") from error
    except RuntimeError as error:
        assert reason_of(error) == "a.nii: holds NaN; replace them"
