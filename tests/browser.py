"""A headless Chromium for the tests, spoken to over pipes by the DevTools protocol."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Chromium reads commands from file 3 and answers on file 4.
_LAUNCH = """
import fcntl, os, sys
given = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3]]
for number, target in zip(given, (3, 4)):
    os.dup2(number, target)
os.execvp(sys.argv[3], sys.argv[3:])
"""


def installed() -> str | None:
    """The program of the first browser found."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Page:
    """One tab. `errors` gathers what the console and uncaught exceptions say."""

    def __init__(self, write: int, read: int):
        self._write, self._read, self._rest, self._count = write, read, b"", 0
        self._session: dict[str, str] = {}
        self._loaded = False
        self.errors: list[str] = []
        self.requests: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        found = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = {"sessionId": found["sessionId"]}
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the protocol, and its result."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": params, **self._session}
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._count:
                assert "error" not in answer, answer
                return answer["result"]

    def _next(self, seconds: float = 60) -> dict[str, Any]:
        end = time.monotonic() + seconds
        while b"\0" not in self._rest:
            assert select.select([self._read], [], [], end - time.monotonic())[0], "no answer"
            part = os.read(self._read, 1 << 20)
            assert part, "the browser is gone"
            self._rest += part
        message, self._rest = self._rest.split(b"\0", 1)
        event = json.loads(message)
        self._note(event.get("method"), event.get("params", {}))
        return event

    def _note(self, method: str | None, params: dict[str, Any]) -> None:
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Runtime.exceptionThrown":
            self.errors.append(str(params["exceptionDetails"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.errors.append(params["entry"]["text"])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            self.errors.append(str(params["args"]))
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])

    def open(self, path: Path) -> None:
        """Load a file and wait until it is whole."""
        self.visit(path.resolve().as_uri())

    def visit(self, url: str) -> None:
        """Load a page and wait until it is whole."""
        self._loaded = False
        self.call("Page.navigate", url=url)
        while not self._loaded:
            self._next()

    def run(self, script: str) -> Any:
        """The value of an expression; a promise is waited for."""
        found = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True,
            userGesture=True,  # without one no sound may play
        )  # fmt: skip
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def look(self, *, width: int, dark: bool = False, height: int = 900) -> None:
        """Set the size of the window, in pixels, and the colour scheme."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        """Write a PNG of what is seen, or of the whole page."""
        found = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(found["data"]))


@contextlib.contextmanager
def opened(profile: Path) -> Iterator[Page]:
    """A fresh tab of the installed browser; `profile` is a folder for its files."""
    program = installed()
    assert program, "no browser is installed"
    commands_out, commands_in = os.pipe()
    answers_out, answers_in = os.pipe()
    options = [
        "--headless=new", "--remote-debugging-pipe", f"--user-data-dir={profile}",
        "--no-sandbox",  # which root, and most containers, do not have
        "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars",
        "--disable-background-networking", "--mute-audio",
    ]  # fmt: skip
    given = [str(commands_out), str(answers_in), program, *options]
    with subprocess.Popen(
        [sys.executable, "-c", _LAUNCH, *given], pass_fds=(commands_out, answers_in),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        os.close(commands_out)
        os.close(answers_in)
        try:
            page = Page(commands_in, answers_out)
            yield page
            page.call("Browser.close")
            process.wait(20)
        finally:
            process.kill()
            os.close(commands_in)
            os.close(answers_out)
