"""A person at a browser: signs in, looks, presses keys. Whatever the browser complains of is collected."""

from __future__ import annotations

from contextlib import asynccontextmanager

from tests.monitor.desk.lab import PASSWORD

WATCH = """
document.addEventListener("securitypolicyviolation", (e) => console.error(`policy: ${e.violatedDirective} ${e.blockedURI}`));
window.addEventListener("unhandledrejection", (e) => console.error(`rejection: ${e.reason}`));
"""
OUTAGE = ("net::ERR_CONNECTION_REFUSED", "net::ERR_INCOMPLETE_CHUNKED_ENCODING", "net::ERR_EMPTY_RESPONSE", "net::ERR_CONNECTION_RESET",
          "the server responded with a status of 401", "the server responded with a status of 503", "net::ERR_FAILED", "htmx:error: Failed to fetch", "htmx:sse:error")  # fmt: skip
WAIT_MS = 60_000
LIVE, OFF = "#live.on", "#live.off"


class Visit:
    """One browser context with one page."""

    def __init__(self, lab, context, page):
        self.lab, self.context, self.page, self.complaints = lab, context, page, []
        page.set_default_timeout(WAIT_MS)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))

    def _console(self, message):
        if message.type in {"error", "warning"} and "willReadFrequently" not in message.text:  # our own look at pixels
            self.complaints.append(f"{message.type}: {message.text}")

    def outage(self):
        """Forget what a browser must complain of while a server is away."""
        self.complaints = [text for text in self.complaints if not any(sign in text for sign in OUTAGE)]

    async def go(self, path, *, live=True):
        await self.page.goto(self.lab.url + path)
        if live:
            await self.page.wait_for_selector(LIVE)

    async def sign_in(self, name="li.lei", password=PASSWORD, *, live=True):
        await self.go("/sign-in", live=False)
        await self.page.fill("[name=name]", name)
        await self.page.fill("[name=password]", password)
        await self.page.click("main button")
        if live:
            await self.page.wait_for_selector(LIVE)

    async def rows(self):
        """The alarms shown, by tag or area."""
        return await self.page.eval_on_selector_all(
            "tr[data-alarm] .c-where .sub .id:nth-child(2)", "e => e.map(x => x.textContent)"
        )

    async def until(self, expression, argument=None):
        await self.page.wait_for_function(expression, arg=argument)

    async def remember(self):
        """Leave a mark that a reload would take away."""
        await self.page.evaluate("window.stillHere = true")

    async def still_here(self):
        return await self.page.evaluate("window.stillHere === true")


@asynccontextmanager
async def visiting(lab, browser, language="zh", **context):
    """Open a browser window in a language; at its end nothing may have been complained of."""
    locale = {"zh": "zh-CN", "en": "en-GB"}[language]
    window = {"viewport": {"width": 1440, "height": 900}, "locale": locale} | context
    opened = await browser.new_context(**window)
    try:
        await opened.add_init_script(WATCH)
        visit = Visit(lab, opened, await opened.new_page())
        yield visit
        assert visit.complaints == [], visit.complaints
    finally:
        await opened.close()
