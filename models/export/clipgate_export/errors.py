"""What a command reports in one line, without a traceback."""

import sys
from collections.abc import Callable

# What a shell reports of a command that Ctrl-C ended.
INTERRUPTED = 130


class UserError(Exception):
    """Something the user can mend; the message is one line that names the culprit and what to do."""


def report_errors(command: Callable[[], None]) -> None:
    """Runs `command`; what the user can mend becomes one line on standard error and exit status 2, Ctrl-C 130."""
    status = 2
    try:
        command()
    except UserError as error:
        message = str(error)
    except OSError as error:
        message = str(error) if error.filename is None else f"{error.filename}: {error.strerror}"
    except KeyboardInterrupt:
        message, status = "interrupted; whatever was finished is kept", INTERRUPTED
    else:
        return
    print(message, file=sys.stderr)
    sys.exit(status)
