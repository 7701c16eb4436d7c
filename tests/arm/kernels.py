"""Which int8 instructions ran on an emulated board: those that its processor is to have, and no others.

python3 tests/arm/kernels.py ARM_CLIPGATE        the board is BOARD's, see tests/arm/run

qemu writes down each instruction the first time that it is reached. `clipgate doctor` has to name the same features.
"""

import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path

# Of each kind the fixed bits and their values, by the Arm Architecture Reference Manual: SDOT and UDOT by vector and by
# element; SMMLA, UMMLA and USMMLA of NEON and of SVE.
ENCODINGS = {
    "dotprod": [(0x9FE0FC00, 0x0E809400), (0x9FC0F400, 0x0F80E000)],
    "i8mm": [(0xDFE0FC00, 0x4E80A400), (0xFFE0FC00, 0x4E80AC00), (0xFF20FC00, 0x45009800)],
}
EXPECTED = {"pi4": set(), "pi5": {"dotprod"}, "v9": {"dotprod", "i8mm"}, "phone": {"dotprod", "i8mm"}}
TRANSLATED = re.compile(rb"^0x[0-9a-f]+: +([0-9a-f]{8}) ")
HERE = Path(__file__).parent
PHOTO = "examples/photos/coffee.jpg"


def ran(command):
    counts = dict.fromkeys(ENCODINGS, 0)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "translated"
        logged = {**os.environ, "QEMU_LOG": "in_asm", "QEMU_LOG_FILENAME": str(log)}
        subprocess.run([*command, "classify", PHOTO], check=True, stdout=subprocess.DEVNULL, env=logged)
        with log.open("rb") as lines:
            for line in lines:
                if found := TRANSLATED.match(line):
                    word = int(found[1], 16)
                    for name, encodings in ENCODINGS.items():
                        counts[name] += any(word & mask == value for mask, value in encodings)
    return counts


def told(command):
    output = subprocess.run([*command, "doctor", "--format", "json"], stdout=subprocess.PIPE)
    findings = json.loads(output.stdout)["findings"]
    processor = next(finding for finding in findings if finding["check"] == "processor")
    return set(processor["values"]["features"]) & set(ENCODINGS)


def main():
    if platform.machine() == "aarch64":
        print("SKIPPED which int8 instructions ran: nothing writes them down where no processor is emulated")
        return
    board = os.environ.get("BOARD", "pi5")
    command = [str(HERE / "run"), sys.argv[1]]
    counts = ran(command)
    kinds = {name for name, count in counts.items() if count}
    features = told(command)
    print(f"{board}: int8 instructions in the kernels that ran: {counts}; doctor names {sorted(features)}")
    sys.exit(not kinds == features == EXPECTED[board])


main()
