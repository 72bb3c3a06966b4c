"""The report pages in a real headless Chromium: they play, turn, sort, hold at laptop and phone width."""

import shutil
import time

import pytest
from helpers.browsers import OVERLAPS, SIZES, chromium, require_browser, wait
from helpers.report_scans import HOSTILE, measured

from nisf.report.write import report

require_browser()

pytestmark = pytest.mark.browser

#: Blocks beside or below each other: none of a group may cover a part of another.
BLOCKS = (
    "main > header, main > section, main > .grid > section, main > footer",
    ".controls > *",
    ".key > *",
    ".chips > *",
)
BLOCKS += (".viewer canvas, .controls", "header > *", ".tools > *", ".scans tr:not([hidden]) > *", ".measures tr > *")
#: Two numbers of a canvas, read from a small copy: one that changes with its pixels, and how many are reddish.
PIXELS = """
const small = document.createElement("canvas"), size = small.width = small.height = 240;
const pen = small.getContext("2d", { willReadFrequently: true });
pen.imageSmoothingQuality = "high";
pen.drawImage(document.getElementById(arguments[0]), 0, 0, size, size);
const data = pen.getImageData(0, 0, size, size).data;
let sum = 0, red = 0;
for (let i = 0; i < data.length; i += 4) {
  for (let c = 0; c < 4; c++) sum = (sum * 31 + data[i + c]) % 2147483647;
  red += data[i] > data[i + 1] + 40 && data[i] > data[i + 2] + 40;
}
return [sum, red];"""


@pytest.fixture(scope="module")
def pages(phantom_result, tmp_path_factory):
    out = tmp_path_factory.mktemp("browser") / "out"
    for name in ("one", "two"):
        shutil.copytree(phantom_result, out / name)
    content = measured(out / "one", sex="F")
    low = [{**one, "value": one["value"] / 3} for one in content["measures"]]
    flags = [{"name": HOSTILE, "text": HOSTILE, "severe": True}]
    quality = {"predicted_dice": 0.5, "trusted": False, "flags": flags, "numbers": {}}
    measured(out / "two", subject=HOSTILE, quality=quality, measures=low)
    assert not any(entry.error for entry in report(out))
    return out


@pytest.fixture(scope="module", params=SIZES)
def browser(request, tmp_path_factory):
    """Chromium at one of the sizes, with an empty profile of its own."""
    driver = chromium(request.param, tmp_path_factory.mktemp("profile"))
    yield driver
    driver.quit()


def opened(browser, path):
    browser.get(path.as_uri())
    browser.get_log("browser")
    browser.refresh()
    return lambda name: browser.find_element("id", name)


def pixels(browser, canvas):
    return browser.execute_script(PIXELS, canvas)[0]


def red(browser, canvas):
    return browser.execute_script(PIXELS, canvas)[1]


def paused(browser, find, canvas="view0"):
    """The cine stopped at its first frame, everything drawn."""
    wait(lambda: browser.execute_script("return page.data.views.length > 0"))
    browser.execute_script("arguments[0].scrollIntoView()", find("play"))
    if find("play").get_attribute("aria-pressed") == "true":
        find("play").click()
    browser.execute_script("page.find('frame').value = 0; page.find('frame').oninput()")
    wait(lambda: browser.execute_script("return [...document.images].every((i) => i.complete)"))
    before = None
    while before != (before := pixels(browser, canvas)):
        time.sleep(0.3)
    return before


def test_the_cine_plays_and_stops(browser, pages):
    find = opened(browser, pages / "one" / "report.html")
    still = paused(browser, find)
    assert find("where").text.startswith("frame 1 of 4")
    find("play").click()
    seen = set()
    wait(lambda: seen.add(find("where").text.split("·")[0]) or len(seen) > 2)
    find("play").click()
    browser.execute_script("page.find('frame').value = 2; page.find('frame').oninput()")
    assert find("where").text.startswith("frame 3 of 4")
    wait(lambda: pixels(browser, "view0") != still)
    for plane in ("view1", "view2"):
        late = pixels(browser, plane)
        browser.execute_script("page.find('frame').value = 0; page.find('frame').oninput()")
        wait(lambda: pixels(browser, plane) != late)
        browser.execute_script("page.find('frame').value = 2; page.find('frame').oninput()")
    assert browser.get_log("browser") == []


