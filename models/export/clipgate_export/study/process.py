"""A process for work that may be killed: a row that takes too much memory must not take the study with it."""

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any

from tqdm import tqdm

from ..errors import UserError

# Seconds that an idle process has to end.
PATIENCE = 10


class Failed(Exception):
    """One line that says why the work has no result."""


class Worker:
    """Runs one function at a time in a process of its own, which is started when needed and after it died.

    To be used as a context: at its end the process is ended, whatever it does, and all that it started; so it is where
    this process is killed.
    """

    def __init__(self) -> None:
        # A forked process would share ONNX Runtime's and PyTorch's threads, which are not there.
        self._context = multiprocessing.get_context("spawn")
        self._process: Any = None
        self._pipe: Connection | None = None
        self._lifeline: Connection | None = None

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        self._end(PATIENCE if kind is None else 0)

    def run(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Failed with a line for people where `work` raises an exception, or where its process dies."""
        if self._process is None:
            self._pipe, theirs = self._context.Pipe()
            self._lifeline, watched = self._context.Pipe()
            self._process = self._context.Process(target=_serve, args=(theirs, watched), daemon=True)
            self._process.start()
            theirs.close()
            watched.close()
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
            if self._process.is_alive():
                # Before it leads a group of its own it has started nothing.
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._process.pid, signal.SIGKILL)
                self._process.kill()
            self._process.join()
            self._lifeline.close()
        self._process = self._pipe = self._lifeline = None


def _died(code: int) -> str:
    if code < 0:
        name = signal.Signals(-code).name
        return f"its process was ended by {name}" + (
            "; perhaps there is too little memory" if name == "SIGKILL" else ""
        )
    return f"its process ended with status {code}"


def _serve(pipe: Connection, lifeline: Connection) -> None:
    # tqdm's own is a semaphore, which Python complains of where a process that has one is killed.
    tqdm.set_lock(threading.RLock())
    # Ctrl-C is then the other process's alone, which ends this group.
    os.setsid()
    threading.Thread(target=_watch, args=(lifeline,), daemon=True).start()
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
        except OSError as error:
            answer = (False, f"{error.filename}: {error.strerror}" if error.filename else str(error))
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            words = " ".join(str(error).split())[:300]
            answer = (False, f"{type(error).__name__}: {words} ({place.name}, line {place.lineno})")
        pipe.send(answer)


def _watch(lifeline: Connection) -> None:
    """Nothing is ever sent: it ends where the other process does, however it was killed."""
    with suppress(EOFError, OSError):
        lifeline.recv()
    os.killpg(0, signal.SIGKILL)
