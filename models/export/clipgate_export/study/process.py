"""A process for work that may be killed: a row that takes too much memory must not take the study with it."""

import multiprocessing
import signal
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import Any

from ..errors import UserError

# Seconds that an idle process has to end.
PATIENCE = 10


class Failed(Exception):
    """One line that says why the work has no result."""


class Worker:
    """Runs one function at a time in a process of its own, which is started when needed and after it died.

    To be used as a context: at its end the process is ended, whatever it does.
    """

    def __init__(self) -> None:
        # A forked process would share ONNX Runtime's and PyTorch's threads, which are not there.
        self._context = multiprocessing.get_context("spawn")
        self._process: Any = None
        self._pipe: Connection | None = None

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        self._end(PATIENCE if kind is None else 0)

    def run(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Failed with a line for people where `work` raises an exception, or where its process dies."""
        if self._process is None:
            self._pipe, theirs = self._context.Pipe()
            self._process = self._context.Process(target=_serve, args=(theirs,), daemon=True)
            self._process.start()
            theirs.close()
        self._pipe.send((work, arguments))
        wait([self._pipe, self._process.sentinel])
        try:
            done, result = self._pipe.recv()
        except EOFError:
            self._process.join()
            code = self._process.exitcode
            self._end()
            raise Failed(_died(code)) from None
        if not done:
            raise Failed(result)
        return result

    def _end(self, patience: float = 0) -> None:
        """An idle process ends by itself where nothing more can come; one at work is killed."""
        if self._process is not None:
            self._pipe.close()
            self._process.join(patience)
            self._process.kill()
            self._process.join()
        self._process = self._pipe = None


def _died(code: int) -> str:
    if code < 0:
        name = signal.Signals(-code).name
        return f"its process was ended by {name}" + (
            "; perhaps there is too little memory" if name == "SIGKILL" else ""
        )
    return f"its process ended with status {code}"


def _serve(pipe: Connection) -> None:
    # Ctrl-C reaches both processes; the study's own ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            work, arguments = pipe.recv()
        except EOFError:
            return
        try:
            answer = (True, work(*arguments))
        except MemoryError:
            answer = (False, "too little memory")
        except UserError as error:
            answer = (False, str(error))
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            words = " ".join(str(error).split())[:300]
            answer = (False, f"{type(error).__name__}: {words} ({place.name}, line {place.lineno})")
        pipe.send(answer)
