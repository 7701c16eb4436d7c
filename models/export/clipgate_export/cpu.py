"""What this processor has that ONNX Runtime chooses int8 kernels by."""

from pathlib import Path

# They decide the last bits of what is measured too, so a bundle's recipe names them.
FLAGS = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "amx_int8", "asimddp", "i8mm", "sve")
VNNI = ("avx_vnni", "avx512_vnni")
INFO = Path("/proc/cpuinfo")


def flags() -> list[str]:
    """Of `FLAGS` those that Linux tells of this processor."""
    told = INFO.read_text().split() if INFO.exists() else []
    return [flag for flag in FLAGS if flag in told]


def has_vnni() -> bool:
    """Whether products of int8 are added in 32 bits here, if this is x86."""
    return not set(VNNI).isdisjoint(flags())
