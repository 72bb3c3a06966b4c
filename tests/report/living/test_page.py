"""The living page in headless Chromium: drag, turn, zoom, time, layers, keys, fall-backs; laptop and phone."""

import shutil

import numpy as np
import pytest
from helpers.browsers import OVERLAPS, SIZES, require_browser, wait
from helpers.report_scans import HOSTILE

require_browser()

pytestmark = pytest.mark.browser

BLOCKS = ("main > *", ".controls > *", ".view", ".view > *", "h2 > *", ".chips > *", "header > *")
PIXELS = """
const data = living.views[0].canvas.getContext("2d").getImageData(0, 0, 200, 200).data;
return data.reduce((sum, value) => (sum * 31 + value) % 2147483647, 0);"""
#: The point where the planes meet, the first plane's middle, directions and side, and the time.
SHOWN = "const { state } = living, [p] = state.planes; return [state.point, p.normal, p.field, state.time, p.middle];"
DRAW = "return living.views.every((view) => view.picture().level >= 0)"


@pytest.fixture(scope="module")
def page(laptop, living_scan):
    """The page open in a browser of laptop size, for tests that put things back as they were."""
    laptop.get(f"{(living_scan / 'view.html').as_uri()}#cpu")
    wait(lambda: laptop.execute_script("return !!window.living?.views"))
    return laptop


def shown(page):
    point, normal, field, time, middle = page.execute_script(SHOWN)
    return np.array(point), np.array(normal), field, time, np.array(middle)


@pytest.fixture
def fresh(page):
    """The page as it was opened, drawn."""
    page.execute_script("living.state.reset(); living.state.at(0.25)")
    wait(lambda: page.execute_script(DRAW))
    return page


def drag(page, canvas, start, by, shift=False):
    """Drags from a place, given from the canvas's middle in pixels."""
    from selenium.webdriver import ActionChains, Keys

    actions = ActionChains(page, duration=20)
    actions.key_down(Keys.SHIFT) if shift else None
    actions.move_to_element_with_offset(page.find_element("id", canvas), *start).click_and_hold().move_by_offset(*by)
    actions.release()
    actions.key_up(Keys.SHIFT) if shift else None
    actions.perform()


def test_a_drag_moves_the_cross_and_the_other_planes_with_it(fresh):
    before = shown(fresh)[0]
    old = fresh.execute_script("return living.state.planes.map((plane) => plane.key)")
    drag(fresh, "plane0", (-50, -35), (15, 10))
    point, normal, *_ = shown(fresh)
    wanted = fresh.execute_script(
        "const p = living.state.planes[0], s = p.field / living.views[0].canvas.clientWidth;"
        "const [, b] = [0, living.views[0].canvas.getBoundingClientRect()];"
        "return p.at(...[b.width / 2 - 35, b.height / 2 - 25].map((v) => v * 257 / b.width - 0.5))"
    )
    assert np.linalg.norm(point - wanted) < 1.0 < np.linalg.norm(point - before)
    new = fresh.execute_script("return living.state.planes.map((plane) => plane.key)")
    assert new[0] == old[0] and new[1] != old[1] and new[2] != old[2]
    middles = fresh.execute_script("return living.state.planes.map((p) => [p.middle, p.normal])")
    assert all(abs(np.dot(np.subtract(point, middle), n)) < 1e-6 for middle, n in middles)  # all meet in it
    assert fresh.find_element("id", "cross").text.startswith("At the cross: ")


def test_shift_and_drag_turns_and_the_wheel_zooms(fresh):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.actions.wheel_input import ScrollOrigin

    point, normal, field, *_ = shown(fresh)
    drag(fresh, "plane0", (-60, -90), (0, 40), shift=True)
    turned = shown(fresh)
    assert np.allclose(turned[0], point) and 0.05 < np.arccos(turned[1] @ normal) < 1.0
    origin = ScrollOrigin.from_element(fresh.find_element("id", "plane0"))
    ActionChains(fresh, duration=20).scroll_from_origin(origin, 0, -100).perform()
    wait(lambda: shown(fresh)[2] < 0.9 * field)
    assert fresh.execute_script("return scrollY") == 0
    fresh.find_element("id", "reset").click()
    assert np.allclose(shown(fresh)[1], normal) and shown(fresh)[2] == field


