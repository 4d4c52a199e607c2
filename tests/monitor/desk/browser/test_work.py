"""A supervisor's work in a real browser: sign in, watch, acknowledge by button and by key, read an alarm."""

from __future__ import annotations

from monitor.console.texts import text
from tests.monitor.desk import seeds
from tests.monitor.desk.browser.visit import visiting
from tests.monitor.desk.lab import NOW

NEW = "four unrelated quiet words"


def next_alarm(desk, tag="NEW.T1", severity="red", minutes=1):
    """A new alarm of the cold store's firm, the worst unless said otherwise."""
    words = (f"{tag}：新报警", f"{tag}: a new alarm")
    start = NOW - minutes * seeds.MINUTE
    return desk.streams[seeds.COLD].change("raised", "cold-chain.store-out", {"tag": tag}, severity, start, words)


async def test_a_one_time_password_leads_through_a_new_one_to_the_queue(desk, chromium, language):
    one_time = desk.user("new.one", language=language, settled=False)
    async with visiting(desk, chromium, language) as visit:
        page = visit.page
        await visit.go("/?severity=orange", live=False)
        assert await page.title() == f"{text('sign_in.title', language)} · {text('product', language)}"
        await page.keyboard.type("new.one")  # the first field has the focus
        await page.keyboard.press("Tab")
        await page.keyboard.type(one_time)
        await page.keyboard.press("Enter")
        await page.wait_for_selector("[name=again]")
        for field, value in {"old": one_time, "new": NEW, "again": "something else here"}.items():
            await page.fill(f"[name={field}]", value)
        await page.click("main button")
        fault = await page.text_content("[role=alert]")
        assert fault == text("fault.differs", language)
        for field, value in {"old": one_time, "new": NEW, "again": NEW}.items():
            await page.fill(f"[name={field}]", value)
        await page.click("main button")
        await page.wait_for_selector("table.queue")
        assert await page.inner_text("h1") == text("queue.title", language)
        await page.wait_for_selector("#live.on")
        visit.complaints = [
            c for c in visit.complaints if "status of 422" not in c
        ]  # the browser's own note of the refusal


async def test_a_new_alarm_stands_first_without_a_reload_and_stays_until_it_was_seen(desk, visit, language):
    await visit.remember()
    before = await visit.rows()
    raised = next_alarm(desk)
    desk.apply(raised)
    await visit.until("id => document.getElementById('a-' + id)", raised.alarm)
    after = await visit.rows()
    assert sorted(after) == sorted([*before, "NEW.T1"])
    assert text("severity.red", language) in await visit.page.inner_text(f"#a-{raised.alarm}")
    assert text("tally.unseen", language, n=3) in await visit.page.inner_text(".tally .red")
    end = NOW - 1
    words = ("恢复", "back")
    desk.apply(
        desk.streams[seeds.COLD].change(
            "cleared", "cold-chain.store-out", {"tag": "NEW.T1"}, "red", raised.start, words, at=end, end=end
        )
    )
    row = f"#a-{raised.alarm}"
    await visit.until("row => document.querySelector(row)?.classList.contains('cleared')", row)
    assert text("state.returned-unacknowledged", language) in await visit.page.inner_text(row)
    assert text("tally.returned", language, n=1) in await visit.page.inner_text(".tally .red")
    assert await visit.still_here()
    await visit.page.click(f"{row} button")
    await visit.page.wait_for_selector("table.queue")
    await visit.until("row => !document.querySelector(row)", row)


async def test_many_alarms_at_once_are_all_there(desk, visit_en):
    await visit_en.remember()
    desk.apply(*(next_alarm(desk, f"MANY.{n}", "yellow", minutes=n + 1) for n in range(50)))
    await visit_en.until("() => document.querySelectorAll('tr[data-alarm]').length === 66")
    assert await visit_en.still_here()


async def test_acknowledging_by_button_stays_in_the_filtered_queue(desk, visit, language):
    page = visit.page
    await visit.go("/?severity=red")
    row = f"#a-{desk.ids['LN2.O2']}"
    await page.click(f"{row} button")
    await page.wait_for_selector(f"{row}.acknowledged")
    assert page.url.endswith("/?severity=red")
    assert await page.query_selector(f"{row} button") is None
    assert "li.lei" in await page.inner_text(f"{row} .c-state")
    assert text("state.acknowledged", language) in await page.inner_text(f"{row} .c-state")


async def test_what_one_supervisor_acknowledges_another_sees_at_once(desk, chromium, visit_en):
    desk.user("han.mei")
    row = f"#a-{desk.ids['LN2.O2']}"
    async with visiting(desk, chromium, "zh") as other:
        await other.sign_in("han.mei")
        await visit_en.remember()
        await other.page.click(f"{row} button")
        await visit_en.page.wait_for_selector(f"{row}.acknowledged")
    assert await visit_en.still_here()


