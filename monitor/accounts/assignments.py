"""Who is responsible for which facility: a list that operators keep (`offsite users assign`), for the filter "mine" and for nobody's.

It gives no right and takes none: who may act on alarms may act on all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, select

from monitor.accounts.users import Role, known
from monitor.store.desk_tables import AssignmentRow, UserRow
from monitor.store.tables import FacilityVersion
from rules.errors import BadInputError, Fault

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import Select
    from sqlalchemy.orm import Session

AT_ONCE = 500
"""Values of one statement."""


def assign(session: Session, name: str, facilities: Collection[str], actor: str, now_ms: int) -> int:
    """Make an account responsible for facilities, beside whoever is; returns for how many it was not before.

    Raises:
        BadInputError: with every fault: no such account, one that may not act or is disabled, facilities that are not registered.
    """
    user = known(session, name)
    faults = []
    if not Role(user.role).acts:
        faults.append(Fault("/name", "role", f"{name} is {user.role}: supervisors and leads answer for facilities"))
    if user.disabled_ms is not None:
        faults.append(Fault("/name", "disabled", f"{name} is disabled"))
    wanted = list(dict.fromkeys(facilities))
    registered: set[str] = set()
    for start in range(0, len(wanted), AT_ONCE):
        part = FacilityVersion.facility.in_(wanted[start : start + AT_ONCE])
        registered |= set(session.scalars(select(FacilityVersion.facility).where(part).distinct()))
    faults += [
        Fault(f"/facilities/{i}", "unknown", f"{one!r} is not in the register")
        for i, one in enumerate(wanted)
        if one not in registered
    ]
    if faults:
        raise BadInputError("assignment", faults)
    there = set(session.scalars(select(AssignmentRow.facility).where(AssignmentRow.user == name)))
    new = [one for one in wanted if one not in there]
    session.add_all(AssignmentRow(facility=one, user=name, actor=actor, at_ms=now_ms) for one in new)
    return len(new)


def unassign(session: Session, name: str, facilities: Collection[str]) -> int:
    """Let an account answer for facilities no more; returns for how many it did.

    Raises:
        BadInputError: no such account.
    """
    known(session, name)
    gone, wanted = 0, sorted(set(facilities))
    for start in range(0, len(wanted), AT_ONCE):
        part = AssignmentRow.facility.in_(wanted[start : start + AT_ONCE])
        done = session.execute(delete(AssignmentRow).where(AssignmentRow.user == name, part))
        gone += int(getattr(done, "rowcount", 0))
    return gone


def responsible(name: str | None = None) -> Select[str]:
    """Return the facilities that an account answers for, or anybody who may sign in, as a subquery."""
    found = select(AssignmentRow.facility)
    if name is not None:
        return found.where(AssignmentRow.user == name)
    return found.join(UserRow, UserRow.name == AssignmentRow.user).where(UserRow.disabled_ms.is_(None))


def of_facilities(session: Session, facilities: Collection[str]) -> dict[str, list[tuple[str, str]]]:
    """Return name and display name of who answers for each facility, by name; who is disabled is left out."""
    found: dict[str, list[tuple[str, str]]] = {}
    wanted = sorted(facilities)
    for start in range(0, len(wanted), AT_ONCE):
        rows = (
            select(AssignmentRow.facility, UserRow.name, UserRow.display)
            .join(UserRow, UserRow.name == AssignmentRow.user)
            .where(AssignmentRow.facility.in_(wanted[start : start + AT_ONCE]), UserRow.disabled_ms.is_(None))
            .order_by(UserRow.name)
        )
        for facility, name, display in session.execute(rows):
            found.setdefault(facility, []).append((name, display))
    return found


def everybody(session: Session) -> list[tuple[str, str]]:
    """Return name and display name of all who answer for a facility and may sign in, by name."""
    rows = (
        select(UserRow.name, UserRow.display)
        .join(AssignmentRow, AssignmentRow.user == UserRow.name)
        .where(UserRow.disabled_ms.is_(None))
        .distinct()
        .order_by(UserRow.name)
    )
    return [(name, display) for name, display in session.execute(rows)]


def of_accounts(session: Session) -> dict[str, list[str]]:
    """Return the facilities of each account that has some, by id."""
    found: dict[str, list[str]] = {}
    for row in session.scalars(select(AssignmentRow).order_by(AssignmentRow.user, AssignmentRow.facility)):
        found.setdefault(row.user, []).append(row.facility)
    return found
