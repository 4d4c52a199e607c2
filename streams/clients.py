"""The one place that opens a client of kafka-python: one that cannot be opened leaves nothing behind.

kafka-python 3.0.12 starts its network thread in the constructor and keeps it when the constructor raises: every try against a
broker that is away would leave one more thread, with its sockets, that asks for ever.
"""

from __future__ import annotations

from typing import Any

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
