"""Texts from outside are text: markup, control characters and directions show as signs and act on nothing."""

from __future__ import annotations

import pytest

from monitor.alarms import operators
from monitor.alarms.projection import apply_batch
from monitor.console.render import visible
from monitor.register.store import import_register
from rules.changes import Evidence, Leaf, LimitUsed, RecordRead, Verdict
from rules.models import Bilingual
from tests.monitor.alarms.changes import change, incoming
from tests.monitor.desk.html import parse
from tests.monitor.desk.lab import NOW, DeskLab
from tests.monitor.register.samples import facility, register

EVIL = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>{{7*7}}{% raw %}\u202egnp.exe"
MARKUP = EVIL.replace("\u202e", "")
"""What a rule's id may be at worst: a name that turns its neighbours is no name, and the record is foreign."""
SHOWN = EVIL.replace("\u202e", "⟨202E⟩")
TAGS = {
    "html", "head", "meta", "title", "link", "script", "body", "a", "header", "svg", "path", "circle", "rect", "nav", "span", "form",
    "input", "button", "ul", "li", "b", "main", "div", "h1", "h2", "h3", "p", "table", "caption", "thead", "tbody", "tr", "th", "td", "dl",
    "dt", "dd", "time", "select", "option", "label", "details", "summary", "section", "small", "strong", "br", "i",
}  # fmt: skip


@pytest.fixture
def lab(sqlite_store, tmp_path):
    lab = DeskLab(sqlite_store, tmp_path / "archive")
    named = facility("A1") | {
        "name": {"zh": EVIL, "en": EVIL},
        "contacts": [
            {"name": EVIL[:80], "role": EVIL[:80], "phone": "+86 10 5555", "email": "a@b.example", "duty": EVIL[:80]}
        ],
    }
    evidence = Evidence(
        leaves=[Leaf(expr=EVIL, left=EVIL, op=EVIL, right=1.0, unit=EVIL, verdict=Verdict.TRUE)],
        limits=[LimitUsed(name=EVIL, value=1.0, unit=EVIL, origin=EVIL, edition=EVIL)],
        records=[RecordRead(kind=EVIL, id=EVIL)],
        left_out={EVIL: 1},
    )
    raised = change(1, start=NOW - 60_000, tag=EVIL, evidence=evidence)
    raised = raised.model_copy(update={"message": Bilingual(zh=EVIL, en=EVIL), "rule": MARKUP, "version": MARKUP})
    lab.alarm = raised.alarm
    with lab.store.writing() as session:
        import_register(session, register(named), "u", NOW)
        apply_batch(session, incoming([raised]), NOW)
        operators.opened(session, EVIL[:100], EVIL[:100], EVIL + "\x07\x1b[31m", NOW)
    return lab


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize(
    ("path", "times"), [("/", 4), ("/queue/rows", 4), ("/alarms/{}", 14), ("/alarms/{}/head", 5), ("/operators", 1)]
)
def test_markup_from_outside_is_shown_and_does_nothing(lab, path, times, language):
    with lab.signed_in(language=language) as client:
        answer = client.get(path.format(lab.alarm))
    assert answer.status_code == 200
    page = parse(answer.text)
    assert {element.tag for element in page.all()} <= TAGS
    for element in page.all():
        assert not [name for name in element.attributes if name.startswith("on") or name == "style"]
        assert element.tag != "script" or (element["src"].startswith("/static/") and element.text == "")
        assert not element.attributes.get("href", "/").startswith(("javascript:", "data:", "//"))
    words = (page.all("body") or [page])[0].text
    assert words.count(SHOWN) + words.count(MARKUP) >= times
    assert words.count(SHOWN) or times == 1 or "head" in path
    assert "\u202e" not in answer.text
    assert "\x1b" not in answer.text


def test_a_note_and_a_name_that_failed_come_back_as_text(lab):
    lab.user()
    with lab.client() as client:
        answer = client.post("/sign-in", data={"name": EVIL, "password": "x"})
        assert parse(answer.text).one("input", name="name")["value"] == visible(EVIL[:32])
        answer = client.get("/sign-in", params={"next": "/" + EVIL.replace("\u202e", "")})
        form = parse(answer.text).one("form", action="/sign-in")
        assert form.one("input", name="next")["value"].startswith("/\"'><script>")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("plain 文字", "plain 文字"), ("a\x00b", "a⟨0000⟩b"), ("a\u200bb", "a⟨200B⟩b"), ("\u2066x\u2069", "⟨2066⟩x⟨2069⟩"), ("a\nb\tc", "a\nb\tc"),
        ("\ud800", "⟨D800⟩"), ("\u2028", "⟨2028⟩"), ("\u3000", "\u3000"), (7, 7), (None, None), ("\x7f\x9b", "⟨007F⟩⟨009B⟩"),
    ],
)  # fmt: skip
def test_characters_that_would_act_are_made_visible(value, shown):
    assert visible(value) == shown
