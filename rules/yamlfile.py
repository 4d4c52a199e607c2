"""YAML text to plain values, with the line and column of every place, so that each fault names where it stands.

The text is read by libyaml (by PyYAML's own reader where that is missing: the same events), and composed here without recursion:
no depth can end the process. Plain scalars mean what the core schema of YAML 1.2 says: `on`, `no` and `1:30` are text, and so is a
day that the calendar has not, which the model names at its place.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

import yaml

from rules.errors import Fault

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 32
OF_A_VALUE = frozenset(
    {"wrong_type", "wrong_form", "out_of_range", "unknown_value", "not_finite", "too_many", "too_few"}
)
"""Codes that tell of a value that is there: a part of the pointer that is not there names a branch of the model."""
_PARSER: Final[Any] = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_WORDS: Final[dict[str, Any]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")), **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False), **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **{f"{sign}{word}": float(f"{sign}inf") for sign in ("", "+", "-") for word in (".inf", ".Inf", ".INF")},
}  # fmt: skip
_WHOLE = re.compile(r"[-+]?[0-9]+\Z", re.ASCII)
_BASED = re.compile(r"0(?:o[0-7]+|x[0-9a-fA-F]+)\Z", re.ASCII)
_REAL = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z", re.ASCII)
_PAIR = re.compile(r"(?<!\\)((?:\\\\)*)\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})", re.IGNORECASE)


class _Place(NamedTuple):
    """Line and column of an entry, counted from 0, and the places of what stands in it."""

    line: int
    column: int
    inner: dict[str, _Place] | list[_Place] | None


class _Dumper(yaml.SafeDumper):
    """Quotes what YAML 1.1 would not take for text, and what 1.2 would not."""


for _form in (_WHOLE, _BASED, _REAL):
    _Dumper.add_implicit_resolver("tag:yaml.org,2002:float", _form, list("-+.0123456789"))


def _text_node(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    """Write a text of several lines with escapes: a line break of any kind is read back as it was."""
    several = any(each in text for each in "\n\r\x85\u2028\u2029")
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if several else None)


_Dumper.add_representer(str, _text_node)


class Document:
    """A parsed YAML (or JSON) text: `value` is plain, `where` turns a JSON pointer into `file:line:column`."""

    def __init__(
        self,
        name: str,
        value: Any,  # noqa: ANN401 - whatever the file holds
        tree: _Place | None,
        doubtful: frozenset[str] = frozenset(),
        *,
        whole: bool = True,
    ) -> None:
        self.name = name
        self.value = value
        self.doubtful = doubtful
        """JSON pointers at which stands what no file may hold: what is meant there is not known."""
        self.whole = whole
        """Whether the text was read to its end; else `value` has the members of the outermost mapping that certainly ended before."""
        self._tree = tree or _Place(0, 0, None)

    def where(self, pointer: str) -> str:
        """Return the place of the deepest part of `pointer` that exists; a part between that names a branch of a model is none."""
        node = self._tree
        for part in pointer.split("/")[1:]:
            node = _entry(node, part) or node
        return f"{self.name}:{node.line + 1}:{node.column + 1}"

    def place(self, fault: Fault) -> Fault:
        """Return the fault with its place instead of its pointer, and the pointer in its detail."""
        label = self._label(fault)
        return Fault(self.where(fault.pointer), fault.code, f"{label}: {fault.detail}" if label else fault.detail)

    def _label(self, fault: Fault) -> str:
        """Return the pointer in the file's own members: which branch of a model was tried is no place in it."""
        parts = fault.pointer.split("/")[1:]
        node, kept = self._tree, []
        for i, part in enumerate(parts):
            found = _entry(node, part)
            if found is not None:
                node = found
            elif i < len(parts) - 1 or fault.code in OF_A_VALUE:
                continue
            kept.append(part)
        return "/".join(kept)


def _entry(node: _Place, part: str) -> _Place | None:
    """Return what stands at one part of a JSON pointer."""
    inner = node.inner
    found: _Place | None = None
    if isinstance(inner, dict):
        found = inner.get(part.replace("~1", "/").replace("~0", "~"))
    elif isinstance(inner, list) and part.isascii() and part.isdigit() and int(part) < len(inner):
        found = inner[int(part)]
    return found


class _Wrong(Exception):  # noqa: N818 - no error that leaves this file
    """Something stands in the text that no file of ours may hold."""

    def __init__(self, mark: Any, code: str, detail: str) -> None:  # noqa: ANN401 - PyYAML's mark has no types
        super().__init__(detail)
        self.mark, self.code = mark, code