def test_keys_move_turn_and_step_through_time(fresh):
    from selenium.webdriver import Keys

    point, normal, *_ = shown(fresh)
    canvas = fresh.find_element("id", "plane0")
    canvas.send_keys(Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    assert (shown(fresh)[0] - point) @ normal == pytest.approx(2, abs=1e-4)
    canvas.send_keys(Keys.SHIFT + Keys.ARROW_UP)
    assert np.arccos(shown(fresh)[1] @ normal) == pytest.approx(np.pi / 36, abs=1e-3)
    fresh.find_element("id", "plane0").send_keys(Keys.NULL, Keys.ARROW_RIGHT)
    assert shown(fresh)[3] == 0.5
    assert fresh.find_element("id", "when").text.startswith("50% of the cycle")


def test_the_beat_plays_and_volumes_follow(fresh):
    volume = "return document.querySelector('[data-volume=LV]').textContent"
    first, seen = fresh.execute_script(volume), set()
    assert "mL (" in first
    fresh.find_element("id", "play").click()
    wait(lambda: seen.add(fresh.execute_script("return living.state.time")) or len(seen) > 2)
    fresh.find_element("id", "play").click()
    still = fresh.execute_script("return living.state.time")
    fresh.execute_script("living.state.at(0.5)")
    assert fresh.execute_script(volume) != first and still in {0, 0.25, 0.5, 0.75}


@pytest.fixture
def still(fresh):
    """The page with its pictures as they are, none getting sharper."""
    fresh.execute_script("living.next = living.refiner.next; living.refiner.next = () => null")
    wait(lambda: not fresh.execute_script("return living.refiner.running"))
    yield fresh
    fresh.execute_script("living.refiner.next = living.next")


def test_layers_change_the_picture_and_back(still):
    before = still.execute_script(PIXELS)
    for name in ("contours", "classes", "doubt", "uncertainty", "lines"):
        button = still.find_element("css selector", f"[data-layer={name}]")
        pressed = button.get_attribute("aria-pressed")
        button.click()
        assert still.execute_script(PIXELS) != before and button.get_attribute("aria-pressed") != pressed
        button.click()
        assert still.execute_script(PIXELS) == before
    image = "const s = document.getElementById('image'); s.value = arguments[0]; s.onchange({ target: s })"
    still.execute_script(image, "scan")
    grey = still.execute_script(
        "const v = living.views[0], s = v.scan, f = s.frame(living.state.time);"
        "return [s.at(s.start[0] + 3, s.start[1] + 4, s.numbers[1], f), s.at(0, 0, 99, f)]"
    )
    assert grey[0] is not None and grey[1] is None and still.execute_script(PIXELS) != before
    still.execute_script(image, "function")


def test_two_clicks_measure(fresh):
    fresh.find_element("id", "measure").click()
    for x in (-60, 40):
        drag(fresh, "plane0", (x, 30), (0, 0))
    length, wide = fresh.execute_script("return [living.views[0].length, living.views[0].canvas.clientWidth]")
    assert float(length.split()[0]) == pytest.approx(100 * shown(fresh)[2] / wide, abs=0.8)
    fresh.find_element("id", "measure").click()


def test_a_plane_cuts_the_surface(fresh):
    pixels = (
        "const data = document.getElementById('surface').getContext('2d').getImageData(0, 0, 420, 420).data;"
        "let count = 0; for (let i = 3; i < data.length; i += 4) count += data[i] > 0; return count;"
    )
    fresh.execute_script(
        "document.getElementById('cut').value = -1; document.querySelectorAll('#chips button')[1].click()"
    )
    fresh.find_element("id", "turn").click()
    wait(lambda: fresh.execute_script(pixels) > 500)
    whole = fresh.execute_script(pixels)
    fresh.execute_script("document.getElementById('cut').value = 0")
    wait(lambda: fresh.execute_script(pixels) < 0.9 * whole)
    assert 0 < fresh.execute_script(pixels) < 0.9 * whole
    fresh.find_element("id", "turn").click()


def test_coarse_first_then_sharp_and_nothing_is_fetched(fresh, living_scan, tmp_path):
    alone = shutil.copy(living_scan / "view.html", tmp_path / "alone.html")
    fresh.get_log("browser")
    fresh.get(f"file://{alone}#cpu")
    wait(lambda: fresh.execute_script("return !!window.living?.views"))
    seen = []
    levels = "return living.views.map((view) => view.shown?.level ?? -1)"
    wait(lambda: seen.append(min(fresh.execute_script(levels))) or seen[-1] >= 1)
    assert seen == sorted(seen)
    names = "return performance.getEntriesByType('resource').map((one) => one.name)"
    assert not [one for one in fresh.execute_script(names) if not one.startswith(("blob:", "data:"))]
    assert [one for one in fresh.get_log("browser") if one["source"] != "rendering"] == []
    assert alone.stat().st_size < 3e6


NO_CARD = """
const usual = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
  return kind === "webgl2" ? null : usual.call(this, kind, ...rest);
};
"""


def test_without_a_graphics_card_the_processor_computes(laptop, living_scan, opened):
    script = laptop.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": NO_CARD})
    find = opened(laptop, living_scan / "view.html", "gpu")
    laptop.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)
    assert find("engine").text == "computed by the processor (WebAssembly): this browser has no WebGL2."
    wait(lambda: laptop.execute_script(DRAW))


