"""Hypothesis strategies: conditions over reports, and objects that they are asked of."""

from __future__ import annotations

from hypothesis import strategies as st

NUMBERS = [0.0, 0.1, 0.2, 0.3, 1.0, 2.5, 1e308, 4.0]
TEXTS = ["", "B1", "b'2", 'q"', "back\\slash", "批号"]
MEMBERS = {"n": NUMBERS, "m": NUMBERS, "t": TEXTS, "u": TEXTS, "f": [True, False], "g": [True, False]}


@st.composite
def objects(draw):
    """Draw an object of numbers, texts and flags, of which each may be missing."""
    names = [name for name in MEMBERS if draw(st.integers(0, 4))]
    found = {name: draw(st.sampled_from(MEMBERS[name])) for name in names}
    return found | {"list": draw(st.lists(st.sampled_from(TEXTS), max_size=3))}


def _written(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _places(*names):
    return st.builds(
        lambda of, name, quoted: f"{of}['{name}']" if quoted else f"{of}.{name}",
        st.sampled_from(["report", "entry", "before", "previous"]), st.sampled_from(names), st.booleans(),
    )  # fmt: skip


SUMS = st.recursive(
    st.one_of(_places("n", "m"), st.sampled_from(NUMBERS).map(repr)),
    lambda inner: st.one_of(
        st.builds(lambda a, op, b: f"{a} {op} {b}", inner, st.sampled_from("+-*/"), inner),
        st.builds("({})".format, inner),
        st.builds("-({})".format, inner),
    ),
    max_leaves=5,
)
_TEXT = st.one_of(_places("t", "u"), st.sampled_from(TEXTS).map(_written))
_LIST = st.lists(st.sampled_from(TEXTS).map(_written), min_size=1, max_size=3).map(lambda all_: f"[{', '.join(all_)}]")
_COMPARISON = st.one_of(
    st.builds(lambda a, op, b: f"{a} {op} {b}", SUMS, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), SUMS),
    st.builds(lambda a, op, b: f"{a} {op} {b}", _TEXT, st.sampled_from(["==", "!="]), _TEXT),
    st.builds(lambda a, b: f"{a} in {b}", _TEXT, st.one_of(_LIST, st.just("report.list"))),
    _places("f", "g"),
)
CONDITIONS = st.recursive(
    _COMPARISON,
    lambda inner: st.one_of(
        st.builds(lambda a, op, b: f"{a} {op} {b}", inner, st.sampled_from(["&&", "||"]), inner),
        st.builds("({})".format, inner),
        st.builds("!({})".format, inner),
        inner.filter(lambda text: text.startswith(("report.", "entry.")) and " " not in text).map("!{}".format),
    ),
    max_leaves=6,
)
KNOWN = st.fixed_dictionaries(
    {"report": objects(), "entry": objects()}, optional={"before": objects(), "previous": objects()}
)
