"""Holds an Arm board's answers against this machine's: the same decisions, and embeddings that point the same way.

python3 tests/arm/parity.py HOST_CLIPGATE ARM_CLIPGATE        the board is BOARD's, see tests/arm/run
"""

import json
import math
import os
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

# Arm's cores multiply int8 as VNNI does; what differs is the order of the sums in between, 0.9994 and better.
LEAST_COSINE = 0.998
HERE = Path(__file__).parent
PHOTOS = sorted(str(path) for path in Path("examples/photos").glob("*.jpg"))


def decisions(command):
    output = subprocess.run([*command, "classify", "--format", "json", *PHOTOS], check=True, stdout=subprocess.PIPE)
    answers = [json.loads(line) for line in output.stdout.splitlines()]
    return {answer["image"]: (answer["decision"], answer.get("reason") or answer.get("label")) for answer in answers}


def embeddings(command, folder):
    file = Path(folder) / "embeddings.safetensors"
    subprocess.run([*command, "embed", *PHOTOS, "--output", str(file)], check=True, stdout=subprocess.DEVNULL)
    content = file.read_bytes()
    (length,) = struct.unpack_from("<Q", content)
    tensor = json.loads(content[8 : 8 + length])["image_embeds"]
    rows, width = tensor["shape"]
    assert tensor["dtype"] == "F32" and rows == len(PHOTOS), tensor
    start = 8 + length + tensor["data_offsets"][0]
    return [struct.unpack_from(f"<{width}f", content, start + 4 * width * row) for row in range(rows)]


def product(one, other):
    return math.fsum(a * b for a, b in zip(one, other, strict=True))


def cosine(one, other):
    return product(one, other) / math.sqrt(product(one, one) * product(other, other))


def main():
    host, arm = [sys.argv[1]], [str(HERE / "run"), sys.argv[2]]
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        pairs = list(zip(embeddings(host, one), embeddings(arm, other), strict=True))
    expected, found = decisions(host), decisions(arm)
    cosines = [cosine(*pair) for pair in pairs]
    for photo, similarity in zip(PHOTOS, cosines, strict=True):
        differs = "" if found[photo] == expected[photo] else f"  but {' '.join(expected[photo])} here"
        print(f"{photo:32} {similarity:.5f}  {' '.join(found[photo])}{differs}")
    print(f"{os.environ.get('BOARD', 'pi5')}: {len(PHOTOS)} photos, least cosine {min(cosines):.5f}")
    sys.exit(found != expected or min(cosines) < LEAST_COSINE)


main()