def test_a_card_that_is_lost_is_replaced(laptop, living_scan, opened):
    find = opened(laptop, living_scan / "view.html", "gpu")
    assert find("engine").text == "computed by the graphics card (WebGL2)."
    laptop.execute_script(
        "living.evaluator.backend.gl.getExtension('WEBGL_lose_context').loseContext(); living.state.at(0.6)"
    )
    wait(lambda: find("engine").text == "computed by the processor (WebAssembly): the graphics card was lost.")
    wait(lambda: laptop.execute_script(DRAW))


@pytest.fixture
def phone(laptop):
    """The same browser, as a phone."""
    width, height = SIZES["phone"]
    metrics = {"width": width, "height": height, "deviceScaleFactor": 2, "mobile": True}
    laptop.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    laptop.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True, "maxTouchPoints": 2})
    yield laptop
    laptop.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
    laptop.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_phone_and_a_hostile_name(phone, living_scan, opened):
    opened(phone, living_scan / "view.html")
    assert phone.find_element("tag name", "h1").text == HOSTILE and phone.title == f"{HOSTILE} – NISF view"
    inner, scroll = phone.execute_script("return [innerWidth, document.documentElement.scrollWidth]")
    assert inner == 390 >= scroll
    assert phone.execute_script(OVERLAPS, BLOCKS) == []
    assert min(phone.execute_script("return living.views.map((view) => view.canvas.clientWidth)")) > 330


def touch(page, kind, *places):
    """A touch of fingers at places [x, y] of the window."""
    points = [{"x": float(x), "y": float(y), "id": n} for n, (x, y) in enumerate(places)]
    page.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points})


def test_fingers_swipe_pinch_and_scroll(phone, living_scan, opened):
    find = opened(phone, living_scan / "view.html")
    phone.execute_script("document.getElementById('plane0').scrollIntoView({ block: 'center' })")
    box = "const b = arguments[0].getBoundingClientRect(); return [b.left, b.top, b.width];"
    left, top, wide = phone.execute_script(box, find("plane0"))
    scrolled = phone.execute_script("return scrollY")
    point, normal, field, *_ = shown(phone)
    touch(phone, "Start", (left + 40, top + 60))
    for step in range(1, 5):
        touch(phone, "Move", (left + 40 + 10 * step, top + 60 + 30 * step))
    touch(phone, "End")
    moved = shown(phone)
    under = "const [i, j] = living.state.planes[0].where(living.state.point); return [i + 0.5, j + 0.5];"
    found = np.array(phone.execute_script(under)) * wide / 257
    assert np.allclose(found, (80, 180), atol=1.5) and not np.allclose(moved[0], point, atol=5)
    touch(phone, "Start", (left + 100, top + 90), (left + 150, top + 90))
    touch(phone, "Move", (left + 75, top + 90), (left + 175, top + 90))
    touch(phone, "End")
    assert shown(phone)[2] == pytest.approx(field / 2, rel=0.03) and np.allclose(shown(phone)[0], moved[0])
    assert phone.execute_script("return scrollY") == scrolled  # a plane takes the finger, the page about it scrolls
    touch(phone, "Start", (left + 30, top - 20))
    for step in range(1, 6):
        touch(phone, "Move", (left + 30, top - 20 - 20 * step))
    touch(phone, "End")
    wait(lambda: phone.execute_script("return scrollY") > scrolled + 30)


def test_one_finger_tilts_while_tilt_is_on(phone, living_scan, opened):
    from selenium.webdriver import Keys

    find = opened(phone, living_scan / "view.html")
    box = "const b = arguments[0].getBoundingClientRect(); return [b.left + b.width / 2, b.top + b.height / 2];"
    phone.execute_script("document.getElementById('tilt').scrollIntoView({ block: 'start' })")
    touch(phone, "Start", phone.execute_script(box, find("tilt")))
    touch(phone, "End")
    wait(lambda: find("tilt").get_attribute("aria-pressed") == "true")
    phone.execute_script("document.getElementById('plane0').scrollIntoView({ block: 'center' })")
    point, normal, *_ = shown(phone)
    x, y = phone.execute_script(box, find("plane0"))
    touch(phone, "Start", (x - 70, y - 100))
    for step in range(1, 5):
        touch(phone, "Move", (x - 70, y - 100 + 10 * step))
    touch(phone, "End")
    tilted = shown(phone)
    assert np.allclose(tilted[0], point) and np.arccos(tilted[1] @ normal) == pytest.approx(40 * 0.008, abs=0.02)
    find("plane0").send_keys(Keys.ARROW_DOWN)  # as with shift, for those who cannot hold two keys
    assert np.arccos(shown(phone)[1] @ normal) == pytest.approx(40 * 0.008 + np.pi / 36, abs=0.02)
    find("measure").click()
    assert find("tilt").get_attribute("aria-pressed") == "false"