def test_contours_are_switched_and_slices_chosen(browser, pages):
    find = opened(browser, pages / "one" / "report.html")
    outlined = paused(browser, find)
    many = red(browser, "view0")
    find("contours").click()
    wait(lambda: pixels(browser, "view0") != outlined)
    assert red(browser, "view0") == 0 and many > 50
    find("contours").click()
    wait(lambda: pixels(browser, "view0") == outlined)
    browser.execute_script("page.find('slice').value = 2; page.find('slice').onchange({target: page.find('slice')})")
    wait(lambda: pixels(browser, "view0") != outlined)
    browser.execute_script("page.find('view0').click()")
    assert find("slice").get_attribute("value") == "-1"
    wait(lambda: pixels(browser, "view0") == outlined)


def test_the_line_in_the_curves_follows(browser, pages):
    find = opened(browser, pages / "one" / "report.html")
    paused(browser, find)
    place = "return Number(document.querySelector('svg.curves .playhead').getAttribute('x1'))"
    first = browser.execute_script(place)
    browser.execute_script("page.find('frame').value = 2; page.find('frame').oninput()")
    width = browser.execute_script("return Number(document.querySelector('svg.curves').dataset.width)")
    assert browser.execute_script(place) - first == pytest.approx(0.5 * width, abs=1)


def test_the_surface_turns_by_itself_and_by_hand(browser, pages):
    from selenium.webdriver import ActionChains

    find = opened(browser, pages / "one" / "report.html")
    paused(browser, find)
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", find("surface"))
    before = pixels(browser, "surface")
    assert browser.execute_script(PIXELS, "surface") != [0, 0]
    wait(lambda: pixels(browser, "surface") != before)
    find("turn").click()
    time.sleep(0.5)
    still = pixels(browser, "surface")
    time.sleep(0.5)
    assert pixels(browser, "surface") == still
    ActionChains(browser).click_and_hold(find("surface")).move_by_offset(40, 10).release().perform()
    wait(lambda: pixels(browser, "surface") != still)
    dragged = pixels(browser, "surface")
    find("chips").find_elements("tag name", "button")[0].click()
    wait(lambda: pixels(browser, "surface") != dragged)


@pytest.mark.parametrize("name", ["one/report.html", "two/report.html", "index.html"])
def test_the_layout_holds(browser, pages, name):
    opened(browser, pages / name)
    time.sleep(1)
    inner, scroll = browser.execute_script("return [innerWidth, document.documentElement.scrollWidth]")
    assert inner in (1366, 390) and scroll <= inner
    assert browser.execute_script(OVERLAPS, BLOCKS) == []
    wide = "return [...document.querySelectorAll('main > .card, #view0, #surface')].map((one) => one.clientWidth)"
    if inner == 390:  # one block below the other, each nearly as wide as the page
        assert min(browser.execute_script(wide)) > 310
    words = "return [...document.querySelectorAll('svg text')].map((one) => one.getBoundingClientRect().height)"
    assert min(browser.execute_script(words), default=99) > 9  # readable at phone width too
    assert browser.get_log("browser") == []


def test_a_hostile_name_is_shown_and_does_nothing(browser, pages):
    opened(browser, pages / "two" / "report.html")
    assert browser.find_element("tag name", "h1").text == HOSTILE
    assert HOSTILE in browser.find_element("id", "quality").text
    assert browser.title == f"{HOSTILE} – NISF report"
    opened(browser, pages / "index.html")
    assert HOSTILE in browser.find_element("id", "scans").text and "owned" not in browser.title


def test_the_index_sorts_and_filters_and_leads_to_the_pages(browser, pages):
    find = opened(browser, pages / "index.html")

    def names():
        return [link.text for link in find("scans").find_elements("css selector", "tbody a") if link.is_displayed()]

    assert names() == ["two", "one"]  # the one that is not to be trusted first
    heads = find("scans").find_elements("css selector", "th[data-key=LVEDV] button")
    if heads[0].is_displayed():
        heads[0].click()
        assert names() == ["two", "one"]
        heads[0].click()
        assert names() == ["one", "two"]
    else:
        browser.execute_script("const s = document.getElementById('sort'); s.value = 'name'; s.onchange()")
        assert names() == ["one", "two"]
    find("filter").send_keys("not trusted")
    assert names() == ["two"]
    find("scans").find_element("link text", "two").click()
    assert browser.find_element("tag name", "h1").text == HOSTILE
    browser.find_element("link text", "all scans").click()
    assert browser.current_url.endswith("/index.html")
