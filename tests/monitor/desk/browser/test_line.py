"""The live line breaks, and nobody is told that an old page is a new one; when it stands again nothing is missing."""

from __future__ import annotations

import asyncio

from monitor.accounts import users
from monitor.alarms import operators
from monitor.api import stream
from monitor.console.texts import text
from monitor.desk.standing import Standing, Watch
from tests.monitor.desk.browser.test_work import next_alarm
from tests.monitor.desk.browser.visit import LIVE, OFF, visiting
from tests.monitor.desk.lab import NOW

HIDE = """
let hidden = false;
Object.defineProperty(document, "hidden", { get: () => hidden });
window.setHidden = (value) => { hidden = value; document.dispatchEvent(new Event("visibilitychange")); };
"""


async def until(condition):
    """Wait for something on the server's side."""
    for _ in range(1_200):
        if condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it never came")


async def test_a_server_that_restarts_is_said_and_nothing_is_missed(desk, visit, language):
    page = visit.page
    await visit.remember()
    await asyncio.to_thread(desk.stop)
    await page.wait_for_selector(OFF)
    assert await page.inner_text("#live") == text("live.off", language)
    missed = [next_alarm(desk, f"MISSED.{n}") for n in range(3)]
    desk.apply(*missed)
    desk.start()
    await page.wait_for_selector(LIVE)
    assert await page.inner_text("#live") == text("live.on", language)
    for raised in missed:
        await page.wait_for_selector(f"#a-{raised.alarm}")
    after = next_alarm(desk, "AFTER.T1")
    desk.apply(after)
    await page.wait_for_selector(f"#a-{after.alarm}")
    assert await visit.still_here()
    visit.outage()


async def test_a_line_that_never_stood_is_tried_again_and_not_called_live(desk, chromium):
    desk.user(language="en")
    async with visiting(desk, chromium, "en") as visit:
        page, refused = visit.page, []
        page.on("requestfailed", lambda request: refused.append(request.url) if "/v1/stream" in request.url else None)
        # Blocked by the browser itself: while a test intercepts requests, Chromium now and then never hands the live stream on.
        browser = await page.context.new_cdp_session(page)
        await browser.send("Network.enable")
        await browser.send("Network.setBlockedURLs", {"urls": ["*/v1/stream*"]})
        await visit.sign_in(live=False)
        await page.wait_for_selector(OFF)
        while len(refused) < 2:
            await page.wait_for_timeout(100)
        await browser.send("Network.setBlockedURLs", {"urls": []})
        await page.wait_for_selector(LIVE)
        raised = next_alarm(desk)
        desk.apply(raised)
        await page.wait_for_selector(f"#a-{raised.alarm}")
        visit.outage()


async def test_a_line_that_is_refused_for_now_is_tried_again(desk, chromium, monkeypatch):
    desk.user(language="en")
    monkeypatch.setattr(stream, "MAX_CLIENTS", 0)
    async with visiting(desk, chromium, "en") as visit:
        await visit.sign_in(live=False)
        await visit.page.wait_for_selector(OFF)
        monkeypatch.setattr(stream, "MAX_CLIENTS", 10)
        await visit.page.wait_for_selector(LIVE)
        visit.outage()


async def test_a_dead_line_that_nobody_closed_is_noticed_and_replaced(desk, chromium, monkeypatch):
    """A network that swallows everything: no error, no end, only silence where a word was due every 15 s."""
    monkeypatch.setattr(stream, "KEEPALIVE_S", 1e9)
    desk.user(language="en")
    async with visiting(desk, chromium, "en") as visit:
        page, lines = visit.page, []
        page.on("request", lambda request: lines.append(request.url) if "/v1/stream" in request.url else None)
        await page.clock.install()
        await visit.sign_in(live=False)
        await page.wait_for_selector(LIVE)
        await page.evaluate(
            "() => { window.seen = []; new MutationObserver(() => seen.push(document.getElementById('live').className))"
            ".observe(document.getElementById('live'), { attributes: true }); }"
        )

        async def pass_by(seconds):
            for _ in range(seconds):
                await page.clock.run_for(1_000)
                for _ in range(1_000):  # the answers come in real time
                    if not await page.locator("[data-part].htmx-request").count():
                        break
                    await asyncio.sleep(0.02)

        await pass_by(45)
        assert len(lines) == 1
        await pass_by(30)
        await until(lambda: len(lines) == 2)
        await page.wait_for_selector(LIVE)
        assert any("off" in each for each in await page.evaluate("window.seen"))


async def test_a_hidden_tab_lets_go_of_the_line_and_catches_up_when_looked_at(desk, visit_en):
    page = visit_en.page
    await page.add_init_script(HIDE)
    await visit_en.go("/")
    await visit_en.remember()
    await until(lambda: desk.desk.hub.clients == 1)
    await page.evaluate("setHidden(true)")
    await until(lambda: desk.desk.hub.clients == 0)
    raised = next_alarm(desk)
    desk.apply(raised)
    assert await page.query_selector(f"#a-{raised.alarm}") is None
    await page.evaluate("setHidden(false)")
    await page.wait_for_selector(f"#a-{raised.alarm}")
    await page.wait_for_selector(LIVE)
    assert await visit_en.still_here()