def read_yaml(text: str, name: str, max_bytes: int = MAX_BYTES) -> Document | list[Fault]:
    """Parse one document; what is wrong with the text itself comes back as faults.

    Aliases are refused (they hide what a person reviews, and can grow without bound), as are duplicate keys, tags, keys that are no
    scalars, and nesting deeper than `MAX_DEPTH`.
    """
    document, faults = read_on(text, name, max_bytes)
    return faults or document


def read_on(text: str, name: str, max_bytes: int = MAX_BYTES) -> tuple[Document, list[Fault]]:
    """Parse one document as far as that goes, whatever is wrong with it: for those that tell all faults of a file at once.

    A text that is no YAML ends at that place. An alias, a tag, a key that stands twice do not end it: the document says where they are
    (`doubtful`).

    Returns:
        The document, and what `read_yaml` refuses of the text, in its order.
    """
    if len(text.encode()) > max_bytes:
        told = Fault(f"{name}:1:1", "too_large", f"a file holds at most {max_bytes // 1024} KiB")
        return Document(name, None, None, whole=False), [told]
    composer = _Composer()
    last: list[Fault] = []
    try:
        _compose(composer, text)
    except _Wrong as error:
        last.append(Fault(_at(name, error.mark), error.code, str(error)))
    except yaml.MarkedYAMLError as error:
        problem = str(error.problem or error.context or "not YAML").split("\n")[0]
        last.append(Fault(_at(name, error.problem_mark or error.context_mark), "yaml", problem))
    except yaml.reader.ReaderError as error:
        before = text[: error.position] if isinstance(error.position, int) else ""
        at = f"{name}:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"
        last.append(Fault(at, "yaml", f"{error.reason}"))
    faults = [Fault(_at(name, error.mark), error.code, str(error)) for error in composer.wrong] + last
    doubtful = frozenset(composer.doubtful)
    if not composer.root:
        return Document(name, None, None, doubtful, whole=not last), faults
    value, tree = composer.root[0], _Place(0, 0, composer.places[0].inner)
    if last and not composer.ended:
        value = composer.certain()
    return Document(name, value, tree, doubtful, whole=composer.ended or not last), faults


def yaml_text(value: Any) -> str:  # noqa: ANN401 - any plain value
    """Return plain values (texts, numbers, lists, mappings of texts) as YAML that `read_yaml` reads back as the same."""
    text: str = yaml.dump(value, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=120)
    return text


def _at(name: str, mark: Any) -> str:  # noqa: ANN401 - PyYAML's mark has no types
    return f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else f"{name}:1:1"


def _compose(composer: _Composer, text: str) -> None:
    parser = _PARSER(_PAIR.sub(_joined, text))
    try:
        while not isinstance(event := parser.get_event(), yaml.StreamEndEvent):
            composer.take(event)
    finally:
        parser.dispose()


class _Key(NamedTuple):
    """A key of a mapping whose value is still to come; one that stood before takes it away."""

    name: str
    line: int
    column: int
    again: bool


