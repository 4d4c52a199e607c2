"""`offsite rules explain`: why a rule spoke at an instant of a dumped log, or why it did not."""

from __future__ import annotations

import json
import sys
from pathlib import Path  # noqa: TC003 - typer reads it at run time
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from monitor.commands.evaluate import records_of
from rules.errors import BadInputError, Fault
from rules.explain import explain
from rules.explainlots import explain_lots
from rules.explainrare import RareExplanation
from rules.explainraretext import rare_lines
from rules.explaintext import lines
from rules.instants import parse_instant
from rules.models import is_facility_id, is_tag
from rules.pack import load_bundle
from rules.rule import LotRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rules.pack import Bundle
    from rules.records import LogRecord


def command(
    rule_id: Annotated[str, typer.Argument(metavar="RULE", help="The rule's id, such as cold-chain.store-out.")],
    log: Annotated[Path, typer.Option("--log", help="A dump as JSON lines (`offsite log dump`).")],
    at: Annotated[str, typer.Option("--at", help="Instant of the log, by receive time (RFC 3339).")],
    facility: Annotated[str | None, typer.Option("--facility", help="Needed if the log holds several.")] = None,
    tag: Annotated[str | None, typer.Option("--tag", help="Only this series; else all that the rule watches.")] = None,
    subject: Annotated[
        str | None,
        typer.Option(
            "--subject",
            help="Of a rule over events or the register only this system, actor, area or device; of one over lots this lot.",
        ),
    ] = None,
    pack: Annotated[
        list[str] | None, typer.Option("--pack", help="As for `offsite evaluate`; default: default.")
    ] = None,
    lang: Annotated[Literal["zh", "en", "both"], typer.Option("--lang", help="Language of the text.")] = "both",
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
    ignore_pack_records: Annotated[bool, typer.Option("--ignore-pack-records", help="Keep --pack throughout.")] = False,
) -> None:
    """Say of each leaf whether it was true, false or unknown, with operands, limits, rows, counts and citations."""
    try:
        instant = parse_instant(at)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--at") from error
    if facility is not None and not is_facility_id(facility):
        raise typer.BadParameter(f"{facility!r} is not a facility id", param_hint="--facility")
    if tag is not None and not is_tag(tag):
        raise typer.BadParameter(f"{tag!r} is not a tag", param_hint="--tag")
    bundle = load_bundle(pack or ["default"])
    try:
        with log.open("rb") as source:
            if isinstance(bundle.rule(rule_id), LotRule):
                _lots(
                    records_of(source, log.name), bundle, rule_id, instant, facility or tag, subject, lang,
                    as_json=as_json, ignore_pack_records=ignore_pack_records,
                )  # fmt: skip
                return
            found, left_out = explain(
                records_of(source, log.name), bundle, rule_id,
                at=instant, facility=facility, tag=tag, subject=subject, ignore_pack_records=ignore_pack_records,
            )  # fmt: skip
    except OSError as error:
        raise BadInputError("log", [Fault(str(log), "unreadable", error.strerror or str(error))]) from error
    if all(entry.rule is None for entry in found) and bundle.rule(rule_id) is None:
        raise typer.BadParameter(f"{rule_id} is not in these packs, nor in those of the log", param_hint="RULE")
    if as_json:
        value = {"explanations": [entry.to_json() for entry in found], "left_out": left_out}
        sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")
        return
    for entry in found:
        text = rare_lines(entry, lang) if isinstance(entry, RareExplanation) else lines(entry, lang)
        sys.stdout.write("\n".join(text) + "\n\n")
    if left_out:
        rare = isinstance(found[0], RareExplanation)
        sys.stdout.write(
            f"{left_out} more {'subjects; name one with --subject' if rare else 'series; name one with --tag'}\n"
        )


def _lots(
    records: Iterator[LogRecord], bundle: Bundle, rule_id: str, at: int, narrowed: str | None, lot: str | None,
    lang: Literal["zh", "en", "both"], *, as_json: bool, ignore_pack_records: bool,
) -> None:  # fmt: skip
    """Explain a rule over lots, from the whole log."""
    if narrowed is not None:
        raise typer.BadParameter(f"{rule_id} is about lots, and these cross facilities: name one with --subject")
    found, left_out = explain_lots(records, bundle, rule_id, at=at, lot=lot, ignore_pack_records=ignore_pack_records)
    if as_json:
        value = {"explanations": [entry.to_json() for entry in found], "left_out": left_out}
        sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")
        return
    if not found:
        sys.stdout.write("no lot is named until then\n")
    for entry in found:
        sys.stdout.write("\n".join(entry.lines(lang)) + "\n\n")
    if left_out:
        sys.stdout.write(f"{left_out} more lots; name one with --subject\n")