async def test_a_session_that_ended_leads_to_the_form_and_back_to_the_same_page(desk, visit_en, monkeypatch):
    monkeypatch.setattr(stream, "CHECK_S", 0.1)
    page = visit_en.page
    await visit_en.go("/?severity=orange")
    with desk.store.writing() as session:
        users.end_sessions(session, "li.lei")
    await page.wait_for_selector("[name=password]")
    assert await page.locator("table.queue").count() == 0
    await page.fill("[name=name]", "li.lei")
    await page.fill("[name=password]", "correct horse battery")
    await page.click("main button")
    await page.wait_for_selector("table.queue")
    assert page.url.endswith("/?severity=orange")
    await page.wait_for_selector(LIVE)
    visit_en.outage()


async def test_a_store_that_is_away_leaves_what_is_shown_and_says_that_it_is_old(desk, visit_en, monkeypatch):
    from monitor.store.session import StoreDownError

    page = visit_en.page
    before = await visit_en.rows()
    real = desk.store.reading

    def away():
        raise StoreDownError("sqlite", RuntimeError("gone"))

    monkeypatch.setattr(desk.store, "reading", away)
    await page.evaluate("htmx.trigger(document.getElementById('rows'), 'refresh')")
    await page.wait_for_selector(OFF)
    assert await visit_en.rows() == before
    monkeypatch.setattr(desk.store, "reading", real)
    await page.evaluate("htmx.trigger(document.getElementById('rows'), 'refresh')")
    await page.wait_for_selector(LIVE)
    visit_en.outage()


async def test_steps_that_are_no_longer_kept_load_the_page_afresh(desk, visit_en):
    page = visit_en.page
    await visit_en.remember()
    await asyncio.to_thread(desk.stop)
    await page.wait_for_selector(OFF)
    raised = next_alarm(desk)
    desk.apply(raised, next_alarm(desk, "NEW.T2"))
    desk.clock.ms = NOW + 30 * 86_400_000
    desk.desk.hub.prune(desk.clock.ms)
    desk.clock.ms = NOW
    desk.start()
    await visit_en.until("() => window.stillHere === undefined && document.querySelector('#live.on')")
    await page.wait_for_selector(f"#a-{raised.alarm}")
    visit_en.outage()


async def test_the_operators_page_and_the_strip_follow_too(desk, visit_en):
    from monitor.alarms import operators

    page = visit_en.page
    await visit_en.go("/operators")
    await visit_en.remember()
    with desk.store.writing() as session:
        operators.opened(session, "changes-lost", "topic", "gone", NOW)
    desk.apply(next_alarm(desk))
    await page.wait_for_selector("#operators >> text=changes-lost")
    await visit_en.until("() => document.querySelector('#untold-operators b').textContent === '3'")
    assert await visit_en.still_here()


SOON_MS = 15_000
"""Half of the time after which a page asks by itself."""


SAY = """
() => {
  const mark = document.querySelector("#untold [data-standing]").dataset.standing;
  document.body.dispatchEvent(new CustomEvent("standing", { detail: { data: JSON.stringify({ mark }) } }));
}
"""


async def test_the_strips_change_with_the_desk_and_not_with_the_next_poll(desk, visit_en):
    page = visit_en.page
    count = "n => document.querySelector('#untold-operators b').textContent === String(n)"
    await visit_en.remember()
    before = int(await page.text_content("#untold-operators b"))
    with desk.store.writing() as session:
        operators.opened(session, "archive_stopped", "archiver", "it has stopped", NOW)
    await page.wait_for_function(count, arg=before + 1, timeout=SOON_MS)
    watch = Watch(desk.clock)
    watch.turned(fresh_ms=NOW)
    watch.fails(Standing.BROKER_AWAY)
    desk.desk.watch = watch
    await page.wait_for_selector("#untold .old", timeout=SOON_MS)
    await page.wait_for_selector("#live.off", timeout=SOON_MS)
    watch.turned(fresh_ms=NOW)
    await page.wait_for_selector("#untold .old", state="detached", timeout=SOON_MS)
    await page.wait_for_selector("#live.on", timeout=SOON_MS)
    assert await visit_en.still_here()


async def test_the_page_of_the_monitors_faults_is_renewed_too(desk, visit_en):
    await visit_en.go("/operators")
    with desk.store.writing() as session:
        operators.opened(session, "archive_stopped", "archiver-7", "it has stopped", NOW)
    await visit_en.page.wait_for_selector("#operators td:text-is('archiver-7')", timeout=SOON_MS)


async def test_a_page_that_shows_what_stands_is_not_asked_to_load_its_strips_again(desk, visit_en):
    asked = []
    visit_en.page.on("request", lambda request: asked.append(request.url))
    await visit_en.go("/")
    await visit_en.page.evaluate(SAY)  # a line that stands again says it of a page that was renewed since
    raised = next_alarm(desk)
    desk.apply(raised)
    await visit_en.until("id => document.getElementById('a-' + id)", raised.alarm)
    assert sum(url.endswith("/untold") for url in asked) == 1  # for the alarm
