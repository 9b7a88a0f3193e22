"""The `seglab` command, and how every tool starts and fails."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from seglab.utils.errors import UserError

#: Command -> module with `main(argv)`, and what it does in a line.
COMMANDS = {
    "train": ("seglab.tools.train", "train one config"),
    "test": ("seglab.tools.test", "score a checkpoint on a split, with pictures"),
    "predict": ("seglab.tools.predict", "segment any images with a checkpoint"),
    "check": ("seglab.tools.check", "check a config and its data before any compute"),
    "demo": ("seglab.tools.demo", "draw toy data, train, test, and show where to look"),
    "make-toy": ("seglab.data.make_toy", "draw the synthetic cats-and-dogs data set"),
}
INTERRUPTED = 130  # 128 + SIGINT, as shells count


def _usage() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, (_, text) in COMMANDS.items()]
    return (
        "usage: seglab COMMAND [options]\n\n"
        "Semantic-segmentation experiments on small, badly labelled data sets.\n\n"
        "commands:\n" + "\n".join(lines) + "\n\n`seglab COMMAND --help` explains each; "
        "`python src/tools/COMMAND.py` is the same program."
    )


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
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (`| head`) has gone; keep Python from complaining while it shuts down.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if debug:
            raise
        print(
            f"error: unexpected {type(error).__name__}: {error}\n"
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


def main(argv: Sequence[str] | None = None) -> int:
    """The console script `seglab`."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    command = arguments[0] if arguments else "--help"
    if command in {"-h", "--help"}:
        print(_usage())
        return 0
    if command == "--version":
        from seglab import __version__

        print(f"seglab {__version__}")
        return 0
    if command not in COMMANDS:
        print(f"error: unknown command {command!r}\n\n{_usage()}", file=sys.stderr)
        return 2
    module = importlib.import_module(COMMANDS[command][0])
    return run_tool(module.main, arguments[1:])


if __name__ == "__main__":
    sys.exit(main())
