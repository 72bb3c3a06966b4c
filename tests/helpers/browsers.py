"""Headless Chromium for the tests of pages."""

import os
import shutil
import time

import pytest

PROGRAMS = [shutil.which(name) for name in ("chromium", "chromedriver")]
MISSING = "no browser: apt-get install chromium chromium-driver"
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
FLAGS += ("--disable-component-update", "--disable-sync", "--hide-scrollbars", "--enable-unsafe-swiftshader")
SIZES = {"laptop": (1366, 768), "phone": (390, 844)}
#: Pairs of blocks of one of some groups (selectors) of which one covers a part of the other.
OVERLAPS = """
const found = [], name = (one) => one.outerHTML.slice(0, 80);
for (const group of arguments[0]) {
  const boxes = [...document.querySelectorAll(group)].map((one) => [one, one.getBoundingClientRect()])
    .filter(([, box]) => box.width && box.height);
  boxes.forEach(([one, a], i) => boxes.slice(i + 1).forEach(([other, b]) => {
    const x = Math.min(a.right, b.right) - Math.max(a.left, b.left);
    const y = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    if (x > 1 && y > 1 && !one.contains(other) && !other.contains(one)) found.push([group, name(one), name(other)]);
  }));
}
return found;"""


def require_browser():
    """Leaves a test module out where there is no browser; in CI its tests fail."""
    if not all(PROGRAMS) and not os.environ.get("CI"):
        pytest.skip(MISSING, allow_module_level=True)


def chromium(size, profile):
    """Chromium at one of ``SIZES``, with an empty profile folder of its own; to be quit."""
    if not all(PROGRAMS):
        pytest.fail(MISSING)
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = PROGRAMS[0]
    width, height = SIZES[size]
    for flag in (*FLAGS, f"--user-data-dir={profile}", f"--window-size={width},{height}"):
        options.add_argument(flag)
    if size == "phone":
        metrics = {"width": width, "height": height, "pixelRatio": 2.0, "touch": True}
        options.add_experimental_option("mobileEmulation", {"deviceMetrics": metrics})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options, webdriver.ChromeService(PROGRAMS[1]))


def wait(condition, seconds=20):
    """Until a condition holds; machines that are busy need their time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)