class _Composer:
    """The open collections of a text, outermost first, each with the places of its entries."""

    def __init__(self) -> None:
        self.root: list[Any] = []
        self.places: list[_Place] = []
        self.wrong: list[_Wrong] = []
        self.doubtful: list[str] = []
        self.ended = False
        self._open: list[tuple[Any, Any]] = [(self.root, self.places)]
        self._keys: list[_Key | None] = [None]
        self._pointers: list[str] = [""]

    def take(self, event: Any) -> None:  # noqa: ANN401 - PyYAML's event has no types
        """Take one event of the text; what no file of ours may hold is noted, or ends the reading.

        Raises:
            _Wrong: for what nothing can be read behind.
        """
        kind = type(event)
        if kind is yaml.ScalarEvent:
            self._scalar(event)
        elif kind is yaml.MappingStartEvent:
            self._begin(event, {}, {})
        elif kind is yaml.SequenceStartEvent:
            self._begin(event, [], [])
        elif kind in (yaml.MappingEndEvent, yaml.SequenceEndEvent):
            for each in (self._open, self._keys, self._pointers):
                each.pop()
        elif kind is yaml.AliasEvent:
            self._alias(event)
        elif kind is yaml.DocumentEndEvent:
            self.ended = True
        elif kind is yaml.DocumentStartEvent and self.ended:
            raise _Wrong(event.start_mark, "yaml", "expected a single document in the stream")

    def certain(self) -> Any:  # noqa: ANN401 - whatever the file holds
        """Return the outermost mapping without its last member: whether that had ended is not known."""
        value = self.root[0]
        return dict(list(value.items())[:-1]) if isinstance(value, dict) else None

    def _scalar(self, event: Any) -> None:  # noqa: ANN401 - PyYAML's event has no types
        values = self._open[-1][0]
        if not isinstance(values, dict) or self._keys[-1] is not None:
            self._untagged(event)
            self._put(event.value if event.style else self._of_plain(event), None, event.start_mark)
            return
        if event.tag is not None:
            self._note(
                event.start_mark,
                "yaml",
                f"tags are not allowed: {event.tag[:60]}",
                _below(self._pointers[-1], event.value),
            )
        again = event.value in values
        if again:
            at = _below(self._pointers[-1], event.value)
            self._note(event.start_mark, "yaml", f'found duplicate key "{event.value[:60]}"', at)
        self._keys[-1] = _Key(event.value, event.start_mark.line, event.start_mark.column, again)

    def _of_plain(self, event: Any) -> Any:  # noqa: ANN401 - any plain value
        try:
            return _meant(event)
        except _Wrong as error:
            self._note(error.mark, error.code, str(error), self._here())
            return None

    def _begin(self, event: Any, values: Any, places: Any) -> None:  # noqa: ANN401 - a tree of any values
        if len(self._open) > MAX_DEPTH:
            raise _Wrong(event.start_mark, "yaml", f"nested deeper than {MAX_DEPTH}")
        self._untagged(event)
        at = self._here()
        self._put(values, places, event.start_mark)
        self._open.append((values, places))
        self._keys.append(None)
        self._pointers.append(at)

    def _alias(self, event: Any) -> None:  # noqa: ANN401 - PyYAML's event has no types
        told = "aliases are not allowed; write it out"
        if isinstance(self._open[-1][0], dict) and self._keys[-1] is None:
            raise _Wrong(event.start_mark, "alias", told)
        self._note(event.start_mark, "alias", told, self._here())
        self._put(None, None, event.start_mark)

    def _put(self, value: Any, inner: Any, mark: Any) -> None:  # noqa: ANN401 - a tree of any values
        """Put a value and its place into the innermost collection: an entry of a mapping stands where its key does."""
        values, places = self._open[-1]
        key = self._keys[-1]
        if isinstance(values, list):
            values.append(value)
            places.append(_Place(mark.line, mark.column, inner))
        elif key is None:
            raise _Wrong(mark, "yaml", "a key is no text")
        else:
            if not key.again:
                values[key.name], places[key.name] = value, _Place(key.line, key.column, inner)
            self._keys[-1] = None

    def _here(self) -> str:
        """Return the JSON pointer of the value that comes next."""
        values, key = self._open[-1][0], self._keys[-1]
        if len(self._open) == 1:
            return ""
        return _below(self._pointers[-1], str(len(values)) if isinstance(values, list) else key.name if key else "")

    def _untagged(self, event: Any) -> None:  # noqa: ANN401 - PyYAML's event has no types
        if event.tag is not None:
            self._note(event.start_mark, "yaml", f"tags are not allowed: {event.tag[:60]}", self._here())

    def _note(self, mark: Any, code: str, detail: str, pointer: str) -> None:  # noqa: ANN401 - PyYAML's mark has no types
        self.wrong.append(_Wrong(mark, code, detail))
        self.doubtful.append(pointer)


def _below(pointer: str, part: str) -> str:
    return f"{pointer}/{part.replace('~', '~0').replace('/', '~1')}"


def _meant(event: Any) -> Any:  # noqa: ANN401 - PyYAML's event has no types; any plain value
    """Return what a plain scalar means by the core schema (YAML 1.2.2, 10.3.2)."""
    text: str = event.value
    if text in _WORDS:
        return _WORDS[text]
    if _WHOLE.match(text) or _BASED.match(text):
        try:
            return int(text, 0 if text[1:2] in "ox" and text[1:2] else 10)
        except ValueError:
            raise _Wrong(event.start_mark, "yaml", f"a number of {len(text)} digits") from None
    return float(text) if _REAL.match(text) else text


def _joined(pair: re.Match[str]) -> str:
    """Return a pair of JSON escapes as the one of YAML that it stands for."""
    high, low = int(pair[2], 16), int(pair[3], 16)
    return f"{pair[1]}\\U{0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00):08x}"
