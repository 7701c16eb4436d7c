"""What a processor tells, and when sums are asked to be exact."""

import onnxruntime as ort
import pytest

from clipgate_export import cpu
from clipgate_export.graph import one_thread

EXACT_SUMS = "session.x64quantprecision"


@pytest.mark.parametrize(
    ("told", "expected", "has_vnni"),
    [
        ("flags : fpu avx2 avx512f avx512_vnni amx_int8\n", ["avx2", "avx512f", "avx512_vnni", "amx_int8"], True),
        ("flags : fpu avx2 avx_vnni\n", ["avx2", "avx_vnni"], True),
        ("flags : fpu avx2 sha_ni\n", ["avx2"], False),
        ("Features : fp asimd asimddp i8mm\n", ["asimddp", "i8mm"], False),
        (None, [], False),
    ],
)
def test_sums_are_asked_to_be_exact_without_vnni(tmp_path, monkeypatch, told, expected, has_vnni) -> None:
    info = tmp_path / "cpuinfo"
    if told is not None:
        info.write_text(told)
    monkeypatch.setattr(cpu, "INFO", info)
    assert cpu.flags() == expected
    assert cpu.has_vnni() == has_vnni
    assert asked(one_thread()) == ("" if has_vnni else "1")


def asked(options: ort.SessionOptions) -> str:
    try:
        return options.get_session_config_entry(EXACT_SUMS)
    except RuntimeError:
        return ""
