"""FiftyOne is started here and nowhere else: its settings have to stand before it is imported."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import socket
from pathlib import Path
from typing import Any

from seglab.utils.errors import UserError
from seglab.utils.io_utils import write_json

ADDRESS = "127.0.0.1"
_FIX = "run `make curation`; without FiftyOne, tick the masks in the audit's audit.html instead"


def require_fiftyone() -> None:
    """Make sure that FiftyOne and its database program are installed, without importing them.

    Raises:
        UserError: One of them is not.
    """
    spec = importlib.util.find_spec("fiftyone")
    if spec is None or not spec.submodule_search_locations:
        raise UserError("FiftyOne is not installed", _FIX)
    program = Path(next(iter(spec.submodule_search_locations)), "db", "bin", "mongod")
    theirs = os.environ.get("FIFTYONE_DATABASE_URI")  # a database that the user runs
    if not (theirs or program.is_file() or shutil.which("mongod")):
        raise UserError("FiftyOne is installed without its database (mongod)", _FIX)


def require_port(port: int) -> None:
    """Raise UserError unless the App can listen on this port of 127.0.0.1."""
    if not 1 <= port <= 65535:
        raise UserError(f"--port {port}", "give a number from 1 to 65535")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, port))
        except OSError as error:
            raise UserError(
                f"port {port} of {ADDRESS} cannot be used: {error.strerror}",
                "close what uses it (another curation session?), or give another --port",
            ) from error


def start_fiftyone(folder: Path) -> Any:
    """Import FiftyOne and start its database.

    Nothing is written outside `folder`, and nothing is sent to anybody.

    Args:
        folder: Holds the database (in `database`) and whatever else FiftyOne stores.

    Returns:
        The `fiftyone` module.

    Raises:
        UserError: The database does not start.
    """
    folder = folder.resolve()
    for name, part in (
        ("DATABASE_DIR", "database"),
        ("DEFAULT_DATASET_DIR", "datasets"),
        ("DATASET_ZOO_DIR", "datasets"),
        ("MODEL_ZOO_DIR", "models"),
        ("PLUGINS_DIR", "plugins"),
    ):
        os.environ[f"FIFTYONE_{name}"] = str(folder / part)
    os.environ["FIFTYONE_DO_NOT_TRACK"] = "true"
    os.environ["FIFTYONE_DATABASE_VALIDATION"] = "false"  # quiets a notice about its version
    os.environ.setdefault("MPLCONFIGDIR", str(folder / "matplotlib"))
    try:
        fiftyone = importlib.import_module("fiftyone")
        _keep_out_of_home(folder)
        fiftyone.list_datasets()  # the first call starts the database
    except Exception as error:  # of pymongo, of the service, of the system: all mean the same
        raise UserError(
            f"FiftyOne's database in {folder} does not start: {error}",
            f"look into {folder / 'database' / 'log'}, or name another folder with --database",
        ) from error
    return fiftyone


def _keep_out_of_home(folder: Path) -> None:
    """Redirect the two files that FiftyOne writes into the home directory whatever is set.

    They are a note that its greeting was shown (it was: our own words say what to do), and an id
    that its server makes of the user.
    """
    constants: Any = importlib.import_module("fiftyone.constants")
    service: Any = importlib.import_module("fiftyone.core.service")
    constants.WELCOME_PATH = str(
        write_json(folder / "welcome.json", {"version": constants.VERSION})
    )
    service.ServerService.env = property(lambda _: {"HOME": str(folder)})
