"""For everybody: no rule of axe-core is broken, keys reach everything, 200 % zoom and narrow windows lose nothing."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.monitor.desk.browser.visit import visiting

VENDOR = Path(__file__).parent / "vendor"
AXE = VENDOR / "axe-4.14.1.min.js"
PAGES = (
    "/",
    "/alarms/{CR1.T1}",
    "/alarms/{REF2}",
    "/deadlines",
    "/figures",
    "/figures?by=year&year=2025",
    "/operators",
    "/password",
    "/nowhere",
    "/?status=any&stage=any&suppressed=any",
    "/?facility=NONE-1",
)
RUN = """
async () => {
  const found = await axe.run(document, { resultTypes: ["violations"] });
  return found.violations.map((v) => `${v.id}: ${v.help}: ` + v.nodes.slice(0, 3).map((n) => n.html.slice(0, 120)).join(" | "));
}
"""


def paths(desk):
    return [path.replace("{CR1.T1}", desk.ids["CR1.T1"]).replace("{REF2}", desk.ids["REF2"]) for path in PAGES]


async def faults(page):
    await page.evaluate(AXE.read_text(encoding="utf-8"))
    return await page.evaluate(RUN)


def expected(visit):
    """A page that is not there is an error to the browser, and meant to be one here."""
    visit.complaints = [text for text in visit.complaints if "status of 404" not in text]


def test_axe_is_the_file_that_its_readme_names():
    readme = (VENDOR / "README.md").read_text(encoding="utf-8")
    assert hashlib.sha256(AXE.read_bytes()).hexdigest() in readme
    assert all((VENDOR / name).is_file() for name in ("axe.LICENSE", "axe-third-party.LICENSE"))


async def test_no_page_breaks_a_rule_of_axe(desk, visit):
    for path in paths(desk):
        await visit.go(path, live=False)
        assert await faults(visit.page) == [], path
    for details in await visit.page.locator("details").all():
        await details.evaluate("e => { e.open = true; }")
    await visit.go(f"/alarms/{desk.ids['CR1.T1']}")
    await visit.page.wait_for_selector("#chart canvas")
    await visit.page.eval_on_selector_all("details", "e => e.forEach((d) => { d.open = true; })")
    await visit.page.keyboard.press("Tab")
    assert await faults(visit.page) == []
    expected(visit)


async def test_the_form_for_signing_in_breaks_none(desk, chromium, language):
    async with visiting(desk, chromium, language) as visit:
        await visit.go("/sign-in", live=False)
        assert await faults(visit.page) == []
        await visit.page.fill("[name=name]", "x")
        await visit.page.fill("[name=password]", "y")
        await visit.page.click("main button")
        await visit.page.wait_for_selector("[role=alert]")
        assert await faults(visit.page) == []
        visit.complaints = [text for text in visit.complaints if "status of 401" not in text]


async def test_axe_would_find_a_fault(visit_en):
    await visit_en.page.eval_on_selector("[name=facility]", "e => { e.parentNode.replaceWith(e); e.placeholder = ''; }")
    assert any("label" in fault for fault in await faults(visit_en.page))


@pytest.mark.parametrize(
    ("width", "scale"),
    [(1440, 1), (720, 2), (640, 2), (390, 3), (320, 4)],
    ids=["desk", "zoom 200 %", "small at 200 %", "telephone", "zoom 400 %"],
)
async def test_no_page_is_wider_than_its_window(desk, chromium, language, width, scale):
    desk.user(language=language)
    size = {"width": width, "height": 700}
    async with visiting(desk, chromium, language, viewport=size, device_scale_factor=scale) as visit:
        await visit.go("/sign-in", live=False)
        wide = [await overflow(visit.page)]
        await visit.sign_in()
        for path in paths(desk):
            await visit.go(path, live=False)
            if "CR1" in path:
                await visit.page.wait_for_selector("#chart canvas")
            wide.append(await overflow(visit.page))
        assert wide == [0] * len(wide)
        await visit.go("/")
        button = visit.page.locator("tr[data-alarm] button").first
        box = await button.bounding_box()
        assert 0 <= box["x"] <= box["x"] + box["width"] <= width
        assert min(box["width"], box["height"]) >= 24  # WCAG 2.2, target size
        expected(visit)


async def overflow(page):
    return await page.evaluate("Math.max(0, document.documentElement.scrollWidth - window.innerWidth)")


async def test_the_worst_alarm_and_its_button_are_in_view_without_scrolling(visit):
    row = await visit.page.locator("tr[data-alarm]").first.bounding_box()
    button = await visit.page.locator("tr[data-alarm] button").first.bounding_box()
    assert row["y"] + row["height"] < 300
    assert button["y"] < row["y"] + row["height"]
    shown = await visit.page.eval_on_selector_all(
        "tr[data-alarm]", "e => e.filter((r) => r.getBoundingClientRect().bottom <= innerHeight).length"
    )
    assert shown >= 12


async def test_every_stop_of_the_tab_key_can_be_seen(visit_en):
    page = visit_en.page
    stops = []
    for _ in range(40):
        await page.keyboard.press("Tab")
        stops.append(
            await page.evaluate(
                "() => { const e = document.activeElement, s = getComputedStyle(e), r = e.getBoundingClientRect();"
                "return [e.tagName, parseFloat(s.outlineWidth) * (s.outlineStyle !== 'none'), r.width * r.height,"
                "r.right > 0 && r.bottom > 0]; }"
            )
        )
    assert {tag for tag, *_ in stops} >= {"A", "BUTTON", "SELECT", "INPUT"}
    assert all(width >= 2 and area > 0 and inside for _, width, area, inside in stops), stops


async def test_the_first_stop_leads_past_the_frame(visit):
    await visit.go("/operators")
    await visit.page.keyboard.press("Tab")
    assert await visit.page.evaluate("document.activeElement.className") == "skip"
    await visit.page.keyboard.press("Enter")
    assert await visit.page.evaluate("document.activeElement.id") == "main"


async def test_only_an_unacknowledged_red_blinks_and_nothing_for_who_wants_no_motion(desk, chromium, visit_en):
    moving = "e => e.filter((x) => getComputedStyle(x).animationName !== 'none').map((x) => x.closest('tr')?.className ?? 'elsewhere')"
    found = await visit_en.page.eval_on_selector_all("*", moving)
    assert len(found) == 2
    assert all("red unacknowledged" in each for each in found)
    async with visiting(desk, chromium, "en", reduced_motion="reduce") as calm:
        await calm.sign_in()
        assert await calm.page.eval_on_selector_all("*", moving) == []


async def test_figures_stand_under_each_other(visit):
    variant = "e => [...new Set(e.map((x) => getComputedStyle(x).fontVariantNumeric))]"
    for place in ("td.num", ".left", ".tally b", "#untold b"):
        assert await visit.page.eval_on_selector_all(place, variant) == ["tabular-nums"], place
