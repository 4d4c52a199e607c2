"""`offsite rules list`, `show` and `catalogue`: which rules there are, one of them whole, all of them as a page."""

from __future__ import annotations

import json
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from rules.catalogue import entry, page, select
from rules.pack import load_bundle
from rules.salvage import KINDS

if TYPE_CHECKING:
    from rules.rule import Rule

Folders = Annotated[
    list[Path] | None, typer.Argument(help="Folders of rule files; the shipped packs if none is given.")
]
Pack = Annotated[str | None, typer.Option("--pack", help="Only of this pack: the id before the dot.")]
Kind = Annotated[str | None, typer.Option("--kind", help=f"Only of this kind: {', '.join(KINDS)}.")]
Stage = Annotated[
    Literal["draft", "shadow", "live", "retired"] | None, typer.Option("--stage", help="Only of this stage.")
]
Status = Annotated[
    Literal["cited", "verify", "own"] | None, typer.Option("--status", help="Only with a citation of this status.")
]
Scope = Annotated[str | None, typer.Option("--scope", help="Only for this FIELD or FIELD/LINE.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


def list_rules(
    folders: Folders = None, pack: Pack = None, kind: Kind = None, stage: Stage = None, status: Status = None,
    scope: Scope = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """List the rules: id, version, kind, colour, stage, title."""
    rules = _asked(load_bundle(folders or ["default"]).rules, pack, kind, stage, status, scope)
    if as_json:
        rows = [
            {"id": r.id, "version": r.version, "kind": r.kind, "severity": r.severity.base, "stage": r.stage,
             "title": r.title.model_dump(), "scopes": [s.model_dump() for s in r.scopes],
             "citations": [c.status for c in r.cites]}
            for r in rules
        ]  # fmt: skip
        sys.stdout.write(json.dumps(rows, ensure_ascii=False, indent=2) + "\n")
        return
    for r in rules:
        sys.stdout.write(
            f"{r.id:34} {r.version:7} {r.kind:14} {r.severity.base:7} {r.stage:7} {r.title.zh} / {r.title.en}\n"
        )


def show(
    rule: Annotated[str, typer.Argument(metavar="RULE", help="A rule's id, or a pattern such as 'cold-chain.*'.")],
    folders: Folders = None, pack: Pack = None, kind: Kind = None, stage: Stage = None, status: Status = None,
    scope: Scope = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Print rules whole: texts, condition, numbers, clocks, citations with their status; `--json`: as the file has them."""
    bundle = load_bundle(folders or ["default"])
    found = _asked(bundle.rules, pack, kind, stage, status, scope)
    found = [one for one in found if fnmatchcase(one.id, rule)]
    if not found:
        raise typer.BadParameter(f"{rule} is not in these packs", param_hint="RULE")
    if as_json:
        rows = [one.model_dump(mode="json", by_alias=True, exclude_none=True) for one in found]
        # One that is named by its id is one value, what a pattern finds is a list, even of one.
        value = rows[0] if found[0].id == rule else rows
        sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")
        return
    sys.stdout.write("\n".join(entry(one, bundle) for one in found))


def catalogue(
    folders: Folders = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write it here instead of to stdout.")] = None,
) -> None:
    """Write all rules and tables as one page of Markdown, each citation with its status (docs/rules.md)."""
    text = page(load_bundle(folders or ["default"]))
    if out is None:
        sys.stdout.write(text)
    else:
        out.write_text(text, encoding="utf-8")


def _asked(
    rules: tuple[Rule, ...], pack: str | None, kind: str | None, stage: str | None, status: str | None,
    scope: str | None,
) -> list[Rule]:  # fmt: skip
    if kind is not None and kind not in KINDS:
        raise typer.BadParameter(f"no kind {kind}; known are {', '.join(KINDS)}", param_hint="--kind")
    packs = sorted({rule.id.split(".")[0] for rule in rules})
    if pack is not None and pack not in packs:
        raise typer.BadParameter(f"no pack {pack}; here are {', '.join(packs)}", param_hint="--pack")
    return select(rules, pack=pack, kind=kind, stage=stage, status=status, scope=scope)
