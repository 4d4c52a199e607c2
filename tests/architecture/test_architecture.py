from __future__ import annotations

import ast
import graphlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from monitor.cli import COMMANDS, main
from monitor.settings import (
    ArchiverEnvironment,
    DeskEnvironment,
    GatewayEnvironment,
    KafkaEnvironment,
    StoreEnvironment,
    WorkerEnvironment,
)

ROOT = Path(__file__).parents[2]
SOURCES = [path for room in ("rules", "streams", "monitor") for path in sorted((ROOT / room).rglob("*.py"))]
MAX_LINES = 400


def test_imports_go_one_way_and_rules_is_pure():
    tool = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([str(tool), "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def modules_named(node):
    """Modules that an import names, or may name: `from a import b` may mean the module a.b."""
    if isinstance(node, ast.Import):
        return {name.name for name in node.names}
    return {node.module or ""} | {f"{node.module}.{name.name}" for name in node.names}


def test_any_module_may_be_the_first_that_is_imported():
    """No two files import one another at their top, be it by way of others: else it depends on who comes first."""
    names = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in SOURCES if path.stem != "__init__"
    }
    graph = {
        module: {
            name
            for node in ast.parse(path.read_text(encoding="utf-8")).body
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in modules_named(node) & names.keys()
        }
        for module, path in names.items()
    }
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_no_file_is_too_long_without_a_reason():
    long = [p for p in SOURCES if len(p.read_text(encoding="utf-8").splitlines()) > MAX_LINES]
    assert [str(p.relative_to(ROOT)) for p in long if "400 lines" not in p.read_text(encoding="utf-8")[:1500]] == []


def test_no_file_imports_a_private_name_of_another_of_ours():
    found = [
        f"{path.relative_to(ROOT)}: {node.module}.{name.name}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in {"rules", "streams", "monitor"}
        for name in node.names
        if name.name.startswith("_")
    ]
    assert found == []


def test_every_package_says_what_lives_in_it_and_what_may_not():
    packages = [p for p in SOURCES if p.name == "__init__.py" and p.parent.name not in {"kinds", "commands"}]
    for path in packages:
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        assert "Lives here:" in text, path
        assert "May not:" in text, path


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_answers_help_and_is_documented(name, capsys):
    with pytest.raises(
        SystemExit
    ) as end:  # in this process: a new one for each would load numba and Faust twenty times
        main([name, "--help"])
    assert end.value.code in {0, None}
    assert "Usage" in capsys.readouterr().out
    assert f"`offsite {name}" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_setting_is_documented():
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    for model in (
        KafkaEnvironment,
        WorkerEnvironment,
        GatewayEnvironment,
        ArchiverEnvironment,
        DeskEnvironment,
        StoreEnvironment,
    ):
        for name in model.model_fields:
            assert f"`{model.model_config['env_prefix']}{name.upper()}`" in text


def test_every_listener_is_loopback_by_default():
    hosts = {model().host for model in (WorkerEnvironment, GatewayEnvironment, ArchiverEnvironment, DeskEnvironment)}
    assert hosts == {"127.0.0.1"}
    assert KafkaEnvironment().bootstrap.startswith("127.0.0.1:")


def test_no_requirement_file_names_an_address():
    for path in [*ROOT.glob("requirements/*.txt"), ROOT / "streams" / "broker-requirements.txt"]:
        assert not re.search(r"https?://|--(extra-)?index", path.read_text(encoding="utf-8")), path


def test_an_unknown_command_and_no_command_are_usage_errors():
    done = subprocess.run(
        [sys.executable, "-m", "monitor", "nonsense"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 2
