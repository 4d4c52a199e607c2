"""`offsite rules`: lint, test and measure rule packs; list and show them (rules_list), explain what they did."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated
from xml.etree import ElementTree as ET

import typer

from monitor.commands import rules_explain, rules_list
from rules.coverage import coverage as coverage_of
from rules.coverage import share
from rules.errors import BadInputError
from rules.lint import linted
from rules.pack import SHIPPED, load_bundle
from rules.ruletest import Outcome, run_tests

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Lint, test, list and show rule packs.")
Folders = Annotated[
    list[Path] | None, typer.Argument(help="Folders of rule files; the shipped packs if none is given.")
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
app.command("explain")(rules_explain.command)
app.command("list")(rules_list.list_rules)
app.command("show")(rules_list.show)
app.command("catalogue")(rules_list.catalogue)


@app.command()
def lint(folders: Folders = None) -> None:
    """Print every fault with file, line and column, exit 3 if there is any; and what has ended and should not stay."""
    faults, notices = linted(_named(folders), time.time_ns() // 1_000_000)
    sys.stderr.writelines(f"note: {notice}\n" for notice in notices)
    if faults:
        raise BadInputError("rule packs", faults)
    sys.stderr.write("no faults\n")


@app.command()
def test(
    folders: Folders = None,
    rule: Annotated[str | None, typer.Option("--rule", help="Only this rule's tests.")] = None,
    junit: Annotated[Path | None, typer.Option("--junit", help="Also write JUnit XML here.")] = None,
) -> None:
    """Run the tests inside the rule files; exit 1 if one fails."""
    bundle = load_bundle(folders or ["default"])
    outcomes = run_tests(bundle, rule)
    if not outcomes:
        raise typer.BadParameter("no such rule, or it has no test", param_hint="--rule")
    for outcome in outcomes:
        sys.stdout.write(f"{'ok  ' if outcome.passed else 'FAIL'} {outcome.rule}: {outcome.test}\n")
        for difference in outcome.differences:
            sys.stdout.write(f"       {difference}\n")
    failed = sum(not outcome.passed for outcome in outcomes)
    sys.stdout.write(f"{len(outcomes) - failed} passed, {failed} failed\n")
    if junit is not None:
        junit.write_bytes(junit_xml(outcomes))
    raise typer.Exit(1 if failed else 0)


@app.command()
def coverage(
    folders: Folders = None,
    rule: Annotated[str | None, typer.Option("--rule", help="Only this rule.")] = None,
    fail_under: Annotated[
        float | None, typer.Option("--fail-under", min=0, max=100, help="Exit 1 below this per cent.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say which leaves of the rules the tests in their files saw true, false and unknown."""
    found = coverage_of(load_bundle(folders or ["default"]), rule)
    if not found:
        raise typer.BadParameter("no such rule", param_hint="--rule")
    total = share(found)
    if as_json:
        value = {"percent": total, "rules": [entry.to_json() for entry in found]}
        sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")
    else:
        for entry in found:
            sys.stdout.write(f"{entry.rule:34} {entry.found:3} of {entry.wanted}\n")
            for leaf in entry.leaves:
                if leaf.missing:
                    sys.stdout.write(
                        f"    never {' or '.join(leaf.missing)}: {leaf.leaf.name} ({leaf.leaf.words.en})\n"
                    )
        # Cut, not rounded: what is not whole must not read as if it were.
        sys.stdout.write(f"{int(total * 10) / 10:g} % of {sum(entry.wanted for entry in found)} verdicts were seen\n")
    raise typer.Exit(1 if fail_under is not None and total < fail_under else 0)


def _named(folders: list[Path] | None) -> list[Path]:
    """Return the folders asked for; `default` names the shipped packs, as everywhere."""
    return [SHIPPED if str(folder) == "default" else folder for folder in folders or [SHIPPED]]


def junit_xml(outcomes: list[Outcome]) -> bytes:
    """Return the outcomes as JUnit XML."""
    failed = sum(not outcome.passed for outcome in outcomes)
    suite = ET.Element("testsuite", name="offsite rules", tests=str(len(outcomes)), failures=str(failed))
    for outcome in outcomes:
        case = ET.SubElement(suite, "testcase", classname=outcome.rule, name=outcome.test)
        if not outcome.passed:
            ET.SubElement(case, "failure", message="; ".join(outcome.differences))
    text: bytes = ET.tostring(suite, encoding="utf-8", xml_declaration=True)
    return text
