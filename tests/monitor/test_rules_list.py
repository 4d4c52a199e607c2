"""`offsite rules list`, `show`, `catalogue`: filters, JSON, and the page that is committed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from monitor.commands.rules import app
from rules.catalogue import entry, page, select
from rules.pack import SHIPPED, default_bundle
from tests.rules.exceptionlogs import allowing, exception

ROOT = Path(__file__).parents[2]
RULES = default_bundle().rules
CATALOGUE = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")


def call(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == code, done.output
    return done.output


def listed(*arguments: str) -> list[str]:
    return [row["id"] for row in json.loads(call("list", "--json", *arguments))]


def test_the_committed_catalogue_is_that_of_the_packs() -> None:
    assert page(default_bundle()) == CATALOGUE, "run: offsite rules catalogue --out docs/rules.md"
    assert call("catalogue") == CATALOGUE


def test_the_catalogue_is_written_where_it_is_asked_for(tmp_path: Path) -> None:
    assert call("catalogue", "--out", str(tmp_path / "rules.md")) == ""
    assert (tmp_path / "rules.md").read_text(encoding="utf-8") == CATALOGUE


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_each_rule_stands_there_with_texts_clocks_and_citations(rule) -> None:
    text = entry(rule, default_bundle())
    assert text in CATALOGUE
    for words in (rule.title, rule.rationale.cause, rule.rationale.consequence, rule.rationale.response):
        assert words.zh in text
        assert words.en in text
    for cite in rule.cites:
        said = {
            "cited": "已核对原文 / cited",
            "verify": "VERIFY: the text is still to be read",
            "own": "our own choice",
        }
        line = next(
            line
            for line in text.splitlines()
            if cite.instrument in line
            and (cite.of or "") in line
            and (cite.edition is None or f"版本 {cite.edition} " in line)
        )
        assert said[cite.status] in line
    assert rule.severity.base in text
    assert "Time to respond" in text


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("cold-chain.store-out", "limits {from: {low: 2, high: 8}, narrower: sensor}"),
        ("cold-chain.store-out", "when {consecutive: 2}"),
        ("cold-chain.warm-10h", "on_delay: 10h"),
        ("cell-storage.vapour-high", "- Step · 升级: {beyond: {high: -150}, for: 10m, consecutive: 2, to: orange}"),
        ("cell-storage.ln2-low", "limits {from: sensor, side: low}"),
        ("cell-storage.oxygen-low", "triage · 研判 15m"),
        ("data-integrity.gap", "Where · 范围: every series · 所有测点"),
        ("data-integrity.frozen", "marked rows · 已申报标记的数据: count"),
    ],
)
def test_numbers_stand_there_as_the_file_has_them(rule: str, said: str) -> None:
    assert said in entry(default_bundle().rule(rule), default_bundle())


def test_every_row_of_every_table_stands_there_with_its_edition() -> None:
    for table in default_bundle().tables.values():
        part = CATALOGUE[CATALOGUE.index(f"### {table.id}\n") :]
        for row in table.rows:
            assert f"| {row.edition} | {row.status} |" in part
    assert (
        "| area.kind: freezer; sensor.quantity: temperature | {high: -130} | Cel | {registered: true, consecutive: 2} |"
        in CATALOGUE
    )


@pytest.mark.parametrize(
    ("arguments", "holds"),
    [
        (("--pack", "cold-chain"), lambda r: r.id.startswith("cold-chain.")),
        (("--kind", "gap"), lambda r: r.kind == "gap"),
        (("--stage", "live"), lambda r: r.stage == "live"),
        (("--stage", "draft"), lambda r: r.stage == "draft"),
        (("--status", "verify"), lambda r: "verify" in {c.status for c in r.cites}),
        (("--scope", "retail"), lambda r: {s.field for s in r.scopes} & {"retail", "all"}),
        (("--scope", "distribution/cosmetics"), lambda r: any(
            s.field in {"distribution", "all"} and s.line in {"cosmetics", "all"} for s in r.scopes)),
        (("--kind", "limit", "--status", "verify", "--pack", "cell-storage"), lambda r: r.id == "cell-storage.oxygen-low"),
    ],
)  # fmt: skip
def test_filters_leave_what_is_asked_for(arguments, holds) -> None:
    wanted = [rule.id for rule in RULES if holds(rule)]
    assert listed(*arguments) == wanted
    assert len(wanted) < len(RULES) or arguments == ("--stage", "live")
    shown = json.loads(call("show", "*", "--json", *arguments)) if wanted else []
    assert [rule["id"] for rule in shown] == wanted


def test_the_list_for_people_names_id_kind_colour_and_title() -> None:
    (line,) = call("list", "--pack", "water", "--kind", "limit").splitlines()
    assert line.split()[:5] == ["water.toc", "1.0.0", "limit", "orange", "live"]
    assert line.endswith("制药用水总有机碳超标 / Organic carbon in the water too high")


def test_show_gives_one_value_for_an_id_and_a_list_for_a_pattern() -> None:
    assert json.loads(call("show", "water.toc", "--json"))["limits"] == {"from": {"high": 500}, "inclusive": False}
    assert [rule["id"] for rule in json.loads(call("show", "water.t*", "--json"))] == ["water.toc"]
    text = call("show", "cold-chain.*", "--status", "verify")
    assert re.findall(r"^### (\S+)$", text, re.MULTILINE) == [
        "cold-chain.ambient-store-out",
        "cold-chain.mkt-year",
        "cold-chain.warm-10h",
    ]
    assert "VERIFY: the text is still to be read" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "water.nothing"), "water.nothing is not in these packs"),
        (("show", "water.toc", "--kind", "gap"), "water.toc is not in these packs"),
        (("list", "--kind", "magic"), "no kind magic; known are limit"),
        (("list", "--pack", "watr"), "no pack watr; here are cell-storage"),
        (("list", "--status", "sure"), "sure"),
    ],
)
def test_what_is_not_there_is_wrong_usage(arguments: tuple[str, ...], said: str) -> None:
    assert said in re.sub(r"[\s│]+", " ", call(*arguments, code=2))


def test_a_rule_for_all_lines_is_for_each_of_them() -> None:
    assert {r.id for r in select(RULES, scope="nowhere/nothing")} == {r.id for r in RULES if r.scopes[0].field == "all"}


def test_every_shipped_file_names_its_schema_to_the_editor() -> None:
    for path in sorted(SHIPPED.rglob("*.yaml")):
        first = path.read_text(encoding="utf-8").splitlines()[0]
        name = {"tables": "table", "calendars": "calendar"}.get(path.parent.name, "rule")
        match = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
        assert match, path
        assert (path.parent / match[1]).resolve() == ROOT / "docs" / "contracts" / f"{name}.schema.json"
        assert (path.parent / match[1]).resolve().is_file()


def test_what_a_rule_allows_of_single_sites_stands_there_and_in_no_shipped_rule() -> None:
    bundle = allowing(default_bundle(), {"cold-chain.store-out": {"limits.high": {"min": 8, "max": 10}, "mute": True}})
    rule = bundle.rule("cold-chain.store-out")
    assert rule is not None
    said = "- Exceptions allowed of single sites · 允许的现场例外: {limits.high: {min: 8, max: 10}, mute: true, longest: 90d}"
    assert said in entry(rule, bundle).splitlines()
    assert "允许的现场例外" not in page(default_bundle())


def test_lint_takes_the_shipped_packs_by_name_and_tells_what_has_ended(tmp_path: Path) -> None:
    rule = (SHIPPED / "cold-chain" / "store-out.yaml").read_text(encoding="utf-8")
    (tmp_path / "cold-chain").mkdir()
    more = "override: {reason: this district allows 10}\nexceptions: {limits.high: {min: 8, max: 10}}\n"
    (tmp_path / "cold-chain" / "store-out.yaml").write_text(rule + more, encoding="utf-8")
    content = {
        "schema": "exceptions/1",
        "exceptions": [exception(allow={"limits.high": 9}).model_dump(mode="json", by_alias=True)],
    }
    (tmp_path / "exceptions.yaml").write_text(json.dumps(content), encoding="utf-8")
    told = CliRunner().invoke(app, ["lint", "default", str(tmp_path)])
    assert (told.exit_code, told.output.splitlines()[-1]) == (0, "no faults")
    (note,) = [line for line in told.output.splitlines() if line.startswith("note: ")]
    assert re.search(
        r"exceptions.yaml:1:\d+: ended: exceptions/0/to: EX-1 ended at 2026-03-01T16:00:00.000Z: take it out$", note
    )
