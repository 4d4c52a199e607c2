"""How to reach Kafka: one value that every process builds its clients from. Secrets come from files, never from arguments."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from rules.models import Strict

DEFAULT_PARTITIONS = 48
"""Fixed for ever in production (architecture.md); the demo uses 8."""
MAX_PARTITIONS = 1_000
"""More than any deployment has; a topic of a million would only burden the broker."""


class KafkaSettings(Strict):
    """Bootstrap servers, security and the shape that the topics must have."""

    bootstrap: str = "127.0.0.1:9092"
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    username: str | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    partitions: int = Field(default=DEFAULT_PARTITIONS, ge=1, le=MAX_PARTITIONS)
    replication: int = Field(default=1, ge=1, le=9)
    cluster_id: str | None = None
    """The cluster this installation belongs to; a process that meets another one stops."""
    topic_prefix: str = Field(default="", pattern=r"^[a-z0-9.-]{0,40}$")
    """Set by tests that share a broker; empty in every installation."""

    def topic(self, name: str) -> str:
        """Return the name of a topic in this installation."""
        return self.topic_prefix + name

    def for_aiokafka(self) -> dict[str, Any]:
        """Return the keyword arguments that aiokafka's clients take."""
        arguments: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap,
            "security_protocol": self.security_protocol,
        }
        if self.sasl_mechanism:
            arguments |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.username,
                "sasl_plain_password": self._password(),
            }
        if self.security_protocol.endswith("SSL"):
            arguments["ssl_context"] = ssl.create_default_context(cafile=self.ca_file)
        return arguments

    def for_kafka_python(self) -> dict[str, Any]:
        """Return the keyword arguments that kafka-python's clients take."""
        arguments = self.for_aiokafka()
        arguments["bootstrap_servers"] = self.bootstrap.split(",")
        return arguments

    def _password(self) -> str | None:
        return self.password_file.read_text(encoding="utf-8").strip() if self.password_file else None
