"""How a record that cannot be evaluated stands in `offsite.rejected.v1`: kept by reference, with a sample."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rules.records import Rejected


def encode_rejected(record: Rejected) -> bytes:
    """Return the JSON of a record of the log that the worker could not decode."""
    value = {
        "by": "worker",
        "partition": record.partition,
        "offset": record.offset,
        "received_ms": record.received,
        "facility": record.facility,
        "code": record.code,
        "detail": record.detail,
        "sample": base64.b64encode(record.sample).decode(),
    }
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()
