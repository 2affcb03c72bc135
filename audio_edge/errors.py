"""The one exception that is a user's mistake, and the guard that turns it into exit code 2."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any


class UserError(ValueError):
    """Bad input: one sentence that names the file or key and the remedy."""


def first_line(error: Exception) -> str:
    """What a library says about its refusal, without TensorFlow's nodes and the trail below it."""
    said = re.sub(r"\{\{.*?\}\}\s*", "", str(error)).strip()
    return said.partition("\n")[0] or type(error).__name__


def command(main: Callable[..., int]) -> Callable[..., int]:
    """Wrap `main(argv) -> int`: a `UserError` becomes one line on stderr and exit code 2.

    So does what the system refuses: a path it cannot follow, a full disk, too much memory.
    """

    @functools.wraps(main)
    def guarded(argv: Sequence[str] | None = None) -> int:
        if isinstance(sys.stdout, io.TextIOWrapper):  # a name need not be UTF-8
            sys.stdout.reconfigure(errors="backslashreplace")
        try:
            code = main(argv)
            if sys.stdout:  # a full disk or a closed pipe shows here, not as Python exits
                sys.stdout.flush()
            _settle_log()
            return code
        except UserError as error:
            reason = str(error)
        except KeyboardInterrupt:
            return 130
        except BrokenPipeError:
            _drop(sys.stdout)
            return 141
        except MemoryError as error:
            reason = f"not enough memory ({first_line(error)}); lower the numbers that ask for it"
        except OSError as error:
            _drop(sys.stdout)
            where, why = error.filename or "the output", error.strerror or first_line(error)
            reason = f"{where}: {why}; check the path, its permissions and the space left"
        with contextlib.suppress(OSError):  # there is nowhere left to say it
            print(f"error: {reason}", file=sys.stderr)
        _settle_log()
        return 2

    return guarded


def _settle_log() -> None:
    """A log that could not be written is no failure of what it told of."""
    try:
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):  # full, closed, none at all
        _drop(sys.stderr)


def _drop(stream: Any) -> None:
    """Point a stream nowhere, or Python's own flush on exiting would fail once more."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
