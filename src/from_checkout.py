"""Start a program of the checkout that this file lies in: `python src/from_checkout.py train ...`.

An agent of ClearML fetches a commit and runs it in an environment in which seglab is installed
from somewhere else. Whatever is installed, this runs the code beside it, child processes included.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path


def main() -> int:
    """Make `import seglab` mean this checkout, then do what `seglab` does; returns its code."""
    package = Path(__file__).resolve().parent
    # Started as a file, Python puts this folder first: our modules are not to be found in it.
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != package]
    with tempfile.TemporaryDirectory(prefix="seglab-checkout-") as folder:
        (Path(folder) / "seglab").symlink_to(package, target_is_directory=True)
        sys.path.insert(0, folder)
        others = os.environ.get("PYTHONPATH", "")
        os.environ["PYTHONPATH"] = folder + (os.pathsep + others if others else "")
        from seglab.tools.main import main as run

        return run()


if __name__ == "__main__":
    sys.exit(main())
