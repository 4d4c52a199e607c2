"""Content of every type that is taken, as small as it can be."""

from __future__ import annotations

PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
PNG = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x00\x00\x00\x00:~\x9bU"
    b"\x00\x00\x00\nIDATx\x9cc`\x00\x00\x00\x02\x00\x01H\xaf\xa4q\x00\x00\x00\x00IEND\xaeB`\x82"
)
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00\xff\xd9"
CSV = "时间,温度\n2026-03-01T08:00:00+08:00,4.8\n".encode()
GB = "时间,温度\n".encode("gb18030")
SAMPLES = {
    "application/pdf": PDF, "image/png": PNG, "image/jpeg": JPEG, "text/csv; charset=utf-8": CSV, "text/plain; charset=utf-8": CSV,
    "text/csv; charset=gb18030": GB, "text/plain; charset=gb18030": GB,
}  # fmt: skip
