"""`offsite rules explain` of rules over events and the register: the command's options, languages and JSON."""

from __future__ import annotations

import pytest

from monitor.cli import main
from rules.instants import format_instant
from rules.ruletest import BEGIN_MS
from tests.monitor.test_rules_explain import ask, dump, told

MINUTE = 60_000
DISABLED = "data-integrity.audit-disabled"


def test_text_and_json_of_all_subjects_or_of_one(tmp_path):
    path = dump(tmp_path, DISABLED, "a second event of the same system")
    assert told(path, 10 * MINUTE, "--subject", "SCADA", rule=DISABLED)["subject"] == {"system": "SCADA"}
    both = ask(path, 10 * MINUTE, rule=DISABLED).output
    assert [line for line in both.splitlines() if "=>" in line] == [
        f"  => 已报警：红色，始于 {at}；须由监管人员决定关闭 / it fired: red since {at}; it stands until an officer's decision"
        for at in (format_instant(BEGIN_MS + 5 * MINUTE), format_instant(BEGIN_MS + 9 * MINUTE))
    ]


def test_a_subject_that_it_was_never_asked_of_is_refused(tmp_path):
    path = dump(tmp_path, DISABLED, "one event raises it")
    with pytest.raises(SystemExit) as end:
        main(["rules", "explain", DISABLED, "--log", str(path), "--at", format_instant(BEGIN_MS), "--subject", "MES"])
    assert end.value.code == 3
