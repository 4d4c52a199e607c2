"""Local accounts: add, reset, disable, list; change one's own password."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy import delete, select

from monitor.accounts.passwords import hashed, matches, one_time, weaknesses
from monitor.store.desk_tables import SessionRow, UserRow
from monitor.words import is_name
from rules.errors import BadInputError, Fault

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from monitor.store.session import Store

NAME = re.compile(r"[a-z][a-z0-9._-]{1,31}")
LANGUAGES = ("zh", "en")
DISPLAY_CHARACTERS = 100


class Role(StrEnum):
    """What a person is here for. A reader looks; an operator runs the monitor; supervisors and leads act on alarms."""

    READER = "reader"
    OPERATOR = "operator"
    SUPERVISOR = "supervisor"
    LEAD = "lead"

    @property
    def acts(self) -> bool:
        """Whether the role may act on alarms."""
        return self in {Role.SUPERVISOR, Role.LEAD}


def add(session: Session, name: str, *, display: str, role: str, language: str, now_ms: int) -> str:
    """Add an account; returns its one-time password, which is kept nowhere.

    Raises:
        BadInputError: name, role or language are none, or the name is taken.
    """
    faults = []
    if NAME.fullmatch(name) is None:
        faults.append(Fault("/name", "pattern", "2 to 32 of a-z 0-9 . _ -, a letter first"))
    elif session.get(UserRow, name) is not None:
        faults.append(
            Fault("/name", "taken", f"{name} has an account; `offsite users reset {name}` gives a new password")
        )
    if role not in set(Role):
        faults.append(Fault("/role", "enum", f"one of {', '.join(Role)}"))
    if language not in LANGUAGES:
        faults.append(Fault("/language", "enum", f"one of {', '.join(LANGUAGES)}"))
    if not is_name(display, DISPLAY_CHARACTERS):
        faults.append(Fault("/display", "text", "1 to 100 printable characters"))
    if faults:
        raise BadInputError("user", faults)
    password = one_time()
    session.add(
        UserRow(
            name=name, display=display, role=role, language=language, password_hash=hashed(password), must_change=True,
            created_ms=now_ms,
        )
    )  # fmt: skip
    return password


def reset(session: Session, name: str) -> str:
    """Give a new one-time password and end every session of the account; returns the password.

    A disabled account is let in again.
    """
    user = known(session, name)
    password = one_time()
    user.password_hash, user.must_change, user.disabled_ms = hashed(password), True, None
    end_sessions(session, name)
    return password


def disable(session: Session, name: str, now_ms: int) -> None:
    """Let nobody in under this name any more, and end its sessions at once."""
    known(session, name).disabled_ms = now_ms
    end_sessions(session, name)


def change_password(store: Store, name: str, old: str, new: str) -> list[str]:
    """Set one's own password and end every session of the account; returns what is wrong, empty when it was set.

    `wrong` speaks of the old password, all else of the new one. Hashes are worked out in no transaction.
    """
    with store.reading() as session:
        before = known(session, name, lock=False).password_hash
    if not matches(before, old):
        return ["wrong"]
    faults = weaknesses(new, name) or (["same"] if matches(before, new) else [])
    if faults:
        return faults
    chosen = hashed(new)
    with store.writing() as session:
        user = known(session, name)
        if user.password_hash != before or user.disabled_ms is not None:
            return ["wrong"]  # reset or disabled meanwhile
        user.password_hash, user.must_change = chosen, False
        end_sessions(session, name)
    return []


def every(session: Session) -> list[UserRow]:
    """Return all accounts by name."""
    return list(session.scalars(select(UserRow).order_by(UserRow.name)))


def end_sessions(session: Session, name: str) -> None:
    """End every session of an account."""
    session.execute(delete(SessionRow).where(SessionRow.user == name))


def known(session: Session, name: str, *, lock: bool = True) -> UserRow:
    """Return an account, locked unless it is only looked at.

    Raises:
        BadInputError: there is none of that name.
    """
    user = session.get(UserRow, name, with_for_update=lock or None) if NAME.fullmatch(name) else None
    if user is None:
        raise BadInputError(
            "user", [Fault("/name", "unknown", f"there is no account {name!r}; `offsite users list` names them")]
        )
    return user
