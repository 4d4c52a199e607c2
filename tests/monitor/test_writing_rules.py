"""docs/writing-rules.md is followed to the letter: its files are written, its commands run, their output compared."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest

from monitor.cli import main
from rules.salvage import KINDS

GUIDE = (Path(__file__).parents[2] / "docs" / "writing-rules.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)(?: (\w+)=(\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Command:
    words: list[str]
    output: str


def commands(text: str) -> list[Command]:
    """Return the commands of a console block with the output that follows each."""
    parts = re.split(r"^\$ ", text, flags=re.MULTILINE)
    assert not parts[0]
    pairs = [part.partition("\n") for part in parts[1:]]
    return [Command(shlex.split(line), output) for line, _, output in pairs]


def run(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run one command as a shell would, as far as the guide needs a shell; returns what it prints."""
    if words[:2] == ["mkdir", "-p"]:
        Path(words[2]).mkdir(parents=True)
        return ""
    assert words[0] == "offsite", words
    target = None
    if ">" in words:
        words, target = words[: words.index(">")], Path(words[-1])
    with pytest.raises(SystemExit):
        main(words[1:])
    out, err = capsys.readouterr()
    if target is not None:
        target.write_text(out, encoding="utf-8")
        out = ""
    return out + err


def test_the_guide_leads_from_nothing_to_a_tested_rule(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    ran = []
    for language, how, name, text in BLOCK.findall(GUIDE):
        if language == "console":
            for command in commands(text):
                said = run(list(command.words), capsys)
                ran.append(" ".join(command.words))
                wanted, cut, _ = command.output.partition("…\n")
                assert (said[: len(wanted)] if cut else said) == wanted, ran[-1]
        elif language == "diff":
            old, new = (line[1:] for line in text.splitlines())
            path = Path(name)
            assert path.read_text(encoding="utf-8").count(old) == 1
            path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
        elif how == "file":
            assert not Path(name).exists()
            Path(name).write_text(text, encoding="utf-8")
        else:
            assert (language, how) == ("yaml", "append")
            path = Path(name)
            path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")
    assert "offsite rules lint mine" in ran
    assert ran[-1] == "offsite rules show cold-chain.vaccine-fridge-warm mine"
    assert ran.count("offsite rules test mine") == 2


def test_the_schema_line_of_the_guide_finds_the_schema_that_it_writes():
    (path,) = re.findall(r"offsite schema rule > (\S+)", GUIDE)
    (rule,) = re.findall(r"yaml file=(\S+)", GUIDE)
    (line,) = re.findall(r"\$schema=(\S+)", GUIDE)
    assert (Path("/x") / rule).parent.joinpath(line).resolve() == Path("/x") / path


def test_every_kind_stands_in_the_table():
    assert set(re.findall(r"^\| `(\w+)` \|", GUIDE, re.MULTILINE)) == set(KINDS)
