"""Set the passwords of the processes in Kafka and make its access rules equal to acls.yaml.

Run as the administrator (OFFSITE_KAFKA_* as for every process): `grant.py --acls FILE --secrets FOLDER`. The folder holds
`kafka_<principal>_password`. Running it again changes nothing but salts, so that is also how a password is exchanged.
"""  # noqa: INP001 - a script that docker-compose.yml mounts, not a package

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from pydantic import Field, ValidationError, model_validator

from monitor.settings import kafka_settings
from rules.errors import BadInputError, Fault, OffsiteError, PartMissingError
from rules.models import Strict, faults_of
from rules.yamlfile import read_yaml
from streams.admin import BrokerDownError, admin_client

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streams.settings import KafkaSettings

RETRY_S = 2.0
TRIES = 30
SHORTEST_PASSWORD = 24
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")]
Principal = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")]


class Rule(Strict):
    """Operations on resources of one type, by name or by prefix."""

    topic: list[Name] = Field(default_factory=list)
    group: list[Name] = Field(default_factory=list)
    transactional_id: list[Name] = Field(default_factory=list)
    prefix: bool = False
    may: Annotated[list[Literal["read", "write", "describe", "describe_configs"]], Field(min_length=1)]

    @model_validator(mode="after")
    def _one_type(self) -> Self:
        if sum(map(bool, (self.topic, self.group, self.transactional_id))) != 1:
            raise ValueError("name exactly one of topic, group, transactional_id")
        return self

    def acls(self, principal: str) -> Iterable[ACL]:
        """Give Kafka's form of the rule for one principal."""
        pattern = ACLResourcePatternType.PREFIXED if self.prefix else ACLResourcePatternType.LITERAL
        for kind in ("topic", "group", "transactional_id"):
            for name in getattr(self, kind):
                for operation in self.may:
                    yield ACL(
                        f"User:{principal}", "*", ACLOperation[operation.upper()], ACLPermissionType.ALLOW,
                        ResourcePattern(ResourceType[kind.upper()], name, pattern),
                    )  # fmt: skip


class Acls(Strict):
    """The whole list."""

    everyone: list[Rule]
    principals: Annotated[dict[Principal, list[Rule]], Field(min_length=1)]

    def acls(self) -> set[ACL]:
        """Return every rule in Kafka's form."""
        return {
            acl
            for principal, own in self.principals.items()
            for rule in (*self.everyone, *own)
            for acl in rule.acls(principal)
        }


class GrantError(PartMissingError):
    """Kafka took a rule or a password not."""

    code = "grant"
    action = "Read what Kafka says; the administrator must be one of the broker's super.users."


def read_acls(path: Path) -> Acls:
    """Read the list.

    Raises:
        BadInputError: with every fault.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(str(path), [Fault(str(path), "unreadable", str(error))]) from error
    document = read_yaml(text, path.name)
    if isinstance(document, list):
        raise BadInputError(str(path), document)
    try:
        return Acls.model_validate(document.value)
    except ValidationError as error:
        raise BadInputError(str(path), [document.place(fault) for fault in faults_of(error)]) from error


def read_passwords(folder: Path, principals: Iterable[str]) -> dict[str, str]:
    """Read the password of each principal.

    Raises:
        BadInputError: with every file that is missing or too short.
    """
    found, faults = {}, []
    for principal in principals:
        path = folder / f"kafka_{principal}_password"
        try:
            found[principal] = path.read_text(encoding="utf-8").strip()
        except OSError as error:
            faults.append(Fault(str(path), "missing", f"{error.strerror}; run deploy/make-secrets.sh"))
            continue
        if len(found[principal]) < SHORTEST_PASSWORD:
            faults.append(Fault(str(path), "short", f"shorter than {SHORTEST_PASSWORD} characters"))
    if faults:
        raise BadInputError("passwords", faults)
    return found


def grant(settings: KafkaSettings, wanted: Acls, passwords: dict[str, str]) -> tuple[int, int]:
    """Set passwords and rules; returns how many rules were added and taken away.

    Raises:
        BrokerDownError: no broker answers.
        GrantError: Kafka refuses.
    """
    with admin_client(settings) as client:
        outcome = client.alter_user_scram_credentials(
            [UserScramCredentialUpsertion(name, ScramMechanism.SCRAM_SHA_512, word) for name, word in passwords.items()]
        )
        refused = [f"{name}: {why}" for name, why in outcome.items() if why is not None]
        if refused:
            raise GrantError("passwords: " + "; ".join(refused))
        rules = wanted.acls()
        there = _present(client, {acl.principal for acl in rules})
        added, surplus = rules - there, there - rules
        if added:
            failed = client.create_acls(sorted(added, key=repr))["failed"]
            if failed:
                raise GrantError(f"rules: {failed}")
        if surplus:
            for _, _, error in client.delete_acls([_exactly(acl) for acl in sorted(surplus, key=repr)]):
                if getattr(error, "errno", 0):
                    raise GrantError(f"rules: {error}")
    return len(added), len(surplus)


def _present(client: object, principals: set[str]) -> set[ACL]:
    anything = ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY)
    everything = ACLFilter(None, None, ACLOperation.ANY, ACLPermissionType.ANY, anything)
    found, _ = client.describe_acls(everything)  # type: ignore[attr-defined]  # kafka-python ships no types
    return {acl for acl in found if acl.principal in principals}


def _exactly(acl: ACL) -> ACLFilter:
    return ACLFilter(acl.principal, acl.host, acl.operation, acl.permission_type, acl.resource_pattern)


def main() -> None:
    """Read, wait for the broker, grant; exit codes as `offsite` has them."""
    parser = argparse.ArgumentParser(description="Set passwords and access rules in Kafka.")
    parser.add_argument("--acls", type=Path, required=True)
    parser.add_argument("--secrets", type=Path, required=True)
    arguments = parser.parse_args()
    try:
        wanted = read_acls(arguments.acls)
        passwords = read_passwords(arguments.secrets, wanted.principals)
        for left in reversed(range(TRIES)):
            try:
                added, gone = grant(kafka_settings(), wanted, passwords)
                break
            except BrokerDownError:
                if not left:
                    raise
                time.sleep(RETRY_S)
    except OffsiteError as error:
        sys.stderr.write(f"grant: {error.report()}\n")
        raise SystemExit(error.exit_code) from None
    sys.stdout.write(f"{len(passwords)} passwords set, {added} rules added, {gone} taken away\n")


if __name__ == "__main__":
    main()
