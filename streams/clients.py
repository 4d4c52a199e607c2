"""The one place that opens a client of kafka-python, and closes a producer: what cannot be opened or closed leaves nothing behind.

kafka-python 3.0.12 starts its network thread in the constructor and keeps it when the constructor raises: every try against a
broker that is away would leave one more thread, with its sockets, that asks for ever. A producer's `close` does the same
when what is unsent cannot be flushed in time: it raises, its thread goes on, and sends what was given up when the broker is back. `commit_transaction` and
`abort_transaction` wait without end for a broker that is away.
"""

from __future__ import annotations

from typing import Any

from kafka.errors import KafkaError, KafkaTimeoutError
from kafka.net.compat import KafkaNetClient


def opened(kind: type[Any], **configs: object) -> Any:  # noqa: ANN401 - kafka-python ships no types
    """Return `kind(**configs)`; if that raises, its network thread and sockets are closed first.

    Args:
        kind: `KafkaConsumer`, `KafkaProducer` or `KafkaAdminClient`.
        configs: its settings; `kafka_client` is ours.
    """
    made: list[Any] = []

    def net_client(**settings: object) -> Any:  # noqa: ANN401 - as above
        made.append(KafkaNetClient(**settings))
        return made[-1]

    try:
        return kind(kafka_client=net_client, **configs)
    except BaseException:
        for client in made:
            client.close()
        raise


def let_go(producer: Any, timeout_s: float) -> None:  # noqa: ANN401 - kafka-python ships no types
    """Close a producer within about `timeout_s`; what it could not send by then is given up and never sent."""
    try:
        producer.close(timeout=timeout_s)
    except (KafkaError, OSError, AssertionError):
        sender = producer._sender  # noqa: SLF001 - `close` raised before it ended its own thread
        if sender is not None:
            sender.force_close()
            sender.join(timeout_s)


def end_transaction(producer: Any, timeout_s: float, *, commit: bool) -> None:  # noqa: ANN401 - kafka-python ships no types
    """Commit or abort a producer's transaction within `timeout_s`.

    Raises:
        KafkaTimeoutError: the coordinator did not answer; what became of it is not known.
        KafkaError: it refuses.
    """
    manager = producer._transaction_manager  # noqa: SLF001 - the public methods wait without end
    result = manager.begin_commit() if commit else manager.begin_abort()
    producer._sender.wakeup()  # noqa: SLF001 - as above
    if not result.wait(timeout_ms=timeout_s * 1_000):
        raise KafkaTimeoutError(f"no answer in {timeout_s:g} s")
