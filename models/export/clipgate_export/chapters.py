r"""Rewrites what the project's pages say of the embedded model: command outputs, and the README's figures.

    python -m clipgate_export.chapters --project ../..           # after the bundle has changed
    python -m clipgate_export.chapters --project ../.. --check   # do the pages still tell the truth?

In a page, the lines below a `$ cargo run --release ...` or `$ clipgate ...` in a fenced block are that command's
standard output, unless the block is marked `console`; what stands between the two marks of `MARKS` is `figures` of
models/pocket/report.json.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

from .card import interval_free
from .errors import UserError, report_errors
from .files import write_bytes

PAGES = ("README.md", "examples/classify_image.rs", "examples/own_labels.rs", "examples/abstain.rs")
COMMANDS = ("cargo run --release ", "clipgate ")
# What was said of files that are not part of the project is not asked again.
EXAMPLE = "```console"
REPORT = "models/pocket/report.json"
MARKS = ("<!-- pocket's figures -->\n", "<!-- end of pocket's figures -->\n")
LINE_PREFIX = "//! "


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--project", type=Path, default=Path(), help="folder of Cargo.toml")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if a page is out of date")
    arguments = parser.parse_args()
    sys.exit(1 if write(arguments.project, arguments.check) and arguments.check else 0)


def write(project: Path, check: bool = False) -> list[str]:
    """Writes the pages that are out of date and returns their names; only names them with `check`."""
    report = json.loads((project / REPORT).read_text())
    stale = []
    for name in PAGES:
        path = project / name
        old = path.read_text()
        new = with_outputs(old, lambda command: run(command, project))
        if MARKS[0] in new:
            new = with_figures(new, report)
        if same(old, new) if check else old == new:
            continue
        stale.append(name)
        print(f"{name}: {'out of date' if check else 'rewritten'}", file=sys.stderr)
        if not check:
            write_bytes(path, new.encode())
    return stale


def same(old: str, new: str) -> bool:
    """Equal but for digits: the int8 kernels of another CPU move a cosine's last figures."""
    return re.sub(r"\d", "0", old) == re.sub(r"\d", "0", new)


def run(command: str, project: Path) -> str:
    """Standard output of a command in the project's folder, where `clipgate` is the release build."""
    path = f"{binaries(project)}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=project, env=os.environ | {"PATH": path}, capture_output=True, text=True
    )
    if done.returncode not in (0, 1):
        raise UserError(f"{command}: exit {done.returncode}: {(done.stderr.strip().splitlines() or ['no word'])[-1]}")
    return done.stdout


def binaries(project: Path) -> Path:
    """Where `cargo build --release` puts them."""
    return (project / os.environ.get("CARGO_TARGET_DIR", "target") / "release").resolve()


def with_outputs(page: str, answer: Callable[[str], str]) -> str:
    """`page` with the output of each of its `COMMANDS` replaced by what `answer(command)` gives."""
    lines, kept, fenced, rerun = page.splitlines(keepends=True), [], False, False
    place = 0
    while place < len(lines):
        prefix = LINE_PREFIX if lines[place].startswith(LINE_PREFIX) else ""
        content = lines[place][len(prefix) :]
        kept.append(lines[place])
        place += 1
        if content.startswith("```"):
            fenced = not fenced
            rerun = fenced and not content.startswith(EXAMPLE)
        command = content[2:].rstrip("\n")
        if not (rerun and content.startswith("$ ") and command.startswith(COMMANDS)):
            continue
        while not ends_output(lines[place], prefix):
            place += 1
        kept += [f"{prefix}{line}".rstrip() + "\n" for line in answer(command).rstrip("\n").splitlines()]
    return "".join(kept)


def ends_output(line: str, prefix: str) -> bool:
    return line.removeprefix(prefix).startswith(("```", "$ "))


def with_figures(page: str, report: dict) -> str:
    before, rest = page.split(MARKS[0], 1)
    after = rest.split(MARKS[1], 1)[1]
    return f"{before}{MARKS[0]}{figures(report)}{MARKS[1]}{after}"


def figures(report: dict) -> str:
    """The README's paragraph of figures, wrapped."""
    v, photos = report["validation"], report["photos"]["shares"]
    never = report["outside"][0]["accepted"]
    inside, in_words = photos["labelled"], report["photos"]["shares_in_words"]["other"]
    ms = report["latency_ms"]
    sentences = [
        f"On validation images of its {report['labels']} labels (n {v['top1_int8']['n']:,}) it is right for "
        f"{interval_free(v['top1_int8'])} without a gate (fp32: {interval_free(v['top1_fp32'])}).",
        f"With the gate it answers {interval_free(v['accepted'])} of them and is right for "
        f"{interval_free(v['right_of_accepted'])} of those.",
        f"Of full-size photos that show a label (n {inside['accepted']['n']}) it answers "
        f"{interval_free(inside['accepted'])} and is right for {interval_free(inside['right_of_accepted'])} of those; "
        f"of full-size photos of other things (n {photos['other']['accepted']['n']}) it accepts "
        f"{interval_free(photos['other']['accepted'])}, and {interval_free(in_words['accepted'])} where the "
        f"same labels are given in words.",
        f"Of validation images of classes that it never saw it wrongly accepts {interval_free(never)}.",
        f"One frame takes {ms['image_int8']:.1f} ms on one core of a recent x86 server, int8 being "
        f"{ms['image_ratio']:.1f} times as fast as fp32 in the same run.",
    ]
    return wrap(" ".join(sentences)) + "\n"


def wrap(text: str, width: int = 116) -> str:
    """Filled lines, numbers kept together with their unit."""
    held = re.sub(r"(\d) (%|ms)", "\\1\u00a0\\2", text)
    return "\n".join(textwrap.wrap(held, width, break_on_hyphens=False)).replace("\u00a0", " ")


if __name__ == "__main__":
    report_errors(main)
