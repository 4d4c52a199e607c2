"""The one agent on the log. Nothing escapes it: an exception that leaves a Faust agent acknowledges its event."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streams.custody import Custody
    from streams.halt import Halt


async def fold_log(stream: Any, custody: Custody, halt: Halt) -> None:  # noqa: ANN401 - faust ships no types
    """Hand every message of the stream to custody; anything unexpected ends the process.

    The source topic is declared with `acks=False` and the stream taken with `noack`: Faust never commits an offset.
    The only committed offsets are those of checkpoints.
    """
    try:
        async for event in stream.noack().events():
            message = event.message
            await custody.take(message.partition, message.records, message.stamp)
    except (asyncio.CancelledError, GeneratorExit):
        raise
    except BaseException as error:  # noqa: BLE001 - Faust would count the event as done and go on behind it
        halt("the fold failed", error)
    if not stream.app.should_stop:
        halt("the stream of the log ended by itself")
