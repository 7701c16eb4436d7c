"""The pure part of the comparison: ratios, bars, the table and where it goes."""

import pytest
import table


@pytest.fixture
def result() -> dict:
    return {
        "date": "2026-11-30",
        "machine": {"cpu": "A Processor", "features": "avx2", "cores": 2, "load": [0.1, 1.2]},
        "versions": {
            "clipgate": "abc1234",
            "fastembed": "7.7.0",
            "python": "3.11.7",
            "open_clip_torch": "3.3.0",
            "pillow": "13.0.0",
            "opencv-python-headless": "5.0.0",
            "onnxruntime": "1.32.0",
        },
        "time": "wall",
        "threads": 1,
        "rounds": 12,
        "runs": 3,
        "starts": 7,
        "labels": 54,
        "files": {"clipgate": 100_000_000, "python-fp32": 350_000_000, "python-bare": 100_000_000},
        "samples": {
            "nv21": {"clipgate": [30.0, 29.0, 31.0], "python-fp32": [120.0, 119.0, 500.0]},
            "start": {"clipgate": [300.0], "python-bare": [400.0]},
            "memory": {"clipgate": [150e6], "python-fp32": [900e6]},
        },
    }


def test_ratios_are_of_medians(result: dict) -> None:
    figures = table.medians(result["samples"])
    assert figures["nv21"] == {"clipgate": 30.0, "python-fp32": 120.0}
    found = {bar["what"]: bar for bar in table.bars(figures, result["files"])}
    assert len(found) == 3
    faster = found["1080p NV21 frame: clipgate faster than Python, fp32"]
    assert (faster["bar"], faster["value"], faster["holds"]) == (">= 3.2x", 4.0, True)
    start = next(bar for what, bar in found.items() if what.startswith("process start"))
    assert (start["value"], start["holds"]) == (0.75, False)


def test_a_table_has_a_row_a_peer_and_says_what_was_missed(result: dict) -> None:
    text = table.markdown(result)
    rows = [line for line in text.splitlines() if line.startswith("| Python, fp32 |")]
    assert rows == ["| Python, fp32 | 120.0 (4.00x) | | 900 (2.6x its file) |"]
    assert "| clipgate | 30.0 | 300 | 150 (1.5x its file) |" in text
    assert text.count("missed") == 1
    assert "fastembed-rs" not in text
    assert "A Processor (avx2), 2 cores, load 0.1 to 1.2, 1 thread;" in text


def test_the_table_replaces_what_stands_between_the_marks() -> None:
    page = f"before\n{table.MARKS[0]}old\n{table.MARKS[1]}after\n"
    assert table.insert(page, "new\n") == f"before\n{table.MARKS[0]}new\n{table.MARKS[1]}after\n"
    with pytest.raises(ValueError):
        table.insert("a page without marks", "new\n")
