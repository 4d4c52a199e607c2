"""`offsite quarantine`: facilities that are not folded because a record of theirs ended the worker three times."""

from __future__ import annotations

import asyncio
import getpass
import json
import sys
import time
from typing import TYPE_CHECKING, Annotated, ClassVar
from uuid import uuid4

import typer
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from monitor.settings import kafka_settings
from rules.errors import ContractError, PartMissingError
from rules.instants import format_instant
from rules.models import is_facility_id
from streams import admin
from streams.quarantine import NOTE_KEY, Quarantine, Release, decode_note, encode_note
from streams.release import notes_of
from streams.topics import LOTS_STATE, STATE

if TYPE_CHECKING:
    from streams.settings import KafkaSettings

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Facilities that are not folded because a record of theirs ended the worker.",
)
ASK_S = 1.0


class NotQuarantinedError(ContractError):
    """There is nothing to release."""

    code: ClassVar[str] = "not_quarantined"
    action: ClassVar[str] = "`offsite quarantine list` names the facilities that are quarantined."


class NotReleasedError(PartMissingError):
    """The owner of the partition did not say within the time that the facility is folded again."""

    code: ClassVar[str] = "not_released"
    action: ClassVar[str] = (
        "The wish stands: the worker takes it when it runs. If the record ended it again, the desk's page Monitor health and "
        "the worker's log say so; install a release that folds it, then release again."
    )


@app.command("list")
def list_quarantined(
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout, one line each.")] = False,
) -> None:
    """Print each facility, or lot by its key, with the record that ended the worker, and from where its records wait."""
    found = [each for of in asyncio.run(_standing(kafka_settings())).values() for each in of]
    for each in sorted(found, key=lambda q: q.facility):
        if as_json:
            sys.stdout.write(json.dumps(each.model_dump(mode="json", exclude={"base", "version"})) + "\n")
            continue
        sys.stdout.write(
            f"{each.facility}  partition {each.partition}  record at offset {each.offset} of "
            f"{format_instant(each.since)}  ended {each.deaths} workers  not folded from offset {each.begin}\n"
        )
    if not found:
        sys.stderr.write("offsite: no facility is quarantined\n")


@app.command()
def release(
    facility: Annotated[str, typer.Argument(help="The facility to fold again.")],
    wait: Annotated[float, typer.Option("--wait", min=0, max=3600, help="Seconds to wait until it is done.")] = 60,
) -> None:
    """Let the worker fold what was kept, in order, and go on with the facility; it needs the rights of the worker.

    Ends with 4 if that has not happened within the time.
    """
    if not is_facility_id(facility):
        raise typer.BadParameter(f"{facility!r} is not a facility id", param_hint="FACILITY")
    asyncio.run(_release(kafka_settings(), facility, wait))
    sys.stderr.write(f"offsite: {facility} is folded again\n" if wait else f"offsite: asked to release {facility}\n")


async def _standing(settings: KafkaSettings) -> dict[str, list[Quarantine]]:
    """Return what is quarantined, by the topic of state that says so: of facilities, and of lots."""
    admin.ensure_ready(settings)
    standing = {}
    for topic in (settings.topic(STATE), settings.topic(LOTS_STATE)):
        try:
            found = await notes_of(settings.for_aiokafka(), topic, range(settings.partitions), NOTE_KEY.match)
        except KafkaError as error:
            raise admin.BrokerDownError(
                f"Kafka at {settings.bootstrap} does not answer ({type(error).__name__})"
            ) from error
        rows = [value for notes in found.values() for key, value in notes.items() if key.startswith("quarantine-")]
        standing[topic] = [decode_note(Quarantine, row) for row in rows]
    return standing


async def _release(settings: KafkaSettings, facility: str, wait_s: float) -> None:
    found = [(topic, q) for topic, of in (await _standing(settings)).items() for q in of if q.facility == facility]
    if not found:
        raise NotQuarantinedError(f"{facility} is not quarantined")
    topic, standing = found[0]
    wish = Release(id=uuid4().hex, facility=facility, offset=standing.offset, by=getpass.getuser()[:128])
    key = f"release-{facility}".encode()
    async with AIOKafkaProducer(acks="all", enable_idempotence=True, **settings.for_aiokafka()) as producer:
        await producer.send_and_wait(topic, encode_note(wish), key, partition=standing.partition)
    deadline = time.monotonic() + wait_s
    while wait_s:
        await asyncio.sleep(ASK_S)
        notes = await notes_of(settings.for_aiokafka(), topic, [standing.partition], NOTE_KEY.match)
        left = notes[standing.partition]
        if f"quarantine-{facility}" not in left:
            return
        if key.decode() not in left:
            raise NotReleasedError(f"{facility} is still quarantined: its release did not come off")
        if time.monotonic() > deadline:
            raise NotReleasedError(f"{facility} is still quarantined after {wait_s:g} s")
