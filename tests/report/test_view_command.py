"""``nisf view`` on real result folders."""

import shutil
import time
import webbrowser

import pytest

from nisf.cli.main import run
from nisf.utils.errors import InputError


@pytest.fixture
def browser(tmp_path):
    """The browser of this machine for once: a program that writes the address which it is to open into a file."""
    program, asked = tmp_path / "browser", tmp_path / "asked"
    program.write_text(f'#!/bin/sh\nprintf %s "$1" > {asked}.part && mv {asked}.part {asked}\n')
    program.chmod(0o755)
    webbrowser.register("for the test", None, webbrowser.GenericBrowser([str(program), "%s"]), preferred=True)
    yield asked
    webbrowser.register("for the test", None, webbrowser.GenericBrowser(["true", "%s"]), preferred=True)


def test_the_page_is_written_and_opened(phantom_result, browser, tmp_path, capsys):
    folder = shutil.copytree(phantom_result, tmp_path / "a scan")
    run(["view", str(folder), "--no_browser"])
    page = folder / "view.html"
    text = page.read_text()
    assert 'data-layer="uncertainty"' not in text  # without draws
    assert "Not measured yet" not in text and capsys.readouterr().out.startswith(f"{page}: ")
    assert not browser.exists()
    (folder / "measures.json").unlink()
    run(["view", str(folder)])
    end = time.monotonic() + 10
    while not browser.exists() and time.monotonic() < end:
        time.sleep(0.02)
    assert browser.read_text() == page.as_uri() and "%20" in page.as_uri()
    assert "Not measured yet: nisf report adds volumes." in page.read_text()


def test_no_folder_and_a_folder_without_results(tmp_path):
    with pytest.raises(InputError, match="name the folder of a scan: nisf view OUT/scan"):
        run(["view"])
    with pytest.raises(InputError, match="holds no results"):
        run(["view", str(tmp_path)])


@pytest.mark.parametrize("draws", ["1", "-4", "257"])
def test_draws_that_cannot_be_had(phantom_result, draws):
    with pytest.raises(InputError, match=f"^--draws {draws}: give 2 to 256 draws, or 0 for none$"):
        run(["view", str(phantom_result), "--draws", draws, "--no_browser"])
