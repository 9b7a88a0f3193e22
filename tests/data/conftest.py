"""A real browser for the tests of pages, driven without any package in between."""

import base64
import json
import os
import shutil
import subprocess
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--enable-unsafe-swiftshader",
    "--disable-quic",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--window-size=1400,900",
    "--remote-debugging-pipe",
)


class Browser:
    """Headless Chromium that takes DevTools commands on file descriptors 3 and answers on 4."""

    def __init__(self, program: str, profile: Path) -> None:
        self.profile = profile
        command_end, self._commands = os.pipe()
        self._answers, answer_end = os.pipe()

        def number_pipes() -> None:
            # Through higher numbers first: one of the pipes may itself be 3 or 4.
            held = [os.dup2(command_end, 103), os.dup2(answer_end, 104)]
            os.dup2(held[0], 3)
            os.dup2(held[1], 4)

        self._process = subprocess.Popen(
            [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            preexec_fn=number_pipes,
            close_fds=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(command_end)
        os.close(answer_end)
        self._rest, self._number, self._session = b"", 0, ""
        target = next(
            item for item in self.send("Target.getTargets")["targetInfos"] if item["type"] == "page"
        )
        attached = self.send("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        self.send("Page.enable")

    def send(self, method: str, **values: Any) -> dict[str, Any]:
        """Send a command and wait for its answer; events in between are dropped."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": values}
        if self._session and not method.startswith(("Target.", "Browser.")):
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self._rest:
                block = os.read(self._answers, 1 << 16)
                assert block, "the browser has gone"
                self._rest += block
            one, self._rest = self._rest.split(b"\0", 1)
            answer = json.loads(one)
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return dict(answer["result"])

    def open(self, address: str) -> None:
        """Go to a page and wait until it is loaded."""
        self.send("Page.navigate", url=address)
        self.wait("document.readyState === 'complete'")

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression on the page."""
        answer = self.send(
            "Runtime.evaluate", expression=script, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, condition: str, seconds: float = 60) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + seconds
        while not self.run(f"Boolean({condition})"):
            assert time.monotonic() < end, f"never true: {condition}"
            time.sleep(0.1)

    def press(self, key: str, code: int, text: str = "") -> None:
        """Press and release a key."""
        key_values = {"key": key, "windowsVirtualKeyCode": code}
        self.send("Input.dispatchKeyEvent", type="keyDown", text=text, **key_values)
        self.send("Input.dispatchKeyEvent", type="keyUp", **key_values)

    def screenshot(self, path: Path) -> Path:
        """Save what the page shows as PNG."""
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot")["data"]))
        return path

    def close(self) -> None:
        """End the browser."""
        self._process.terminate()
        self._process.wait(30)
        os.close(self._commands)
        os.close(self._answers)


@pytest.fixture
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A fresh browser; the test skips loudly where there is no Chromium."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        warnings.warn("SKIPPED for want of a browser: chromium is not installed", stacklevel=2)
        pytest.skip("chromium is not installed")
    started = Browser(program, tmp_path_factory.mktemp("profile"))
    yield started
    started.close()
