"""Lines of kind `fact` in a dump: read, written, refused with their place; what `offsite evaluate` makes of them."""

from __future__ import annotations

import json

import pytest

from monitor.cli import main
from monitor.factlines import format_fact_line, read_fact_line, without_facts
from rules.errors import BadInputError
from rules.pack import SHIPPED
from streams.jsonlines import format_line, read_lines
from tests.rules.test_lots_offline import RECALLED, lines_of

LINES = lines_of(RECALLED)
PACKS = SHIPPED / "vigilance"


def dump(*, facts=None, records=RECALLED):
    facts = [format_fact_line(line) for line in LINES] if facts is None else facts
    return b"".join(line + b"\n" for line in [*map(format_line, records), *facts])


def evaluate(tmp_path, text, capfdbinary, *more):
    path = tmp_path / "log.jsonl"
    path.write_bytes(text)
    code = 0
    try:
        main(["evaluate", "--pack", str(PACKS), "--log", str(path), *more])
    except SystemExit as end:
        code = int(end.code or 0)
    out, err = capfdbinary.readouterr()
    return code, [json.loads(line) for line in out.splitlines()], err.decode()


def test_a_line_comes_back_whole():
    for line in LINES:
        assert read_fact_line(format_fact_line(line)) == line


def test_facts_are_taken_out_and_the_other_lines_keep_their_numbers():
    found, faults = [], []
    lines = [format_fact_line(LINES[0]), format_line(RECALLED[0]), b'{"kind": "fact"}', format_line(RECALLED[1])]
    left = list(without_facts(lines, "log", found, faults))
    assert left == [b"", lines[1], b"", lines[3]]
    assert found == LINES[:1]
    assert [fault.pointer for fault in faults] == ["log:3"]
    assert list(read_lines(left)) == RECALLED[:2]


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        (lambda line: line["data"].update(n=0), "/data/n"), (lambda line: line.update(facility="OTHER-1"), "/facility"),
        (lambda line: line.update(received="today"), ""), (lambda line: line.update(more=1), ""),
        (lambda line: line["data"]["told"].update(fact="gone"), "/data/told"), (lambda line: line.pop("data"), ""),
    ],
)  # fmt: skip
def test_a_line_that_is_none_is_refused_with_its_place(change, pointer):
    line = json.loads(format_fact_line(LINES[0]))
    change(line)
    with pytest.raises(BadInputError) as raised:
        read_fact_line(json.dumps(line).encode())
    assert pointer in {fault.pointer for fault in raised.value.faults}


def test_evaluate_prints_alarms_of_lots_by_lines_and_without(tmp_path, capfdbinary):
    for facts in ([], None):
        code, changes, err = evaluate(tmp_path, dump(facts=facts), capfdbinary)
        assert (code, err) == (0, "")
        assert [(one["stream"], one["rule"]) for one in changes] == [("lot:L-1", "vigilance.moved-after-stop")]
    code, alarms, _ = evaluate(tmp_path, dump(), capfdbinary, "--alarms")
    assert (code, alarms[0]["subject"], alarms[0]["status"]) == (0, {"lot": "L-1"}, "active")
    assert evaluate(tmp_path, dump(), capfdbinary, "--facility", "SHOP-1")[:2] == (0, [])


def test_evaluate_names_facts_that_differ_and_prints_nothing(tmp_path, capfdbinary):
    code, out, err = evaluate(tmp_path, dump(facts=[format_fact_line(line) for line in LINES[:-1]]), capfdbinary)
    assert (code, out) == (4, [])
    assert "SHOP-1 2, lot L-2: told by the log, no line" in err


def test_evaluate_tells_all_faults_of_both_kinds_of_lines(tmp_path, capfdbinary):
    broken = [b'{"kind": "fact", "data": 1}', b'{"kind": "readings"}']
    code, out, err = evaluate(tmp_path, dump(facts=broken), capfdbinary)
    assert (code, out) == (3, [])
    assert "log.jsonl:6" in err
    assert "log.jsonl:7" in err
