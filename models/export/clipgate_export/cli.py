"""`clipgate-export`: parses the subcommand and runs it; every error that the user can mend is one line.

Exit status 0 done, 1 a check that was asked for failed, 2 an error.
"""

import argparse
import errno
import importlib
import signal
import sys
import tempfile
from collections.abc import Sequence

from .errors import UserError
from .stopping import Stopped, stoppable

# Of each subcommand: its module, imported only when it is used, and what --help says.
COMMANDS = {
    "bundle": ("make_bundle", "turn a checkpoint into a bundle that clipgate loads"),
    "quantize": ("quantization.command", "turn an fp32 ONNX tower and a folder of images into a static int8 graph"),
    "qat": ("qat.command", "train an fp32 ONNX tower to a static int8 graph on photos in label folders"),
    "verify": ("verify", "compare an int8 image encoder with the fp32 one on your images"),
    "ort-format": ("ort_format", "put a bundle's graphs into ONNX Runtime's own format, which starts in less memory"),
    "reference": ("reference", "make a bundle's twin around its fp32 graph, for `clipgate evaluate --reference`"),
    "study": ("study.command", "compare quantisation methods on accuracy, calibration and OOD detection, with a page"),
    "scores": ("ood_table", "write the table of out-of-distribution scores on pocket and on CLIP's own embeddings"),
    "table": ("methods_table", "write the table of quantisation methods on pocket's towers"),
}
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main(given: Sequence[str] | None = None) -> int:
    try:
        with stoppable():
            return run(sys.argv[1:] if given is None else given)
    except UserError as error:
        return fail(str(error))
    except OSError as error:
        if error.errno is None:
            raise
        name = f"{error.filename}: " if error.filename else ""
        if error.errno in FULL:
            place = f"{name or tempfile.gettempdir() + ' or the output: '}the disk is full ({error.strerror})"
            return fail(f"{place}; make room, or set TMPDIR or -o to another disk; {_kept(error)}")
        return fail(f"{name}{error.strerror}")
    except KeyboardInterrupt as error:
        number = error.number if isinstance(error, Stopped) else signal.SIGINT
        fail(f"interrupted ({signal.Signals(number).name}); {_kept(error)}")
        return 128 + number


def _kept(error: BaseException) -> str:
    """Commands that keep what was finished say so in a note."""
    return "; ".join(getattr(error, "__notes__", ())) or "nothing was written"


def run(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="clipgate-export", description="Exports, quantises and checks CLIP models.")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (module, described) in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=described)
        # The modules' arguments are added when their command is asked for: importing them all takes seconds.
        if name in words[:1]:
            importlib.import_module(f".{module}", __package__).add_arguments(subparser)
    arguments = parser.parse_args(words)
    return importlib.import_module(f".{COMMANDS[arguments.command][0]}", __package__).run(arguments)


def fail(words: str) -> int:
    print(f"clipgate-export: {' '.join(words.split())}", file=sys.stderr)
    return 2
