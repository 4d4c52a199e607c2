"""The page of figures in a browser: reached, turned over, kept up to date; for everybody, and never wider than its window."""

from __future__ import annotations

import pytest

from monitor.console.texts import text
from tests.monitor.alarms.changes import change
from tests.monitor.desk.browser.test_access import faults, overflow
from tests.monitor.desk.browser.test_long_texts import LEAVES, OUTSIDE
from tests.monitor.desk.browser.visit import visiting
from tests.monitor.desk.lab import NOW
from tests.monitor.figures.counties import DAY, MAKER, facility, keep, laboratory, province, sample

MONTHS = "#sampling tbody tr"


async def test_it_is_reached_by_the_navigation_and_turned_over(desk, visit, language):
    province(desk.store, NOW)
    page = visit.page
    await visit.go("/")
    await page.click(f"nav >> text={text('nav.figures', language)}")
    await page.wait_for_selector(MONTHS)
    assert await page.text_content("nav [aria-current=page]") == text("nav.figures", language)
    assert await page.locator(MONTHS).count() == 13
    await page.click(f"#sampling nav >> text={text('figures.by.quarter', language)}")
    await page.wait_for_url("**/figures?by=quarter")
    assert await page.locator(MONTHS).count() == 9
    await page.click("#visits nav >> text=2025")
    await page.wait_for_url("**/figures?by=quarter&year=2025")
    assert await page.locator("#visits nav [aria-current]").text_content() == "2025"


async def test_it_follows_without_a_reload(desk, visit_en):
    keep(desk.store, facility(MAKER, "C", lines={"P-1": "drug"}), laboratory(sample(1, NOW)))
    await visit_en.go("/figures")
    assert await visit_en.page.locator(".missed").count() == 0
    await visit_en.remember()
    keep(desk.store, laboratory(sample(1, NOW), sample(2, NOW - DAY, passed=False)))
    desk.apply(change(1, start=NOW - 60_000))  # any step of the live stream refreshes it
    await visit_en.until("() => document.querySelector('.missed')?.innerText.includes('50.00 %')")
    assert await visit_en.still_here()


@pytest.mark.parametrize("viewport", [(1280, 760), (390, 844)], ids=["desk", "phone"])
async def test_it_breaks_no_rule_and_stays_in_the_window(desk, chromium, language, viewport, tmp_path):
    desk.user(language=language)
    province(desk.store, NOW)
    lines = {"P-1": "drug", "P-2": "device", "P-3": "cosmetics"}
    some = [sample(n, NOW - DAY, product=f"P-{n}", passed=False) for n in range(1, 5)]
    keep(desk.store, facility(MAKER, "C", lines=lines, scopes=[]), laboratory(*some, dropped=123_456))
    size = {"width": viewport[0], "height": viewport[1]}
    async with visiting(desk, chromium, language, viewport=size) as visit:
        await visit.sign_in()
        await visit.go("/figures")
        await visit.page.screenshot(path=tmp_path / "figures.png", full_page=True)
        assert await faults(visit.page) == []
        assert await overflow(visit.page) == 0
        assert [one for look in (LEAVES, OUTSIDE) for one in await visit.page.evaluate(look)] == []
        heads = await visit.page.locator("#sampling th[scope=col]").all_text_contents()
        names = "e => [...e.querySelectorAll('td')].map(x => x.dataset.name)"
        assert await visit.page.eval_on_selector(MONTHS, names) == heads[1:]