async def test_j_k_a_and_enter_do_the_work_without_a_mouse(desk, visit):
    page = visit.page
    order = await visit.rows()

    async def chosen():
        return await page.eval_on_selector("tr.chosen .c-where .sub .id:nth-child(2)", "e => e.textContent")

    for key, wanted in (("j", 0), ("j", 1), ("k", 0), ("k", 0), ("j", 1), ("j", 2), ("j", 3)):
        await page.keyboard.press(key)
        assert await chosen() == order[wanted], key
        assert await page.evaluate("document.activeElement.closest('tr').classList.contains('chosen')")
    await page.keyboard.press("k")
    await page.keyboard.press("k")
    await page.keyboard.press("k")
    assert await chosen() == "LN2.O2"
    await page.keyboard.press("a")
    await page.wait_for_selector(f"#a-{desk.ids['LN2.O2']}.acknowledged")
    await page.wait_for_selector("tr.chosen")
    assert await chosen() == "FILL.P05"  # the next one to deal with, in the place of the first
    await page.keyboard.press("Enter")
    await page.wait_for_selector("#alarm")
    assert page.url.endswith(desk.ids["FILL.P05"])
    await page.wait_for_selector("#live.on")
    await page.keyboard.press("a")
    await page.wait_for_selector("header.alarm.acknowledged")


async def test_keys_typed_into_a_field_are_text(desk, visit_en):
    page = visit_en.page
    await page.click("[name=facility]")
    await page.keyboard.type("jka")
    assert await page.input_value("[name=facility]") == "jka"
    assert await page.query_selector("tr.chosen") is None
    await page.keyboard.press("Control+a")
    assert await page.query_selector(f"#a-{desk.ids['LN2.O2']}.unacknowledged")


async def test_the_chosen_row_stays_chosen_when_others_come(desk, visit_en):
    page = visit_en.page
    for _ in range(5):
        await page.keyboard.press("j")
    kept = await page.eval_on_selector("tr.chosen", "e => e.id")
    raised = next_alarm(desk)
    desk.apply(raised)
    await page.wait_for_selector(f"#a-{raised.alarm}")
    assert await page.eval_on_selector("tr.chosen", "e => e.id") == kept
    assert await page.evaluate("document.activeElement.closest('tr').id") == kept


async def test_a_note_that_is_being_typed_survives_what_comes_in(desk, visit_en):
    page = visit_en.page
    await visit_en.go(f"/alarms/{desk.ids['CR1.T1']}")
    await page.click("#note")
    await page.keyboard.type("called QA, ")
    worse = desk.streams[seeds.COLD].change(
        "stepped",
        "cold-chain.store-out",
        {"tag": "CR1.T1"},
        "red",
        NOW - 42 * seeds.MINUTE,
        ("升级", "worse now"),
        at=NOW,
    )
    desk.apply(worse)
    await page.wait_for_selector("header.alarm.red")
    await page.wait_for_selector("#why >> text=worse now")
    await page.keyboard.type("they move the stock")
    assert await page.input_value("#note") == "called QA, they move the stock"
    assert await page.input_value("header.alarm [name=revision]") == str(worse.seq)
    await page.keyboard.press("Enter")
    await page.wait_for_selector("header.alarm.acknowledged")
    assert "called QA, they move the stock" in await page.inner_text("#why")


async def test_the_language_is_switched_on_the_spot(desk, visit, language):
    page = visit.page
    other = {"zh": "en", "en": "zh"}[language]
    await visit.go(f"/alarms/{desk.ids['CR1.T1']}")
    await page.click(f"header.top button[lang^={other}]")
    await page.wait_for_selector(f"html[lang^={other}]")
    assert page.url.endswith(f"/alarms/{desk.ids['CR1.T1']}")
    assert text("alarm.why", other) in await page.inner_text("main")
    await visit.go("/operators")
    assert await page.inner_text("h1") == text("operators.title", other)


async def test_without_scripts_everything_can_be_read_and_acknowledged(desk, chromium, language):
    desk.user(language=language)
    async with visiting(desk, chromium, language, java_script_enabled=False) as visit:
        page = visit.page
        await visit.sign_in(live=False)
        assert await page.inner_text("#live") == text("live.not_yet", language)
        assert len(await page.locator("tr[data-alarm]").all()) == 16
        row = f"#a-{desk.ids['LN2.O2']}"
        await page.click(f"{row} button")
        assert await page.locator(f"{row}.acknowledged").count() == 1
        await page.select_option("[name=severity]", "red")
        await page.click(".filters button")
        assert await page.locator("tr[data-alarm]").count() == 3
        await visit.go(f"/alarms/{desk.ids['CR1.T1']}", live=False)
        await page.click("summary >> text=" + text("alarm.chart.table", language))
        assert await page.locator("table.readings tbody tr").count() == 101
        await page.fill("#note", "by hand")
        await page.click("header.alarm button")
        assert "by hand" in await page.inner_text("#why")
        other = {"zh": "en", "en": "zh"}[language]
        await page.click(f"header.top button[lang^={other}]")
        assert (await page.get_attribute("html", "lang")).startswith(other)
        await page.locator("header.top form").last.locator("button").click()
        assert "/sign-in" in page.url
