import json
from pathlib import Path

import pytest

from clipgate_export import card, chapters

PAGE = """Try it:

```text
$ clipgate classify a.jpg
old
lines

more
```

```rust
$ clipgate not a command
kept
```

```text
$ cargo test --workspace
```
"""


def test_only_the_output_of_a_known_command_is_replaced() -> None:
    asked = []

    def answer(command: str) -> str:
        asked.append(command)
        return "new\n"

    page = chapters.with_outputs(PAGE.replace("```rust\n$ ", "```rust\n"), answer)
    assert asked == ["clipgate classify a.jpg"]
    assert page == PAGE.replace("```rust\n$ ", "```rust\n").replace("old\nlines\n\nmore\n", "new\n")


def test_comment_lines_keep_their_prefix() -> None:
    page = "//! ```text\n//! $ cargo run --release --example a\n//! old\n//! $ clipgate b\n//! ```\n"
    said = {"cargo run --release --example a": "one\n\ntwo\n", "clipgate b": "three\n"}
    assert chapters.with_outputs(page, said.__getitem__) == (
        "//! ```text\n//! $ cargo run --release --example a\n//! one\n//!\n//! two\n"
        "//! $ clipgate b\n//! three\n//! ```\n"
    )


def test_a_page_that_differs_in_digits_only_is_up_to_date() -> None:
    assert chapters.same("espresso (98 %)", "espresso (97 %)")
    assert not chapters.same("espresso (98 %)", "teapot (98 %)")


@pytest.fixture
def report(pocket: Path) -> dict:
    return json.loads((pocket / "report.json").read_text())


def test_the_card_is_that_of_the_report(pocket: Path, report: dict) -> None:
    assert (pocket / "README.md").read_text() == card.render(report)


def test_the_readme_has_the_figures_of_the_report(pocket: Path, report: dict) -> None:
    readme = (pocket.parents[1] / "README.md").read_text()
    assert readme == chapters.with_figures(readme, report)


def test_the_report_is_of_the_bundle_that_ships(pocket: Path, report: dict) -> None:
    files = json.loads((pocket / "manifest.json").read_text())["files"]
    assert report["files"] == {name: report["files"][name] for name in files}
    assert {name: entry["sha256"] for name, entry in report["files"].items()} == {
        name: entry["sha256"] for name, entry in files.items()
    }
