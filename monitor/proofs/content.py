"""What may be uploaded as a proof, told by its bytes: what a sender says of them must agree with what they are."""

from __future__ import annotations

import codecs
import re
from typing import Literal, TypeAlias, get_args

MediaType: TypeAlias = Literal[
    "application/pdf",
    "image/png",
    "image/jpeg",
    "text/csv; charset=utf-8",
    "text/csv; charset=gb18030",
    "text/plain; charset=utf-8",
    "text/plain; charset=gb18030",
]
"""Every type that is taken, as it is kept and served."""
MEDIA: tuple[str, ...] = tuple(dict.fromkeys(name.partition(";")[0] for name in get_args(MediaType)))
"""The same without the encoding of texts."""
SUFFIXES = {
    "application/pdf": "pdf", "image/png": "png", "image/jpeg": "jpg", "text/csv": "csv", "text/plain": "txt",
}  # fmt: skip
CHARSETS = {"": "utf-8", "utf-8": "utf-8", "utf8": "utf-8", "gb18030": "gb18030", "gbk": "gb18030", "gb2312": "gb18030"}
"""How a text's encoding may be called, and what it is read as: GB 18030 holds the two older ones."""
HEAD_BYTES = 16
TAIL_BYTES = 1024
PDF, PNG, JPEG = b"%PDF-", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", b"\xff\xd8\xff"
"""First bytes: ISO 32000-1 §7.5.2; PNG (ISO 15948) §5.2 with the head of its first chunk; JPEG (ITU-T T.81) SOI and a marker."""
PDF_END, PNG_END = b"%%EOF", b"\x00\x00\x00\x00IEND\xaeB`\x82"
"""Last bytes: of a PDF somewhere in the last kilobyte, of a PNG the very last; a JPEG of a camera may have more behind its end."""
_CONTROL = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f]")


def media_type(header: str) -> MediaType | None:
    """Return the type that a `Content-Type` names, None of one that is not taken.

    >>> media_type("text/csv"), media_type('Text/Plain; charset="GBK"'), media_type("text/html")
    ('text/csv; charset=utf-8', 'text/plain; charset=gb18030', None)
    """
    name, _, rest = header.partition(";")
    base, parameters = name.strip().lower(), [part.strip().lower() for part in rest.split(";") if part.strip()]
    if base not in MEDIA or len(parameters) > 1:
        return None
    if not base.startswith("text/"):
        whole = base if not parameters else ""
    else:
        key, _, value = parameters[0].partition("=") if parameters else ("charset", "", "")
        charset = CHARSETS.get(value.strip('"')) if key == "charset" else None
        whole = "" if charset is None else f"{base}; charset={charset}"
    return next((known for known in get_args(MediaType) if known == whole), None)


def suffix(media: str) -> str:
    """Return how the name of a file of a type ends."""
    return SUFFIXES[media.partition(";")[0]]


class Look:
    """Looks at content piece by piece: nothing of it is kept but its first and last bytes."""

    def __init__(self, media: MediaType) -> None:
        self._media = media
        self._head, self._tail = b"", b""
        self._size = 0
        self._fault = ""
        self._decoder = None
        if media.startswith("text/"):
            self._decoder = codecs.getincrementaldecoder(media.partition("charset=")[2])()

    def feed(self, piece: bytes) -> None:
        """Take the next bytes."""
        if len(self._head) < HEAD_BYTES:
            self._head += piece[: HEAD_BYTES - len(self._head)]
        self._tail = (self._tail + piece[-TAIL_BYTES:])[-TAIL_BYTES:]
        self._read(piece)
        self._size += len(piece)

    def end(self) -> str:
        """Return what is wrong with the content as a whole, nothing if it is of its type."""
        if not self._size:
            return "it is empty"
        if self._decoder is not None:
            self._read(b"", final=True)
            return self._fault
        begin, name = {
            "application/pdf": (PDF, "a PDF"), "image/png": (PNG, "a PNG"), "image/jpeg": (JPEG, "a JPEG"),
        }[self._media]  # fmt: skip
        if not self._head.startswith(begin):
            return f"its first bytes are not those of {name}"
        cut = (begin is PDF and PDF_END not in self._tail) or (begin is PNG and not self._tail.endswith(PNG_END))
        return f"its last bytes are not those of {name}: it was cut, or more follows" if cut else ""

    def _read(self, piece: bytes, *, final: bool = False) -> None:
        if self._decoder is None or self._fault:
            return
        try:
            text = self._decoder.decode(piece, final)
        except UnicodeDecodeError as error:
            self._fault = f"it is no {error.encoding} text: {error.reason}, near byte {self._size + error.start}"
            return
        found = _CONTROL.search(text)
        if found is not None:
            self._fault = f"a text holds no character U+{ord(found[0]):04X}"
