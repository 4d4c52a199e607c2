"""Create and verify the topics; every process checks cluster and topics before it does anything else."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.errors import KafkaError

from rules.errors import ContractError, Fault, PartMissingError
from streams.clients import opened
from streams.topics import TOPICS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.settings import KafkaSettings
    from streams.topics import Topic

TIMEOUT_MS = 10_000


class BrokerDownError(PartMissingError):
    """Kafka does not answer."""

    code: ClassVar[str] = "broker_down"
    action: ClassVar[str] = "Start Kafka, or set OFFSITE_KAFKA_BOOTSTRAP to where it listens; then run it again."


class TopicsError(ContractError):
    """The cluster or its topics are not what this installation was set up with."""

    code: ClassVar[str] = "topics_differ"
    action: ClassVar[str] = (
        "Run `offsite topics verify`; create what is missing with `offsite topics create`, restore the rest."
    )

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = faults
        super().__init__("topics differ: " + "; ".join(str(fault) for fault in faults))


@contextmanager
def admin_client(settings: KafkaSettings) -> Iterator[Any]:
    """Open kafka-python's admin client.

    Raises:
        BrokerDownError: no broker answers in ten seconds, or it went away meanwhile.
    """
    try:
        client = opened(
            KafkaAdminClient,
            client_id="offsite-admin",
            request_timeout_ms=TIMEOUT_MS,
            bootstrap_timeout_ms=TIMEOUT_MS,
            **settings.for_kafka_python(),
        )
    except (KafkaError, OSError) as error:
        raise BrokerDownError(f"no Kafka answers at {settings.bootstrap} ({type(error).__name__})") from error
    try:
        yield client
    except (KafkaError, OSError) as error:
        raise BrokerDownError(
            f"Kafka at {settings.bootstrap} stopped answering ({type(error).__name__}: {error})"
        ) from error
    finally:
        client.close()


def create(settings: KafkaSettings) -> list[str]:
    """Create the topics that are missing; returns their names.

    Raises:
        BrokerDownError: no broker.
        TopicsError: another cluster than expected, or topics there of another partition count; nothing is created.
    """
    with admin_client(settings) as client:
        faults = _wrong_cluster(client, settings)
        there = set(client.list_topics())
        present = [topic for topic in TOPICS if settings.topic(topic.name) in there]
        faults += [] if faults else _wrong_counts(client, settings, present)
        if faults:
            raise TopicsError(faults)
        missing = [topic for topic in TOPICS if settings.topic(topic.name) not in there]
        if missing:
            client.create_topics(
                {
                    settings.topic(topic.name): {
                        "num_partitions": topic.partitions(settings.partitions),
                        "replication_factor": settings.replication,
                        "configs": topic.configs,
                    }
                    for topic in missing
                },
                wait_for_metadata=True,
            )
        return [settings.topic(topic.name) for topic in missing]


def verify(settings: KafkaSettings) -> list[Fault]:
    """Return every deviation of cluster and topics from the table; none means all is well."""
    with admin_client(settings) as client:
        faults = _wrong_cluster(client, settings)
        there = set(client.list_topics())
        names = [settings.topic(topic.name) for topic in TOPICS]
        faults.extend(Fault(name, "missing", "the topic does not exist") for name in names if name not in there)
        present = [topic for topic in TOPICS if settings.topic(topic.name) in there]
        if not present:
            return faults
        faults += _wrong_counts(client, settings, present)
        configs = _configs(client, [settings.topic(t.name) for t in present])
        for topic in present:
            name = settings.topic(topic.name)
            faults.extend(
                Fault(name, "config", f"{key} is {configs[name].get(key)}, not {value}")
                for key, value in topic.configs.items()
                if configs[name].get(key) != value
            )
        return faults


def describe(settings: KafkaSettings) -> dict[str, Any]:
    """Return cluster id, brokers and the topics as they are."""
    with admin_client(settings) as client:
        cluster = client.describe_cluster()
        there = set(client.list_topics())
        present = [settings.topic(t.name) for t in TOPICS if settings.topic(t.name) in there]
        configs = _configs(client, present) if present else {}
        shapes = client.describe_topics(present) if present else []
        return {
            "cluster_id": cluster.get("cluster_id"),
            "brokers": [f"{broker['host']}:{broker['port']}" for broker in cluster.get("brokers", [])],
            "topics": {
                row["name"]: {"partitions": len(row["partitions"]), "configs": configs.get(row["name"], {})}
                for row in shapes
            },
        }


def ensure_ready(settings: KafkaSettings) -> None:
    """Check cluster and topics at the start of a process.

    Raises:
        BrokerDownError: no broker.
        TopicsError: with every deviation.
    """
    faults = verify(settings)
    if faults:
        raise TopicsError(faults)


def _wrong_cluster(client: Any, settings: KafkaSettings) -> list[Fault]:  # noqa: ANN401 - kafka-python ships no types
    cluster = client.describe_cluster().get("cluster_id")
    if settings.cluster_id is None or cluster == settings.cluster_id:
        return []
    return [Fault("cluster", "other_cluster", f"is {cluster}, not {settings.cluster_id}")]


def _wrong_counts(client: Any, settings: KafkaSettings, present: list[Topic]) -> list[Fault]:  # noqa: ANN401 - as above
    if not present:
        return []
    names = [settings.topic(topic.name) for topic in present]
    found = {row["name"]: len(row["partitions"]) for row in client.describe_topics(names)}
    return [
        Fault(name, "partitions", f"has {found[name]} partitions, not {wanted}")
        for name, wanted in zip(names, (topic.partitions(settings.partitions) for topic in present), strict=True)
        if found[name] != wanted
    ]


def _configs(client: Any, names: list[str]) -> dict[str, dict[str, str]]:  # noqa: ANN401 - kafka-python ships no types
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    answer = client.describe_configs(resources, config_filter="all")
    return {
        name: {key: str(entry["value"]) for key, entry in values.items()} for name, values in answer["topic"].items()
    }
