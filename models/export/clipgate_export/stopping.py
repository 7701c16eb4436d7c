"""A polite kill or a closed terminal ends a command as Ctrl-C does: what it had begun is removed first."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

ASKING = (signal.SIGTERM, signal.SIGHUP)


class Stopped(KeyboardInterrupt):
    """Asked to end by the signal `number`."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


@contextmanager
def stoppable() -> Iterator[None]:
    """Within it SIGTERM and SIGHUP raise `Stopped`, unless they are ignored, as under nohup."""

    def stop(number: int, _frame: object) -> None:
        raise Stopped(number)

    before = {number: signal.getsignal(number) for number in ASKING}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Within it no signal but SIGKILL stops what is being cleaned up: an impatient second Ctrl-C would leave half."""
    signals = (signal.SIGINT, *ASKING)
    before = [signal.signal(number, signal.SIG_IGN) for number in signals]
    try:
        yield
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)
