"""`clipgate-export study`: quantisation methods by what they do to a model's reliability, with a page."""

import argparse
import sys
from pathlib import Path

from ..building import refuse_unwritable
from . import config
from .config import Study
from .inputs import read_inputs
from .page import write_page
from .pictures import write_pictures
from .running import run as run_rows

CLIPGATE = Path(__file__).parents[4] / "target" / "release" / "clipgate"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class, parser.epilog = argparse.RawDescriptionHelpFormatter, config.__doc__
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="study.toml, told below")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="results, pictures and the page"
    )
    parser.add_argument(
        "--clipgate", type=Path, default=CLIPGATE, metavar="FILE", help="the judge (default: %(default)s)"
    )


def run(arguments: argparse.Namespace) -> int:
    """0, or 1 where rows failed."""
    study = Study.read(arguments.config)
    refuse_unwritable(arguments.output)
    inputs = read_inputs(study, arguments.clipgate)
    for line in inputs.missing:
        print(line, file=sys.stderr)
    try:
        record = run_rows(inputs, arguments.output)
    except (KeyboardInterrupt, OSError) as error:
        error.add_note(f"finished rows are kept: the same command goes on in {arguments.output}")
        raise
    write_pictures(record, arguments.output)
    write_page(record, arguments.output)
    failed = [row for row in record["rows"] if "error" in row]
    for name, verdict in record["shipped"].items():
        print(f"{name}: {verdict['words']}")
    print(f"{arguments.output / 'study.html'}: {len(record['rows']) - len(failed)} rows")
    for row in failed:
        print(f"{row['name']}: {row['error']}", file=sys.stderr)
    return 1 if failed else 0
