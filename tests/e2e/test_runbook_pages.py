"""The runbook pages themselves: complete, drilled, and naming only commands and options that there are."""

from __future__ import annotations

import re
import shlex

import pytest
import typer

from monitor.cli import app
from tests.e2e.drill import PAGES, ROOT, commands

NAMES = sorted(path.stem for path in PAGES.glob("*.md") if path.stem != "README")
DRILLS = (ROOT / "tests" / "e2e" / "test_runbooks.py").read_text(encoding="utf-8")
HEADINGS = ("Symptom", "What is safe", "Commands", "How to check it worked")
UNITS = {path.name.removesuffix(".service") for path in (ROOT / "deploy" / "systemd").glob("*.service")}


def text_of(name):
    return (PAGES / f"{name}.md").read_text(encoding="utf-8")


def every_command():
    for name in [*NAMES, "README"]:
        for block in re.findall(r"^```sh\n(.*?)^```", text_of(name), flags=re.MULTILINE | re.DOTALL):
            for line in block.splitlines():
                if not line.startswith("#"):
                    yield pytest.param(line, id=f"{name}: {line}")


@pytest.mark.parametrize("name", NAMES)
def test_a_page_begins_in_chinese_says_what_is_safe_and_is_drilled_whole(name):
    text = text_of(name)
    assert text.splitlines()[1].startswith("**中文摘要**：")
    for heading in HEADINGS:
        assert f"\n## {heading}\n" in text
    for heading in re.findall(r"^## (.*)$", text, flags=re.MULTILINE):
        part = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
        if "```sh" in part:
            assert commands(name, heading)
            # "Commands" and its like are followed by name; two ways of one page by a choice of two.
            assert f'"{heading}"' in DRILLS, f"{heading} is not drilled"
    assert f'"{name}"' in DRILLS
    assert f"[{name}]({name}.md)" in text_of("README")


def test_every_page_that_the_list_names_is_there():
    assert sorted(re.findall(r"^\|.*\]\((.*)\.md\) \|$", text_of("README"), flags=re.MULTILINE)) == NAMES


@pytest.mark.parametrize("line", list(every_command()))
def test_every_command_and_option_exists(line):
    words = shlex.split(line, comments=True)
    if words[0] == "systemctl":
        assert words[1] in {"start", "stop"}
        for unit in words[2:]:
            assert re.sub(r"@.*", "@", unit) in UNITS
        return
    assert words[0] == "offsite"
    found = typer.main.get_command(app)
    rest = words[1:]
    while hasattr(found, "get_command"):
        inner = found.get_command(None, rest[0]) if rest and not rest[0].startswith("-") else None
        assert inner is not None, line
        found, rest = inner, rest[1:]
    options = {option for parameter in found.params for option in parameter.opts}
    assert {word for word in rest if word.startswith("--")} <= options
