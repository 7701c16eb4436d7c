"""`python -m clipgate_export` is `clipgate-export`."""

import sys

from .cli import main

sys.exit(main())
