"""One long text without a space, on a desk and on a phone: nothing leaves the window, no column becomes a thread."""

from __future__ import annotations

import pytest

from monitor.alarms import operators
from monitor.console.texts import text
from monitor.register.store import import_register
from rules.models import Bilingual
from tests.monitor.alarms.test_rejections import refused, unread
from tests.monitor.desk import seeds
from tests.monitor.desk.browser.visit import visiting
from tests.monitor.desk.lab import NOW
from tests.monitor.register.samples import facility, register

LONG = "Unbroken" * 37 + "Name"
"""300 letters."""
NARROWEST = 60
"""Pixels: five characters and the cell's padding."""
LEAVES = """
() => [document.documentElement, document.body, ...document.querySelectorAll("main, section, header.alarm, .wide, td, th")]
  .filter(e => e.scrollWidth > e.clientWidth && e.clientWidth > 1)
  .map(e => `${e.tagName}.${e.className}: ${e.scrollWidth} in ${e.clientWidth}`)
"""
OUTSIDE = """
() => [...document.querySelectorAll("main *")].map(e => [e, e.getBoundingClientRect()])
  .filter(([e, box]) => box.width > 1 && (box.left < 0 || box.right > innerWidth + 0.5) && !e.closest(".unseen, #chart"))
  .map(([e, box]) => `${e.tagName}.${e.className}: ${box.left} to ${box.right}`)
"""
WIDTHS = "() => [...document.querySelectorAll('tbody td:not(.c-act)')].map(e => [e.innerText, e.getBoundingClientRect().width])"


@pytest.fixture
def long_texts(desk):
    """The seed's desk, with a firm whose every text is one word of 300 letters, and with foreign bytes."""
    named = facility("BJ-LNG-0001") | {
        "name": {"zh": LONG, "en": LONG},
        "contacts": [{"name": LONG[:80], "role": LONG[:80], "phone": "+86 10 5555", "duty": LONG[:80]}],
    }
    with desk.store.writing() as session:
        import_register(session, register(named), "u", NOW)
        operators.opened(session, "stream-gap", LONG[:100], LONG, NOW)
    raised = seeds.Firm("BJ-LNG-0001").change(
        "raised", "cold-chain.store-out", {"tag": "T1"}, "red", NOW - 60_000, (LONG, LONG)
    )
    raised = raised.model_copy(update={"message": Bilingual(zh=LONG, en=LONG), "evidence": seeds.WHY})
    desk.apply(raised)
    desk.desk.rejections.note([unread(sample=b"\xff" * 200).model_copy(update={"detail": LONG}), refused()])
    desk.long = raised.alarm
    return desk


@pytest.mark.parametrize("viewport", [(1280, 760), (390, 844)], ids=["desk", "phone"])
async def test_one_long_word_leaves_everything_in_the_window(long_texts, chromium, language, viewport, tmp_path):
    long_texts.user(language=language)
    size = {"width": viewport[0], "height": viewport[1]}
    async with visiting(long_texts, chromium, language, viewport=size) as visit:
        await visit.sign_in()
        faults = []
        for path in ("/", f"/alarms/{long_texts.long}", "/operators"):
            await visit.go(path)
            assert LONG[:100] in await visit.page.inner_text("main")
            await visit.page.screenshot(path=tmp_path / f"{path[1:7] or 'queue'}.png", full_page=True)
            faults += [f"{path}: {each}" for look in (LEAVES, OUTSIDE) for each in await visit.page.evaluate(look)]
            cells = await visit.page.evaluate(WIDTHS)
            faults += [f"{path}: {cell}" for cell in cells if len(cell[0]) > 5 and cell[1] < NARROWEST]
        assert faults == []


@pytest.mark.usefixtures("long_texts")
@pytest.mark.parametrize("width", [1280, 1366, 1440])
async def test_a_queue_with_pictures_has_room_for_every_button(reading, chromium, language, width):
    reading.user(language=language)
    async with visiting(reading, chromium, language, viewport={"width": width, "height": 760}) as visit:
        await visit.sign_in()
        await visit.page.wait_for_selector("svg.spark")
        assert [each for look in (LEAVES, OUTSIDE) for each in await visit.page.evaluate(look)] == []


async def test_a_phone_says_what_each_text_of_a_table_is(long_texts, chromium, language):
    """The heads of columns are not shown there: each cell bears its own."""
    long_texts.user(language=language)
    async with visiting(long_texts, chromium, language, viewport={"width": 390, "height": 844}) as visit:
        await visit.sign_in()
        for path, table in (("/operators", "#rejected"), (f"/alarms/{long_texts.long}", "#why table")):
            await visit.go(path)
            heads = await visit.page.locator(f"{table} >> nth=0").locator("th").all_text_contents()
            shown = "e => [...e.querySelectorAll('td')].map(x => getComputedStyle(x, '::before').content)"
            said = await visit.page.eval_on_selector(f"{table} tbody tr", shown)
            assert said == [f'"{head}"' for head in heads]
        assert text("alarm.condition", language) in heads
