"""How many threads may be used."""

import os


def available() -> int:
    """OMP_NUM_THREADS where it holds a number, of a list for nested regions the first; all cores otherwise."""
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(asked) if asked.isdecimal() and int(asked) > 0 else os.cpu_count() or 1
