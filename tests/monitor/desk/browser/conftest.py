"""One Chromium a session, one desk a test. The tests of this folder share one event loop: the browser lives in it."""

from __future__ import annotations

import shutil
import threading

import pytest
import pytest_asyncio

from tests.monitor.desk.browser.serving import Served
from tests.monitor.desk.browser.visit import visiting
from tests.real_parts import require

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]  # fmt: skip
PLAYWRIGHTS = (
    "AvoidUnnecessaryBeforeUnloadCheckSync", "DestroyProfileOnBrowserClose", "HttpsUpgrades", "HttpsFirstBalancedModeAutoEnable",
    "LensOverlay", "MediaRouter", "PaintHolding", "ThirdPartyStoragePartitioning", "AvoidCorsURLLoaderRestartOnRedirect",
    "OptimizationHints", "NetworkTimeServiceQuerying", "AimEnabled", "PreconnectToSearch",
)  # fmt: skip
"""What Playwright switches off itself: Chromium heeds the last list alone, so that ours has to repeat it."""
FRAME = ("WebUIOmniboxPopup", "WebUIOmniboxAimPopup", "WebUIOmniboxFullPopup", "PreloadTopChromeWebUI")
"""Pages in which Chromium draws its own frame, which nobody sees here: half of the time of every new window."""


def pytest_collection_modifyitems(items):
    for item in items:
        if "chromium" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium():
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    require(program, "Chromium")
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=program, args=[*FLAGS, f"--disable-features={','.join(PLAYWRIGHTS + FRAME)}"]
        )
        yield browser
        await browser.close()


@pytest.fixture
def desk(seeded, tmp_path):
    """Serve a desk with a day's alarms, and the readings of one cold room in its archive."""
    lab = seeded.copied(tmp_path, Served)
    lab.start()
    yield lab
    lab.stop()
    lab.store.close()


@pytest.fixture
def reading(desk):
    """The desk's thread that reads for the pictures."""
    stop = threading.Event()
    thread = threading.Thread(target=desk.desk.sparks.job, args=(stop,))
    thread.start()
    yield desk
    stop.set()
    thread.join(30)
    assert not thread.is_alive()


@pytest.fixture(params=["zh", "en"])
def language(request):
    return request.param


@pytest_asyncio.fixture(loop_scope="session")
async def visit(desk, chromium, language):
    """A supervisor signed in, in each language in turn."""
    desk.user(language=language)
    async with visiting(desk, chromium, language) as found:
        await found.sign_in()
        yield found


@pytest_asyncio.fixture(loop_scope="session")
async def visit_en(desk, chromium):
    """A supervisor signed in, in English: for what hangs on no language."""
    desk.user(language="en")
    async with visiting(desk, chromium, "en") as found:
        await found.sign_in()
        yield found
