"""Random archives, sidecars, NRRD headers, frame files and stated axes for the fuzz tests."""

import json
import tarfile
import zipfile

import numpy as np
from helpers.corpus_files import CASES, small_cine, write_nifti
from helpers.fuzz_draws import NUMBERS, PLAIN, TEXT, spoilt, taken
from hypothesis import strategies as st

from nisf.geometry.orientation import ANATOMY, CODES
from nisf.io.datalist import load_split
from nisf.io.images import read_scan
from nisf.transforms.load import LoadCined
from nisf.transforms.scan import scan_of
from nisf.transforms.spatial import CanonicalOrientationd


class FuzzedFiles:
    """Kinds that need a folder alone; see ``fuzzed.Fuzz``."""

    def archives(self, data):
        """Zip and tar archives of files of any names and content, and damaged ones."""
        zipped, place = data.draw(st.booleans()), self.place("archives")
        inner = write_nifti(place / "inner.nii", *small_cine()).read_bytes()
        names = ["a.nii", "b/c.nii", "../x.nii", "/x.nii", "a", "a.nii/b", "d.zip", "DICOMDIR", "a_seg.nii"]
        drawn = st.lists(st.tuples(st.one_of(st.sampled_from(names), TEXT), st.integers(0, 3)), max_size=3)
        files = data.draw(st.one_of(st.just([("a.nii", 0), ("a.txt", 2)]), drawn))
        path = place / ("drawn.zip" if zipped else "drawn.tar.gz")
        content = [inner, inner, inner[:200], bytes(1 << 22)]
        spoil, at = data.draw(st.integers(0, 2)) == 0, data.draw(st.floats(0, 1, exclude_max=True))
        try:
            _write_archive(path, zipped, [(name, content[kind]) for name, kind in files])
        except (ValueError, OSError, IndexError):
            return False  # no archive can hold such a name
        if spoil:  # compressed bytes hold the time, so where they change is drawn as a part of their number
            whole = bytearray(path.read_bytes())
            whole[int(at * len(whole))] ^= 0x55
            path.write_bytes(whole)
        before = set(place.parent.rglob("*"))
        found = taken(lambda: self.check(read_scan(str(path))))
        assert set(place.parent.rglob("*")) == before
        return found

    def sidecars(self, data):
        """JSON files beside a scan."""
        place = self.place("sidecars")
        names = ["FrameTimesStart", "VolumeTiming", "TriggerDelayTime", "NominalInterval", "HeartRate", "PatientSex"]
        lists = st.lists(st.one_of(NUMBERS, st.integers(0, 9)), min_size=7, max_size=9)
        told = data.draw(st.dictionaries(st.sampled_from(names), st.one_of(PLAIN, lists, st.just(list(range(8))))))
        text = json.dumps(told).encode()
        (place / "a.json").write_bytes(spoilt(data, text) if data.draw(st.integers(0, 3)) == 0 else text)
        path = write_nifti(place / "a.nii", *small_cine())
        cycle = data.draw(st.sampled_from([None, None, 800.0, 1.0]))

        def work():
            self.check(read_scan(str(path)))
            times = scan_of(LoadCined("image", cycle_ms=cycle)({"subject": "s", "image": str(path)})["image"]).times
            assert len(times) == 8 and all(0 <= a < b for a, b in zip(times, [*times[1:], 1.0]))

        return taken(work)

    def nrrd_headers(self, data):
        """Sequences of 3D Slicer whose headers are damaged."""
        place = self.place("nrrd")
        case = data.draw(st.sampled_from([case for case in CASES if case.name in ("seq_first", "multi_volume")]))
        path = case.make(place)
        head, _, voxels = path.read_bytes().partition(b"\n\n")
        lines = head.split(b"\n")
        number = data.draw(st.integers(1, len(lines) + 9))
        if number < len(lines):
            lines[number] = spoilt(data, lines[number])
        path.write_bytes(b"\n".join(lines) + b"\n\n" + voxels)
        return taken(lambda: self.check(read_scan(str(path))))

    def axis_orders(self, data):
        """Cines of any order of axes and voxel sizes: what is taken has every voxel that was stored."""
        array, affine = small_cine()
        order = data.draw(st.permutations(range(4)))
        array = array.transpose(order) + data.draw(st.integers(0, 3)) * 100
        affine = affine @ np.diag([*data.draw(st.tuples(*[st.floats(0.01, 40)] * 3)), 1])
        path = write_nifti(self.place("orders") / "a.nii", array, affine, data.draw(st.floats(0, 40)))

        def work():
            item = {"subject": "s", "image": str(path)}
            if stated := data.draw(st.lists(st.sampled_from([*ANATOMY, *CODES]), max_size=3)):
                item["array_axes"] = stated
            found = CanonicalOrientationd("image")(LoadCined("image")(item))["image"]
            assert sorted(found.shape[1:]) == sorted(array.shape) and float(found.sum()) == float(array.sum())

        return taken(work)

    def frame_files(self, data):
        """Folders of files whose names differ in numbers, some of them damaged or on another grid."""
        place, (array, affine) = self.place("frames"), small_cine()
        names = data.draw(st.lists(st.sampled_from([f"f{n}.nii" for n in range(9)] + ["g1.nii", "1.nii"]), unique=True))
        for number, name in enumerate(names):
            last = data.draw(st.sampled_from([5, 5, 5, 4]))
            path = write_nifti(place / name, array[:, :, :last, number % 8], affine)
            if data.draw(st.integers(0, 9)) == 0:
                path.write_bytes(spoilt(data, path.read_bytes()))

        def work():
            for layout in ("frames", "images"):
                subjects = load_split(layout, str(place), "all")
                images = [s["image"] if isinstance(s["image"], list) else [s["image"]] for s in subjects]
                assert sum(map(len, images)) == len(names)
                for subject in subjects:
                    LoadCined("image")(subject)

        return taken(work)

    def place(self, name):
        """An empty folder."""
        folder = self.folder / "files" / name
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.iterdir():
            path.unlink()
        return folder


def _write_archive(path, zipped, files):
    if zipped:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files:
                archive.writestr(name, content)
        return
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files:
            source = path.with_name("member")
            source.write_bytes(content)
            archive.add(source, name)
            source.unlink()
