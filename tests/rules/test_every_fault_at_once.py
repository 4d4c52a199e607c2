"""One run of lint tells everything that is wrong with a pack, of every stage and kind, and nothing that only follows of it."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import pytest
from typer.testing import CliRunner

from monitor.cli import app
from monitor.packs.candidate import read_candidate
from rules import faults, salvage
from rules.errors import BadInputError, Fault, in_order
from rules.faults import FaultCode
from rules.lint import lint
from rules.rule import AnnualRule, ChangeRule, GradeRule, ReleaseRule, RetestRule, RunsRule, VisitRule
from rules.salvage import Taken, read_rule, read_table
from rules.yamlfile import Document, read_on, read_yaml
from tests.rules import everyfault

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = Path(faults.__file__).parent
ELSEWHERE = {
    "bundle": "a record of packs (Bundle.from_record)", "hash": "a record of packs", "duplicate": "a record of packs",
    "ended": "a notice, no fault", "no_room": "a register (rules/watching.py)", "unknown_facility": "explain", "unknown_subject": "explain",
}  # fmt: skip
"""Codes of rules/ that are no faults of packs, and whose they are."""
BY_KIND = (AnnualRule, ChangeRule, GradeRule, ReleaseRule, RetestRule, RunsRule, VisitRule)
"""Kinds whose faults have the kind as code (rules/ledgersound.py)."""
PASSED_ON = {
    ("documents/checking.py", "code"), ("documentsound.py", "error.code"), ("evaluate.py", "fault.code"), ("evaluate.py", "error.code"),
    ("faults.py", "fault.code"), ("faults.py", "code.value"), ("ledgersound.py", "rule.kind"), ("lint.py", "f.code"),
    ("models.py", "*told(item)"), ("pack.py", "fault.code"), ("pack.py", "before.code"),
    ("registerfaults.py", "fault.code"), ("salvage.py", "fault.code"), ("salvage.py", "FaultCode.WRONG_FORM.value"),
    ("soundness.py", "fault.code"), ("testfaults.py", "fault.code"), ("yamlfile.py", "fault.code"), ("yamlfile.py", "error.code"),
    ("yamlfile.py", "code"),
}  # fmt: skip
"""Where a code is no text in the source: it comes from another place that is read here, or is in the lists above."""
MAKERS = {"Fault", "_Wrong", "ExpressionError"}
HERE = {"documents/checking.py": "_fault", "yamlfile.py": "_note"}
"""File -> a method of it that makes faults."""


def codes() -> Iterator[tuple[str, str, bool]]:
    """Yield (file, code or what stands for it, whether it is a code) of every fault that the source of rules/ makes."""
    for path in sorted(SOURCE.rglob("*.py")):
        name = str(path.relative_to(SOURCE))
        makers = {*MAKERS, HERE.get(name, "Fault")}
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or len(node.args) < 2:
                continue
            if getattr(node.func, "id", getattr(node.func, "attr", "")) not in makers:
                continue
            code = node.args[1]
            for one in (code.body, code.orelse) if isinstance(code, ast.IfExp) else (code,):
                if isinstance(one, ast.Constant):
                    yield name, str(one.value), True
                else:
                    yield name, ast.unparse(one), False


def known_to_lint() -> set[str]:
    """Return every code that a fault of packs can have."""
    found = {code for _, code, is_code in codes() if is_code and code}
    of_models = {str(code) for code in [*faults._BY_TYPE.values(), FaultCode.WRONG_TYPE] if code != FaultCode.MALFORMED}
    kinds = {get_args(model.model_fields["kind"].annotation)[0] for model in BY_KIND}
    return found - ELSEWHERE.keys() | of_models | kinds


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return everyfault.write(tmp_path_factory.mktemp("every") / "pack")


@pytest.fixture(scope="module")
def found(pack: Path) -> list[Fault]:
    return lint([pack])


def test_a_new_way_to_make_a_fault_is_looked_at_here() -> None:
    assert {(name, code) for name, code, is_code in codes() if not is_code} == PASSED_ON
    assert {code for _, code, is_code in codes() if is_code} >= ELSEWHERE.keys()


def test_one_run_tells_every_kind_of_fault_that_there_is(found: list[Fault]) -> None:
    assert {str(fault.code) for fault in found} == known_to_lint()


def test_each_file_is_told_with_all_that_is_wrong_in_it_and_nothing_else(found: list[Fault]) -> None:
    told = defaultdict(list)
    for fault in found:
        told[fault.pointer.split(":")[0].split("/", 1)[1]].append(str(fault.code))
    wanted = {f"every/{slug}.yaml": codes for slug, (_, codes) in everyfault.RULES.items()}
    wanted |= {name: codes for name, (_, codes) in everyfault.FILES.items()}
    assert told == {name: codes for name, codes in wanted.items() if codes}


def test_each_fault_has_its_line_and_column_once_and_in_order(found: list[Fault], pack: Path) -> None:
    places = []
    for fault in found:
        name, line, column = fault.pointer.rsplit(":", 2)
        assert (pack.parent / name).is_file()
        places.append((name, int(line), int(column), str(fault.code), fault.detail))
    assert places == sorted(set(places))
    assert any(line >= 10 for _, line, *_ in places)  # as numbers, not as texts
    assert lint([pack]) == found


def test_what_stands_behind_a_part_that_was_left_out_keeps_its_line(found: list[Fault]) -> None:
    places = {
        fault.detail.split(":")[0]: fault.pointer.split(":")[1] for fault in found if "/copy.yaml" in fault.pointer
    }
    assert places == {
        "rows/1/registered": "8", "rows/2/where/area.kind": "9", "rows/2/unit": "9", "rows/3/where/sensor.colour": "10",
        "rows/3/deadband": "10", "rows/4/where": "11", "rows/4/limit": "11", "rows/5/where/area.kind": "12",
    }  # fmt: skip


def test_the_command_and_a_publication_tell_the_same(found: list[Fault], pack: Path) -> None:
    ran = CliRunner().invoke(app, ["rules", "lint", str(pack)])
    assert isinstance(ran.exception, BadInputError)
    assert ran.exception.faults == found
    assert [line.strip() for line in ran.exception.report().splitlines()[1:-1]] == [str(fault) for fault in found]
    with pytest.raises(BadInputError) as refused:
        read_candidate([str(pack)])
    assert refused.value.faults == found


def written(folder: Path, **rules: dict[str, str]) -> Path:
    (folder / "every").mkdir()
    for slug, members in rules.items():
        (folder / "every" / f"{slug}.yaml").write_text(everyfault.text_of(slug, members), encoding="utf-8")
    return folder


def test_a_rule_that_reads_what_tells_no_excursions_is_told_with_its_place(tmp_path: Path) -> None:
    jump = {**everyfault.RULES["jump"][0], "when": "{consecutive: 2}"}
    claims = everyfault.RULES["claims"][0] | {"report": "deviation"}
    codes = [fault.code for fault in lint([written(tmp_path, jump=jump, claims=claims)])]
    assert codes == ["excursions", "excursions"]


def test_of_a_rule_whose_kind_is_not_known_nobody_says_what_another_may_ask_of_it(tmp_path: Path) -> None:
    jump = {**everyfault.RULES["jump"][0], "when": "{consecutive: 2}", "kind": "jumps"}
    claims = everyfault.RULES["claims"][0] | {"report": "deviation"}
    assert [fault.code for fault in lint([written(tmp_path, jump=jump, claims=claims)])] == ["unknown_value"]


def test_two_files_without_an_id_are_not_one_rule_twice(tmp_path: Path) -> None:
    gap = {"kind": "gap", "factor": "2", "id": "Every One"}
    assert [fault.code for fault in lint([written(tmp_path, one=gap, two=gap)])] == ["wrong_form", "wrong_form"]


def test_a_file_is_there_for_others_though_it_is_no_yaml(tmp_path: Path) -> None:
    folder = written(tmp_path, one={"kind": "gap", "factor": "2", "reads": "[every.two, every.three]"})
    (folder / "every" / "two.yaml").write_text("id: [", encoding="utf-8")
    assert [(fault.code, fault.detail) for fault in lint([folder])] == [
        ("unknown_rule", "reads: every.three is not in these packs"),
        ("yaml", "did not find expected node content"),
    ]


def test_two_faults_of_one_row_take_out_one_row() -> None:
    row = {"where": {}, "unit": "K", "limit": {"low": 1}, "edition": "x", "status": "own"}
    table = {
        "schema": "table/1",
        "id": "x",
        "edition": "x",
        "title": {"zh": "字", "en": "x"},
        "cites": [{"instrument": "x", "status": "own"}],
    }
    read, told, taken = read_table(table | {"rows": [{"status": "own"}, row, {**row, "unit": 7}, row, {}]})
    assert read is not None
    assert len(read.rows) == 2  # the third has no unit, which it cannot be without
    assert taken.kept == {"/rows": [1, 3]}
    assert taken.origin("/rows/1/unit") == "/rows/3/unit"
    assert len(told) == 4 + 1 + 5


def test_what_can_be_told_only_behind_another_fault_is_told_as_well() -> None:
    value = {
        "kind": "cumulative",
        "id": "a.b",
        "total": "2h",
        "clear_below": "3h",
        "window": "100s",
        "idle_while": "a.c",
        "colour": 1,
    }
    rule, told, taken = read_rule(value)
    assert rule is not None
    codes = [(fault.pointer, fault.code) for fault in told if fault.code != FaultCode.MISSING]
    assert codes == [
        ("/colour", "unknown_member"),
        ("/clear_below", "wrong_form"),
        ("/window", "wrong_form"),
        ("/idle_while", "wrong_form"),
    ]
    assert taken.touches("/window")
    assert not Taken()
    assert salvage.NOTHING.origin("/rows/3") == "/rows/3"


def test_a_text_is_read_on_behind_what_no_file_may_hold() -> None:
    document, wrong = read_on("a: &x 1\nb: *x\na: {c: *x}\nd: !t [1, *x]\ne: 3\n", "f")
    assert [(fault.pointer, fault.code) for fault in wrong] == [
        ("f:2:4", "alias"), ("f:3:1", "yaml"), ("f:3:8", "alias"), ("f:4:4", "yaml"), ("f:4:11", "alias")
    ]  # fmt: skip
    assert document.value == {"a": 1, "b": None, "d": [1, None], "e": 3}
    assert document.doubtful == {"/a", "/b", "/a/c", "/d", "/d/1"}
    assert document.whole
    assert read_yaml("a: &x 1\nb: *x\na: {c: *x}\nd: !t [1, *x]\ne: 3\n", "f") == wrong


@pytest.mark.parametrize(
    ("text", "value"),
    [("a: 1\nb: 2\nc: [3\nd: 4\n", {"a": 1, "b": 2}), ("a: 1\nb: {c: [", {"a": 1}), ("a: 1\n---\nb: 2\n", {"a": 1}), ("[1, 2", None), ("'", None)],
)  # fmt: skip
def test_a_text_that_is_no_yaml_is_read_up_to_the_last_member_that_certainly_ended(text: str, value: object) -> None:
    document, wrong = read_on(text, "f")
    assert len(wrong) == 1
    assert document.value == value
    assert document.whole is ("---" in text)


def test_faults_stand_in_the_order_of_their_places() -> None:
    texts = ["b:1:1", "a:10:2", "a:9:10", "a:9:9", "folder", "a:9:9"]
    assert [fault.pointer for fault in in_order([Fault(text, "c", "d") for text in texts])] == [
        "a:9:9",
        "a:9:10",
        "a:10:2",
        "b:1:1",
        "folder",
    ]
    assert isinstance(read_yaml("a: 1", "f"), Document)
