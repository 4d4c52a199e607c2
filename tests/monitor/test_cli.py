"""The command line shows text from outside and does not let it act on the terminal."""

from __future__ import annotations

import gc
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from monitor import cli
from monitor.cli import COMMANDS, for_terminal, main

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = """\
facilities:
  - id: BJ-MFR-0007
    name: {zh: 甲, en: A}
    jurisdiction: "110115"
"\\e[2J\\u202Efirst\\nsecond": true
"""


def test_a_members_name_in_a_register_file_does_not_reach_the_terminal_raw(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "register.yaml"
    path.write_text(HOSTILE, encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        main(["register", "diff", str(path)])
    told = capsys.readouterr().err
    assert ended.value.code == 3
    assert "unknown_member" in told
    assert "\\u001b[2J\\u202efirst" in told
    assert all(character == "\n" or character.isprintable() for character in told)


def test_a_files_name_does_not_reach_the_terminal_raw(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["register", "diff", str(tmp_path / "\x1b]0;title\x07")])
    assert "\x1b" not in capsys.readouterr().err


def test_a_file_that_is_not_there_is_not_to_be_corrected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["register", "diff"], ["rules", "lint"]):
        with pytest.raises(SystemExit):
            main([*command, str(tmp_path / "none.yaml")])
        told = capsys.readouterr()
        assert "none.yaml" in told.err + told.out
        assert "Correct the places" not in told.err + told.out


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_offers_what_it_has_and_no_shell_completion(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    told = capsys.readouterr().out
    assert ended.value.code == 0
    assert f"offsite {name}" in told
    assert "completion" not in told


def test_lines_and_words_of_people_stay_as_they_are() -> None:
    assert for_terminal("a 库门\n  /series/0: no\n") == "a 库门\n  /series/0: no\n"
    assert for_terminal("x" * 5_000) == "x" * 5_000


def test_help_lists_every_command_and_imports_none() -> None:
    """`offsite --help` is what a new user types first."""
    program = (
        "import sys\nfrom monitor.cli import main\ntry:\n    main(['--help'])\nexcept SystemExit as ended:\n"
        "    print([name for name in sys.modules if name.startswith('monitor.commands')], ended.code)"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert told.splitlines()[-1] == "[] 0"
    for name, (_, summary) in COMMANDS.items():
        assert any(line.split()[:1] == [name] and summary in line for line in told.splitlines())


@pytest.mark.parametrize("command", ["broker", "gateway", "desk", "archiver"])
@pytest.mark.parametrize("port", ["65536", "-1", "x"])
def test_a_port_that_cannot_be_is_a_usage_fault(capsys: pytest.CaptureFixture[str], command: str, port: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--port", port])
    assert ended.value.code == 2
    assert "--port" in capsys.readouterr().err


def test_garbage_is_looked_for_again_once_a_command_is_imported_and_not_among_its_parts() -> None:
    frozen = gc.get_freeze_count()
    try:
        assert cli._imported("monitor.commands.schema").app
        assert gc.isenabled()
        assert gc.get_freeze_count() > frozen
        with pytest.raises(ModuleNotFoundError):
            cli._imported("monitor.commands.none_of_ours")
        assert gc.isenabled()
        gc.disable()
        assert cli._imported("monitor.commands.schema").app
        assert not gc.isenabled(), "whoever forbade it is right"
    finally:
        gc.enable()
