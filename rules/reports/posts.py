"""What may be posted as a report, as one model: the envelope and the fields of each type. Its JSON Schema is the contract.

`rules.reports.reading` reads; a property test holds what it takes against this schema.
"""

from __future__ import annotations

from functools import reduce
from operator import or_
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, RootModel, create_model

from rules.reports.parts import meant
from rules.reports.reading import ReportEnvelope
from rules.reports.types import TYPES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rules.reports.types import ReportType


def example_of(name: str) -> dict[str, Any]:
    """Return a whole report of a type, as it may be posted."""
    return {
        "type": name,
        "id": "R-2026-0031",
        "revision": 1,
        "sent": "2026-03-05T09:00:00+08:00",
        "fields": dict(TYPES[name].example),
    }


def _post(name: str, known: ReportType) -> type[ReportEnvelope]:
    fields: dict[str, Any] = {
        "type": (Literal[name], meant("Type of report", "报告类型")),
        "fields": (known.model, meant("As its type says", "按报告类型")),
    }
    named, said = f"{known.model.__name__}Post", f"{known.title.en} ({known.title.zh})"
    return create_model(named, __base__=ReportEnvelope, __module__=__name__, __doc__=said, **fields)


POSTS: Mapping[str, type[ReportEnvelope]] = MappingProxyType(
    {name: _post(name, known) for name, known in TYPES.items()}
)
"""By the name that stands in `type`."""
_ANY: Any = Annotated[reduce(or_, POSTS.values()), Field(discriminator="type")]
ReportPost: type[RootModel[Any]] = create_model(
    "ReportPost",
    __base__=RootModel,
    __module__=__name__,
    __doc__="What a facility posts to `/v1/reports`; id and revision make sending again harmless.",
    root=(_ANY, ...),
)
"""A report of any type."""
