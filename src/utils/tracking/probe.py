"""Try ClearML's login: `python -m seglab.utils.tracking.probe`.

A process of its own, which `mode` kills after a few seconds: the SDK knows waits that no setting
bounds. It prints the server's address as a line of JSON, then what went wrong, or nothing.
"""

from __future__ import annotations

import json
import sys


def _say(key: str, text: str) -> None:
    print(json.dumps({f"seglab_{key}": text}), flush=True)


def main() -> int:
    """Log in; returns 0 if the server let us, 1 if not."""
    server = "the ClearML server"
    try:
        from seglab.utils.tracking.server import Server, api_address

        server = api_address()
        _say("server", server)
        Server()
    except Exception as error:  # whatever it is, it is reported, and the run goes on
        from seglab.utils.tracking.faults import server_fault

        _say("fault", server_fault(error, server).message)
        return 1
    _say("fault", "")
    return 0


if __name__ == "__main__":
    sys.exit(main())
