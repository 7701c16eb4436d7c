"""Whether libclipgate_jni.so is fit for Android: check.py OUT, where OUT/ABI/libclipgate_jni.so are.

Needs readelf. Prints the size of each; exits with 1 and a line for each rule that one breaks.
"""

import re
import subprocess
import sys
from pathlib import Path

LIBRARY = "libclipgate_jni.so"
MACHINES = {"arm64-v8a": "AArch64", "armeabi-v7a": "ARM", "x86_64": "Advanced Micro Devices X86-64"}
PAGE_SIZE = 16 << 10
# Of a release build, the largest of which has 5.7 MB; others are larger.
MOST_BYTES = 6 << 20
STUBS = Path(__file__).parent / "stubs"
# Of the system, from API level 24 on. An NDK links libunwind statically; its stand-in is a library of its own.
SYSTEM = {f"{name}.so" for name in ("libc", "libm", "libdl", "liblog")}
STAND_IN = "libunwind.so"
UNWINDER = ("_Unwind_", "__gnu_unwind_")


def readelf(library: Path, *options: str) -> str:
    return subprocess.run(["readelf", "--wide", *options, library], check=True, capture_output=True, text=True).stdout


def broken_rules(abi: str, library: Path, is_release: bool) -> list[str]:
    broken = []
    header = readelf(library, "--file-header")
    if not re.search(rf"Machine: +{re.escape(MACHINES[abi])}$", header, re.MULTILINE):
        broken.append(f"is not for {MACHINES[abi]}")
    for line in readelf(library, "--program-headers").splitlines():
        if line.split()[:1] == ["LOAD"] and int(line.split()[-1], 16) % PAGE_SIZE:
            broken.append(f"a segment is aligned to {line.split()[-1]}, not to pages of 16 KB")

    dynamic = readelf(library, "--dynamic")
    if f"Library soname: [{LIBRARY}]" not in dynamic:
        broken.append("has another soname")
    if "TEXTREL" in dynamic:
        broken.append("has relocations in its code")
    needed = set(re.findall(r"Shared library: \[(.+)\]", dynamic))
    if needed - SYSTEM - {STAND_IN}:
        broken.append(f"needs {', '.join(sorted(needed - SYSTEM - {STAND_IN}))}")

    lines = [line for file in STUBS.glob("*.syms") for line in file.read_text().splitlines()]
    allowed = {line for line in lines if not line.startswith("#")}
    exported = []
    for line in readelf(library, "--dyn-syms").splitlines():
        columns = line.split()
        if len(columns) < 8 or columns[4] not in ("GLOBAL", "WEAK"):
            continue
        name = columns[7].split("@")[0]
        if columns[6] != "UND":
            exported.append(name)
        elif columns[4] == "GLOBAL" and name not in allowed and not name.startswith(UNWINDER):
            broken.append(f"takes {name} from the system, which is not among stubs/*.syms")
    foreign = [name for name in exported if not name.startswith("Java_io_clipgate_Native_")]
    if foreign or not exported:
        broken.append(f"exports {', '.join(foreign) or 'nothing'}")

    if is_release and library.stat().st_size > MOST_BYTES:
        broken.append(f"has {library.stat().st_size} bytes, more than {MOST_BYTES}")
    return broken


def main() -> int:
    out, is_release = Path(sys.argv[1]), "--release" in sys.argv[2:]
    failed = False
    for abi in MACHINES:
        library = out / abi / LIBRARY
        needed = re.findall(r"Shared library: \[(.+)\]", readelf(library, "--dynamic"))
        kind = "for a check alone" if STAND_IN in needed else "for devices"
        print(f"{abi}: {library.stat().st_size} bytes, {kind}")
        for rule in broken_rules(abi, library, is_release):
            print(f"{library}: {rule}")
            failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
