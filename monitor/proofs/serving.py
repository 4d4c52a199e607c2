"""How a proof is served: as a download, whatever is in it, so that no browser ever runs or shows what a firm sent."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

from starlette.responses import FileResponse

from monitor.proofs.content import suffix

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.proofs.shelf import ProofReceipt

DOWNLOAD = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "Cache-Control": "no-store",
}
NAME_CHARACTERS = 16
"""Of the hash in the name of the saved file: names of firms lead nowhere."""


def download(receipt: ProofReceipt, path: Path) -> FileResponse:
    """Return the answer that gives a proof; `Repr-Digest` (RFC 9530) is that of the receipt, to hold the bytes against."""
    digest = b64encode(bytes.fromhex(receipt.sha256)).decode()
    return FileResponse(
        path,
        media_type=receipt.type,
        filename=f"{receipt.sha256[:NAME_CHARACTERS]}.{suffix(receipt.type)}",
        content_disposition_type="attachment",
        headers={**DOWNLOAD, "Repr-Digest": f"sha-256=:{digest}:"},
    )
