"""Ask a process of this container for its health: `probe.py URL`; ends with 0 for an answer of 200, with 1 for anything else."""  # noqa: INP001 - a script of the image

from __future__ import annotations

import sys
import urllib.request

TIMEOUT_S = 4
OK = 200


def main() -> int:
    """Ask once, past any proxy of the environment."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(sys.argv[1], timeout=TIMEOUT_S) as answer:
            return 0 if answer.status == OK else 1
    except OSError as error:
        sys.stderr.write(f"{sys.argv[1]}: {error}\n")
        return 1


if __name__ == "__main__":
    raise SystemExit(main())
