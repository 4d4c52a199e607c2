"""Read a page as a browser would, without one: a small tree of its elements."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"meta", "link", "input", "br", "img", "hr", "path", "rect", "circle", "polyline"}


class Element:
    """An element with its attributes, children and text."""

    def __init__(self, tag, attributes):
        self.tag, self.attributes, self.children, self.parts = tag, dict(attributes), [], []

    def all(self, tag=None, **wanted):
        """Return the elements below, of a tag and with attributes (`class_` for class: one of its words)."""
        found = []
        for child in self.children:
            if (tag is None or child.tag == tag) and all(child.has(name, value) for name, value in wanted.items()):
                found.append(child)
            found += child.all(tag, **wanted)
        return found

    def one(self, tag=None, **wanted):
        (found,) = self.all(tag, **wanted)
        return found

    def has(self, name, value):
        if name == "class_":
            return value in (self.attributes.get("class") or "").split()
        return self.attributes.get(name.rstrip("_").replace("_", "-")) == value

    def __getitem__(self, name):
        return self.attributes[name]

    @property
    def text(self):
        return " ".join("".join(part if isinstance(part, str) else part.text for part in self.parts).split())


class _Parser(HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.root = Element("#root", [])
        self._open = [self.root]

    def handle_starttag(self, tag, attrs):
        element = Element(tag, attrs)
        self._open[-1].children.append(element)
        self._open[-1].parts.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag, attrs):
        element = Element(tag, attrs)
        self._open[-1].children.append(element)
        self._open[-1].parts.append(element)

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        assert self._open[-1].tag == tag, f"</{tag}> closes <{self._open[-1].tag}>"
        self._open.pop()

    def handle_data(self, data):
        self._open[-1].parts.append(data)


def parse(text):
    """Return the root of a page; elements that are not closed in order are an error."""
    parser = _Parser()
    parser.feed(text)
    parser.close()
    assert parser._open == [parser.root], [element.tag for element in parser._open]
    return parser.root
