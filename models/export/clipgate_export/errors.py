"""What a command reports in one line, without a traceback."""


class UserError(Exception):
    """Something the user can mend; the message is one line that names the culprit and what to do."""
