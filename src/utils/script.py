"""How every program of seglab reads its command line, starts and fails."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from seglab.utils.errors import UserError, visible

INTERRUPTED = 130  # 128 + SIGINT, as shells count


class Stopped(KeyboardInterrupt):
    """A signal asked the program to stop, and what it had to keep is kept.

    Args:
        signal_number: Which signal.
    """

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal.Signals(signal_number).name)
        self.exit_code = 128 + signal_number  # as shells count


def new_parser(command: str, description: str, examples: str) -> argparse.ArgumentParser:
    """A parser whose help keeps its line breaks and shows examples, with `--debug`."""
    parser = argparse.ArgumentParser(
        prog=f"seglab {command}",
        description=description,
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser


def was_interrupted(error: BaseException) -> bool:
    """Whether an error is Ctrl-C in disguise.

    mmengine formats the config at every checkpoint under a bare `except`, which turns a
    KeyboardInterrupt into a SyntaxError.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, KeyboardInterrupt):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def run_tool(main: Callable[[Sequence[str] | None], int], argv: Sequence[str] | None = None) -> int:
    """Run a tool's `main`; turn what goes wrong into a message and an exit code.

    Returns:
        The exit code: what `main` returned, a UserError's code, 130 after Ctrl-C, 1 after a
        defect of ours.
    """
    debug = "--debug" in (sys.argv[1:] if argv is None else argv)
    try:
        return main(argv)
    except UserError as error:
        if debug:
            traceback.print_exc()
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt as error:
        print("interrupted", file=sys.stderr)
        return getattr(error, "exit_code", INTERRUPTED)
    except BrokenPipeError:
        # The reader (`| head`) has gone; keep Python from complaining while it shuts down.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if was_interrupted(error):
            print("interrupted", file=sys.stderr)
            return INTERRUPTED
        if debug:
            raise
        if isinstance(error, OSError) and error.filename:
            print(
                f"error: {visible(str(error.filename))}: {error.strerror}\n"
                "  fix: check the path, its permissions and the space left",
                file=sys.stderr,
            )
            return 2
        print(
            f"error: unexpected {type(error).__name__}: {visible(str(error))}\n"
            "  fix: run again with --debug for the traceback, and report it",
            file=sys.stderr,
        )
        return 1


def run_script(main: Callable[[Sequence[str] | None], int]) -> None:
    """Run a tool that was started as a file or with `-m`, and exit."""
    # Started as a file, Python puts its folder first: `test.py` must not hide the library's
    # `test` package from anybody.
    script_folder = Path(sys.argv[0]).resolve().parent
    if sys.path and Path(sys.path[0]).resolve() == script_folder:
        del sys.path[0]
    sys.exit(run_tool(main))
