"""A segmented phantom's living page in Chromium."""

import shutil

import pytest
from helpers.browsers import chromium, wait
from helpers.report_scans import HOSTILE, measured

from nisf.io.results import ScanResults
from nisf.report.living.write import view
from nisf.report.write import read_measures


@pytest.fixture(scope="session")
def living_scan(phantom_result, tmp_path_factory):
    """Scan folder with its living page, of a subject with a hostile name."""
    folder = shutil.copytree(phantom_result, tmp_path_factory.mktemp("living") / "heart")
    measured(folder, subject=HOSTILE)
    results = ScanResults.of_folder(folder)
    view(results, read_measures(results.measures), draws=2)
    return folder


@pytest.fixture(scope="module")
def laptop(tmp_path_factory):
    driver = chromium("laptop", tmp_path_factory.mktemp("profile"))
    driver.set_script_timeout(60)
    yield driver
    driver.quit()


@pytest.fixture
def opened():
    """A function that opens a living page and waits until it computes; gives the elements by id."""

    def opens(browser, page, engine="cpu"):
        browser.get("about:blank")
        browser.get(f"{page.as_uri()}#{engine}")
        wait(lambda: browser.execute_script("return !!window.living?.views"))
        return lambda name: browser.find_element("id", name)

    return opens
