"""The page of what is due in a browser: filters without a keyboard's help, rows that follow the list, nothing that leaves the window."""

from __future__ import annotations

import pytest

from monitor.accounts import assignments
from monitor.console.texts import text
from tests.monitor.alarms.changes import change
from tests.monitor.deadlines.listed import DUE, LATE, SOON, keep, told
from tests.monitor.desk.browser.test_long_texts import LEAVES, OUTSIDE
from tests.monitor.desk.browser.visit import visiting
from tests.monitor.desk.lab import NOW
from tests.rules.duelogs import DAY, HOUR

CASES = "e => e.map(x => [...x.querySelectorAll('[data-name] .sub .id')].at(-1).textContent)"


async def cases(visit):
    return await visit.page.eval_on_selector_all("table.due tbody tr", CASES)


async def test_it_is_reached_by_the_navigation_and_filtered_by_the_form(desk, visit, language):
    page = visit.page
    with desk.store.writing() as session:
        assignments.assign(session, "li.lei", [SOON], "op", NOW)
    await visit.go("/")
    await page.click(f"nav >> text={text('nav.deadlines', language)}")
    assert await cases(visit) == ["C-LATE", "C-SOON", "C-DUE", "V-1"]
    assert await page.text_content("nav [aria-current]") == text("nav.deadlines", language)
    await page.select_option("[name=state]", "late")
    await page.click(".filters button")
    assert await cases(visit) == ["C-LATE"]
    await page.click(".filters a.clear")
    await page.select_option("[name=inspector]", label=text("deadlines.mine", language))
    await page.click(".filters button")
    assert await cases(visit) == ["C-SOON"]
    await page.click(f"table.due >> text={text('deadlines.alarms', language)}")
    await page.wait_for_url(f"**/?facility={SOON}")


async def test_rows_follow_the_list_without_a_reload(desk, visit_en):
    await visit_en.go("/deadlines")
    assert await cases(visit_en) == ["C-LATE", "C-SOON", "C-DUE", "V-1"]
    await visit_en.remember()
    keep(desk.store, told(LATE, 30, "C-LATE").investigation(25 * DAY, "C-LATE").death(26 * DAY, "C-NEW"))
    desk.apply(change(1, start=NOW - 60_000))  # any step of the live stream refreshes the list
    await visit_en.until("() => document.querySelector('table.due').innerText.includes('C-NEW')")
    assert await cases(visit_en) == ["C-SOON", "C-NEW", "C-DUE", "V-1"]
    assert await visit_en.still_here()


@pytest.mark.parametrize("viewport", [(1280, 760), (390, 844)], ids=["desk", "phone"])
async def test_long_words_stay_in_the_window(desk, chromium, language, viewport, tmp_path):
    desk.user(language=language)
    log = told(DUE, 3, "C" * 128).visit(12 * HOUR, "V" * 128, handed_over_at=0)
    keep(desk.store, log)
    size = {"width": viewport[0], "height": viewport[1]}
    async with visiting(desk, chromium, language, viewport=size) as visit:
        await visit.sign_in()
        await visit.go("/deadlines")
        await visit.page.screenshot(path=tmp_path / "deadlines.png", full_page=True)
        faults = [one for look in (LEAVES, OUTSIDE) for one in await visit.page.evaluate(look)]
        assert faults == []
        heads = await visit.page.locator("table.due").locator("th").all_text_contents()
        names = "e => [...e.querySelectorAll('td')].map(x => x.dataset.name)"
        assert await visit.page.eval_on_selector("table.due tbody tr", names) == heads
