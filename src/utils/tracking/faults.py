"""What can go wrong between here and a ClearML server, in words for the user.

The SDK wraps the cause of a failure in errors of its own; `server_fault` finds it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from seglab.utils.errors import UserError
from seglab.utils.tracking.settings import without_credentials

SETTINGS_HINT = (
    "`clearml-init` writes the settings, or set CLEARML_API_HOST, CLEARML_API_ACCESS_KEY and "
    "CLEARML_API_SECRET_KEY"
)
NO_CREDENTIALS = "no ClearML credentials"
AGAIN = "check the network and the server, then run the command again: it goes on where it stopped"
_NO_ADDRESS = {"InvalidSchema", "MissingSchema", "InvalidURL", "LocationParseError"}
_OF_THE_NETWORK = {"OSError", "RequestException", "HTTPError", "LoginError"}


class ServerError(UserError):
    """A server cannot be used, and trying again would not help."""


class UnreachableError(ServerError):
    """A server does not answer, or not properly: it may do so later."""


class TaskGoneError(ServerError):
    """A task is not on the server."""


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and what led to it."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def server_fault(error: BaseException, server: str) -> ServerError:
    """What an error of the SDK or of its network library means.

    Args:
        error: What was raised.
        server: The server's address.

    Returns:
        The error to raise instead.
    """
    for seen in _chain(error):
        if isinstance(seen, ServerError):
            return seen
    names = {kind.__name__ for seen in _chain(error) for kind in type(seen).__mro__}
    text = " ".join(str(seen) for seen in _chain(error))
    if "MissingConfigError" in names:
        return ServerError(NO_CREDENTIALS, SETTINGS_HINT)
    if "misconfigured" in text or "Missing meta section" in text or "DecodeError" in names:
        return _no_api(server)
    login = re.search(r"\(error (\d{3}) from .*?\): (.*)", text)
    upload = re.search(r"Failed uploading object .* \((\d{3})\): (.*)", text, re.DOTALL)
    answered = login or upload
    if answered:
        return http_fault(int(answered[1]), answered[2], server)
    if names & _NO_ADDRESS:
        fix = "give one such as http://localhost:8008: CLEARML_API_HOST, or `api` in clearml.conf"
        return ServerError(f"{server} is no address of a server", fix)
    if names & _OF_THE_NETWORK:
        return UnreachableError(_unreachable(names, text, server), AGAIN)
    kind = type(error).__name__
    words = without_credentials(str(error))
    return ServerError(f"{server}: unexpected {kind}: {words}", "report it, with --debug")


def _unreachable(names: set[str], text: str, server: str) -> str:
    """Why no connection came about or held."""
    if "SSLError" in names or "CERTIFICATE_VERIFY_FAILED" in text:
        return f"the certificate of {server} is not accepted"
    if re.search(r"NameResolution|Failed to resolve|Name or service|getaddrinfo", text):
        return f"the name of {server} is not known (DNS)"
    if "ProxyError" in names:
        return f"the proxy does not lead to {server}"
    if "Connection refused" in text:
        return f"{server} refuses connections: no server is running there"
    if "unreachable" in text or "No route" in text:
        return f"no network leads to {server}"
    if "Timeout" in names or "timed out" in text:
        return f"{server} does not answer"
    if "RetryError" in names:
        return f"{server} reports that it is out of service"
    return f"the connection to {server} broke"


def http_fault(status: int, message: str, server: str) -> ServerError:
    """What an answer that is no success means.

    Args:
        status: The HTTP status.
        message: The server's own words.
        server: Its address.
    """
    words = re.sub(r"\s+", " ", message).strip()[:200]
    if status == 401:
        return ServerError(f"{server} does not accept the credentials", SETTINGS_HINT)
    if status == 403:
        fix = "ask for write access, or give another --project"
        return ServerError(f"{server} does not permit this: {words}", fix)
    if "Invalid task id" in words:
        return TaskGoneError(
            f"the task is not on {server} (any more)", "start a new one with --anew"
        )
    if status == 404:
        return _no_api(server)
    if status >= 500 or status == 429:
        return UnreachableError(f"{server} answers with an error ({status}: {words})", AGAIN)
    return ServerError(f"{server} refuses ({status}: {words})", "see what the server says")


def _no_api(server: str) -> ServerError:
    fix = "give the address of its API: port 8008 of a server of your own, https://api.clear.ml"
    return ServerError(f"{server} is no ClearML API server", fix)
