"""The alarm page in a browser: the chart is drawn, with its limits, its span and its marks; the table says the same."""

from __future__ import annotations

import pytest

from monitor.console.texts import text
from tests.monitor.desk.browser.visit import visiting

PIXELS = """
() => {
  const canvas = document.querySelector("#chart canvas"), { width, height } = canvas;
  const data = canvas.getContext("2d").getImageData(0, 0, width, height).data;
  const wanted = (name) => {
    const probe = document.createElement("canvas").getContext("2d");
    probe.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    probe.fillRect(0, 0, 1, 1);
    return probe.getImageData(0, 0, 1, 1).data;
  };
  const near = (i, c) => data[i + 3] > 200 && [0, 1, 2].every((k) => Math.abs(data[i + k] - c[k]) < 40);
  const found = { width, height, rows: {}, count: {} };
  for (const name of ["--limit", "--late", "--ink"]) {
    const colour = wanted(name);
    found.count[name] = 0;
    found.rows[name] = [];
    for (let y = 0; y < height; y++) {
      let inRow = 0;
      for (let x = 0; x < width; x++) if (near(4 * (y * width + x), colour)) inRow++;
      found.count[name] += inRow;
      if (inRow > width * 0.35) found.rows[name].push(y);
    }
  }
  let shaded = 0;
  for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 20 && data[i + 3] < 90) shaded++;
  found.shaded = shaded / (width * height);
  return found;
}
"""


async def drawn(page):
    await page.wait_for_selector("#chart canvas")
    await page.wait_for_function(
        "() => { const c = document.querySelector('#chart canvas'); const d = c.getContext('2d')"
        ".getImageData(0, 0, c.width, c.height).data; return d.some((v) => v !== 0); }"
    )
    return await page.evaluate(PIXELS)


async def test_the_chart_shows_readings_limits_span_and_marks(desk, visit, language):
    page = visit.page
    await visit.go(f"/alarms/{desk.ids['CR1.T1']}")
    seen = await drawn(page)
    assert seen["width"] >= 700
    groups = [y for y in seen["rows"]["--limit"] if y - 1 not in seen["rows"]["--limit"]]
    assert len(groups) == 2  # the two limits, right across
    assert seen["count"]["--ink"] > 500  # the line itself
    assert seen["count"]["--late"] > 20  # the rings of late readings
    assert 0.15 < seen["shaded"] < 0.6  # the time that the alarm lasts
    assert await page.text_content("#chart .u-title") == "CR1.T1 · °C"
    assert text("legend.clears", language) in await page.inner_text(".legend")
    assert text("alarm.time", language) in await page.inner_text("#chart .u-legend")


async def test_limits_are_drawn_where_their_values_are(desk, visit_en):
    page = visit_en.page
    await visit_en.go(f"/alarms/{desk.ids['CR1.T1']}")
    seen = await drawn(page)
    high, low = (y for y in seen["rows"]["--limit"] if y - 1 not in seen["rows"]["--limit"])
    assert high < low
    (share,) = [(low - high) / seen["height"]]
    assert 0.2 < share < 0.6  # 6 of about 15 degrees


async def test_the_table_holds_the_readings_of_the_chart(desk, visit, language):
    page = visit.page
    await visit.go(f"/alarms/{desk.ids['CR1.T1']}")
    await page.click(f"summary >> text={text('alarm.chart.table', language)}")
    heads = await page.eval_on_selector_all("table.readings th", "e => e.map(x => [x.scope, x.textContent])")
    assert all(scope == "col" and words for scope, words in heads)
    assert await page.locator("table.readings tbody tr").count() == 101
    assert await page.locator("table.readings .beyond").first.is_visible()


async def test_a_chart_fits_a_window_that_becomes_narrow(desk, visit_en):
    page = visit_en.page
    await visit_en.go(f"/alarms/{desk.ids['CR1.T1']}")
    await drawn(page)
    await page.set_viewport_size({"width": 400, "height": 800})
    await visit_en.until("() => document.querySelector('#chart canvas').clientWidth < 400")
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_a_chart_that_cannot_be_fetched_leaves_the_page_in_order(desk, visit_en):
    page = visit_en.page
    await page.route("**/chart", lambda route: route.abort("connectionrefused"))
    # While requests are intercepted, Chromium now and then never hands the live stream on: what is asked of here is the chart.
    async with page.expect_event("requestfailed", lambda request: request.url.endswith("/chart")):
        await visit_en.go(f"/alarms/{desk.ids['CR1.T1']}", live=False)
    assert await page.locator("#chart canvas").count() == 0
    assert await page.inner_text("#why")
    await page.unroute("**/chart")
    visit_en.outage()


@pytest.mark.parametrize("tag", ["REF2", "TANK2.T", "main"])
async def test_an_alarm_without_readings_says_so(desk, visit_en, tag):
    await visit_en.go(f"/alarms/{desk.ids[tag]}")
    words = await visit_en.page.inner_text("main")
    assert ("There are no readings to show." in words) == (tag != "main")


async def test_contacts_can_be_called_from_the_page(desk, chromium):
    desk.user()
    async with visiting(desk, chromium) as visit:
        await visit.sign_in()
        await visit.go(f"/alarms/{desk.ids['CR1.T1']}")
        assert await visit.page.get_attribute("a[href^=tel]", "href") == "tel:+861055550100"
