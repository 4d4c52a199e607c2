"""What a model as a whole refuses: all of it at once, each with its place; who reads on behind faults (lint) is told instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import ValidationInfo

REFUSED = "refused"
"""Member of a validation context: a list that takes (JSON pointer, what is wrong) in place of an error."""


def refuse(info: ValidationInfo, found: Iterable[tuple[object, str, str]]) -> None:
    """Refuse a model that is read as a root.

    Args:
        info: of the validator that runs behind all members.
        found: (whether it is wrong, JSON pointer into the model, what is wrong) of each thing that was looked at.

    Raises:
        ValueError: with all that is wrong, unless the context takes it.
    """
    wrong = [(pointer, text) for is_wrong, pointer, text in found if is_wrong]
    if info.context is not None and REFUSED in info.context:
        info.context[REFUSED].extend(wrong)
    elif wrong:
        raise ValueError("; ".join(text for _, text in wrong))


__all__ = ["REFUSED", "refuse"]
