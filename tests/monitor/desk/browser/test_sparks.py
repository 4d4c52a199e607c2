"""The pictures of the queue's rows in a browser: drawn where there are readings, said in words, and renewed with the row."""

from __future__ import annotations

import pytest

from monitor.console.texts import text
from tests.monitor.desk.browser.visit import visiting

SEEN = """
svg => {
  const box = svg.getBoundingClientRect(), line = svg.querySelector(".line").getBBox();
  return { width: box.width, height: box.height, wide: line.width, high: line.height,
           limit: getComputedStyle(svg.querySelector(".limit")).stroke, label: svg.getAttribute("aria-label") };
}
"""


@pytest.mark.parametrize("viewport", [(1440, 900), (390, 844)], ids=["desk", "phone"])
async def test_a_row_shows_its_readings_and_says_them_and_one_without_shows_nothing(
    reading, chromium, language, viewport
):
    reading.user(language=language)
    size = {"width": viewport[0], "height": viewport[1]}
    async with visiting(reading, chromium, language, viewport=size) as visit:
        await visit.sign_in()
        await visit.page.wait_for_selector("svg.spark")
        row = f"#a-{reading.ids['CR1.T1']} "
        seen = await visit.page.eval_on_selector(row + "svg.spark", SEEN)
        assert seen["width"] > 80
        assert seen["height"] > 25
        assert seen["wide"] > 80  # of 120: two hours of readings, but for the newest minutes
        assert seen["high"] > 10
        assert seen["limit"] == "rgb(138, 29, 34)"
        assert text("spark.high", language, value="8 °C") in seen["label"]
        pictures = visit.page.get_by_role("img", name="CR1.T1")
        assert await pictures.count() == 1
        assert await visit.page.locator(f"#a-{reading.ids['CR4.T2']} .c-trend svg").count() == 0
        assert await visit.page.evaluate("document.documentElement.scrollWidth") <= viewport[0]
