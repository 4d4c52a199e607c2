"""YAML text to plain values, with the line and column of every place, so that each fault names where it stands."""

from __future__ import annotations

from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.composer import Composer
from ruamel.yaml.constructor import RoundTripConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent

from rules.errors import Fault

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 32
_OF_A_VALUE = frozenset(
    {"wrong_type", "wrong_form", "out_of_range", "unknown_value", "not_finite", "too_many", "too_few"}
)
"""Codes that tell of a value that is there: a part of the pointer that is not there names a branch of the model."""


class _AliasError(MarkedYAMLError):
    """An alias stands in the text."""


class _Composer(Composer):
    """Composes no alias: it hides what a person reviews, and can grow without bound."""

    def compose_node(self, parent: Any, index: Any) -> Any:  # noqa: ANN401 - ruamel's signature
        if self.parser.check_event(AliasEvent):
            raise _AliasError(problem_mark=self.parser.peek_event().start_mark)
        return super().compose_node(parent, index)


class _Constructor(RoundTripConstructor):
    """Leaves dates as the text they are: a day that the calendar has not is the model's to name, at its place."""


_Constructor.add_constructor("tag:yaml.org,2002:timestamp", RoundTripConstructor.construct_yaml_str)


class Document:
    """A parsed YAML (or JSON) text: `value` is plain, `where` turns a JSON pointer into `file:line:column`."""

    def __init__(self, name: str, tree: Any) -> None:  # noqa: ANN401 - a YAML tree
        self.name = name
        self.value = _plain(tree)
        self._tree = tree

    def where(self, pointer: str) -> str:
        """Return the place of the deepest part of `pointer` that exists."""
        node, line, column = self._tree, 0, 0
        for part in pointer.split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            try:
                if isinstance(node, CommentedMap) and key in node:
                    line, column = node.lc.key(key)
                    node = node[key]
                elif isinstance(node, CommentedSeq) and key.isdigit() and int(key) < len(node):
                    line, column = node.lc.item(int(key))
                    node = node[int(key)]
            except (KeyError, AttributeError, TypeError):
                break
        return f"{self.name}:{line + 1}:{column + 1}"

    def place(self, fault: Fault) -> Fault:
        """Return the fault with its place instead of its pointer, and the pointer in its detail."""
        label = self._label(fault)
        return Fault(self.where(fault.pointer), fault.code, f"{label}: {fault.detail}" if label else fault.detail)

    def _label(self, fault: Fault) -> str:
        """Return the pointer in the file's own members: which branch of a model was tried is no place in it."""
        parts = fault.pointer.split("/")[1:]
        node, kept = self._tree, []
        for i, part in enumerate(parts):
            key = part.replace("~1", "/").replace("~0", "~")
            if isinstance(node, CommentedMap) and key in node:
                node = node[key]
            elif isinstance(node, CommentedSeq) and key.isdigit() and int(key) < len(node):
                node = node[int(key)]
            elif i < len(parts) - 1 or fault.code in _OF_A_VALUE:
                continue
            kept.append(part)
        return "/".join(kept)


def read_yaml(text: str, name: str, max_bytes: int = MAX_BYTES) -> Document | list[Fault]:
    """Parse one document; what is wrong with the text itself comes back as faults.

    Aliases are refused (they hide what a person reviews, and can grow without bound), as are duplicate keys.
    """
    if len(text.encode()) > max_bytes:
        return [Fault(f"{name}:1:1", "too_large", f"a file holds at most {max_bytes // 1024} KiB")]
    try:
        parser = YAML(typ="rt")
        parser.Composer, parser.Constructor = _Composer, _Constructor
        parser.allow_duplicate_keys = False
        return Document(name, parser.load(StringIO(text)))
    except _AliasError as error:
        mark = error.problem_mark
        at = f"{name}:{mark.line + 1}:{mark.column + 1}"
        return [Fault(at, "alias", "aliases are not allowed; write it out")]
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else f"{name}:1:1"
        return [Fault(at, "yaml", str(error.problem or error.context or "not YAML").split("\n")[0])]
    except (YAMLError, ValueError, RecursionError) as error:
        return [Fault(f"{name}:1:1", "yaml", str(error).split("\n")[0] or type(error).__name__)]


def _plain(node: Any, depth: int = 0) -> Any:  # noqa: ANN401 - a YAML tree
    if depth > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH}")
    if isinstance(node, dict):
        return {str(key): _plain(value, depth + 1) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(value, depth + 1) for value in node]
    if isinstance(node, bool) or node is None:
        return node
    for kind in (int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node
