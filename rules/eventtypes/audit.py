"""Events of stream `audit`: what the audit trails of computer systems hold (catalogue part 2, §12)."""

from __future__ import annotations

from typing import Literal

from rules.models import Identifier
from rules.reports.parts import Fields, Limits, Name, Short, Words, meant


class AuditHeartbeat(Fields):
    """The audit trail of a system lives."""

    system: Short | None = meant(
        "The system, if it is not `source`", "系统，与 source 不同时填写", example="LIMS", optional=True
    )


class AuditDisabled(AuditHeartbeat):
    """The audit trail of a system was switched off."""


class _Acted(Fields):
    actor: Short = meant("Who did it", "操作人", example="u-12")
    role: Short | None = meant(
        "Role of the actor, such as administrator", "操作人角色", example="administrator", optional=True
    )
    reason: Words | None = meant("Why", "原因", optional=True)


class _OfAsset(_Acted):
    asset: Identifier = meant("A tag, an area or a device", "测点、区域或设备", example="CR1.T1")


class LimitChanged(_OfAsset):
    """Limits of alarm were set; a limit that stands in `old` alone, or is null in `new`, was taken away."""

    old: Limits = meant("Limits before", "变更前限值", example={"low": 2, "high": 8})
    new: Limits = meant("Limits after", "变更后限值", example={"low": 2, "high": 10})


class AlarmDisabled(_OfAsset):
    """An alarm was switched off."""


class AlarmEnabled(_OfAsset):
    """An alarm was switched on again."""


class Action(_Acted):
    """Data were created, changed, deleted or approved."""

    terminal: Short | None = meant("Where the actor worked", "操作终端", example="T-3", optional=True)
    verb: Literal["create", "change", "delete", "approve"] = meant("What was done", "操作类型")
    object: Name = meant("To what", "操作对象", example="result S-88")
