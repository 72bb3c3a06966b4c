"""What differs between systems, as far as Linux can show it: text encodings, and modules and calls that Windows or
macOS lack."""

import ast
import importlib
import multiprocessing
import os
import pkgutil
import sys
from pathlib import Path

import pytest

import nisf
from nisf.utils import machine
from nisf.utils.bundle import bundle_root
from nisf.utils.errors import InputError
from nisf.utils.lock import alone

CODE = sorted(Path(nisf.__file__).parent.rglob("*.py"))
#: Calls that read or write text, and the position of their mode.
TEXT = {"open": 1, "fdopen": 1, "read_text": None, "write_text": None, "fileConfig": None}
#: Modules of the standard library that Windows has not.
UNIX_ONLY = ("fcntl", "grp", "pwd", "resource", "termios")


def unnamed_encodings(path):
    """Calls of a file that use the system's own encoding, as place in the file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        of, name = getattr(node.func, "value", None), getattr(node.func, "attr", getattr(node.func, "id", ""))
        if name not in TEXT or name == "open" and getattr(of, "id", None) in ("os", "Image", "gzip", "webbrowser", "tarfile", "archive"):
            continue
        modes = [*node.args[TEXT[name] or 9 :][:1], *(one.value for one in node.keywords if one.arg == "mode")]
        binary = any(isinstance(mode, ast.Constant) and "b" in str(mode.value) for mode in modes)
        own = name == "write_text" and of is None  # of nisf.utils.files, which writes UTF-8
        if not binary and not own and not any(one.arg == "encoding" for one in node.keywords):
            yield f"{path.name}:{node.lineno}"


def test_every_text_file_is_read_and_written_in_a_named_encoding(tmp_path):
    assert [place for path in CODE for place in unnamed_encodings(path)] == []
    wrong = tmp_path / "wrong.py"
    wrong.write_text("open('a')\nPath('a').read_text()\nopen('a', 'rb')\nopen('a', encoding='utf-8')\n")
    assert list(unnamed_encodings(wrong)) == ["wrong.py:1", "wrong.py:2"]


def test_configs_which_monai_reads_in_the_systems_encoding_are_ascii():
    for path in (bundle_root() / "configs").iterdir():
        assert path.read_bytes().isascii(), path


def without_unix(folder, said):
    """Imports every module anew as on a system without ``UNIX_ONLY`` and ``os.sched_getaffinity``; tries both."""
    names = [module.name for module in pkgutil.walk_packages(nisf.__path__, "nisf.")]
    for name in names:  # and with them the packages that they need
        importlib.import_module(name)
    for name in [name for name in sys.modules if name.split(".")[0] == "nisf"]:
        del sys.modules[name]
    sys.modules.update(dict.fromkeys(UNIX_ONLY))
    del os.sched_getaffinity
    modules = {name: importlib.import_module(name) for name in names}
    with modules["nisf.utils.lock"].alone(folder / "lock", lambda: "taken"):
        said.put((len(names), modules["nisf.utils.machine"].processors()))


def test_nothing_needs_what_windows_and_macos_lack(tmp_path):
    forked = multiprocessing.get_context("fork")
    said = forked.Queue()
    process = forked.Process(target=without_unix, args=(tmp_path, said))
    process.start()
    process.join(120)
    assert process.exitcode == 0
    number, processors = said.get()
    assert number > 100 and processors >= 1


def test_a_lock_keeps_another_process_out_and_ends_with_its_process(tmp_path):
    forked = multiprocessing.get_context("fork")
    held = forked.Event()

    def hold():
        with alone(tmp_path / "lock", str):
            held.set()
            forked.Event().wait(60)

    process = forked.Process(target=hold)
    process.start()
    assert held.wait(60)
    with pytest.raises(InputError, match="taken"):
        with alone(tmp_path / "lock", lambda: "taken"):
            pass
    process.kill()
    process.join()
    with alone(tmp_path / "lock", str, again=True), alone(tmp_path / "lock", str, again=True):
        pass
    with pytest.raises(InputError, match="taken"):
        with alone(tmp_path / "lock", str), alone(tmp_path / "lock", lambda: "taken"):
            pass


VERSIONS = {
    2: (
        "0::/pod/job\n",
        {"pod/job": {"memory.max": "max", "cpu.max": "max 100000"}},
        {"memory.max": "3000", "memory.current": "2500", "memory.stat": "anon 1\ninactive_file 400\n"},
        {"cpu.max": "150000 100000"},
    ),
    1: (
        "5:cpu,cpuacct:/docker/job\n4:memory:/docker/job\n",  # inside, a container sees its own group at the top
        {},
        {"limit_in_bytes": "3000", "usage_in_bytes": "2500", "stat": "cache 9\ntotal_inactive_file 400\n"},
        {"cpu.cfs_quota_us": "150000", "cpu.cfs_period_us": "100000"},
    ),
}


@pytest.mark.parametrize("version", VERSIONS)
def test_memory_and_processors_are_those_of_the_container(version, tmp_path, monkeypatch):
    listed, inner, memory, cpu = VERSIONS[version]
    top = tmp_path / "groups"
    places = {"pod": {**memory, **cpu}} if version == 2 else {"cpu": cpu}
    places |= {} if version == 2 else {"memory": {f"memory.{name}": text for name, text in memory.items()}}
    for folder, files in {**places, **inner}.items():
        (top / folder).mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (top / folder / name).write_text(text)
    (tmp_path / "own").write_text(listed)
    monkeypatch.setattr(machine, "OWN", tmp_path / "own")
    monkeypatch.setattr(machine, "GROUPS", top)
    assert machine.free_memory() == 3000 - 2500 + 400
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    assert machine.processors() == 2


def test_without_limits_memory_and_processors_are_the_machines(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "OWN", tmp_path / "nothing")
    assert machine.free_memory() > 2**20 and machine.processors() == len(os.sched_getaffinity(0))
