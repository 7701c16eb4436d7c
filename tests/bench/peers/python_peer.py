"""CLIP in Python as its users run it: Pillow, open_clip's own transform, ONNX Runtime; a worker of measure.py.

A camera frame is converted by OpenCV, which is some ten times faster than NumPy, and handed to Pillow without a copy.
The conversation is that of worker/src/lib.rs. `--bare` is the least that Python can do, for the time from process start
to first decision: NumPy and ONNX Runtime alone, on pixel_values that were prepared before (no decoding, no resampling).
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort

WIDTH, HEIGHT = 1920, 1080
SIZE = 224


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--graph", type=Path, required=True)
    parser.add_argument("--frames", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--once")
    parser.add_argument("--bare", action="store_true")
    arguments = parser.parse_args()
    peer = (Bare if arguments.bare else Peer)(arguments)
    if arguments.once:
        say(line({}, *peer.answer(arguments.once)))
        return
    say("ready")
    for request in sys.stdin:
        case, runs = request.split()
        times = {"wall": [], "processor": []}
        for _ in range(int(runs)):
            start, worked = time.perf_counter(), time.process_time()
            answer = peer.answer(case)
            times["wall"].append((time.perf_counter() - start) * 1e3)
            times["processor"].append((time.process_time() - worked) * 1e3)
        say(line(times, *answer))


class Bare:
    def __init__(self, arguments: argparse.Namespace) -> None:
        self.frames = arguments.frames
        options = ort.SessionOptions()
        options.intra_op_num_threads = arguments.threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = ort.InferenceSession(str(arguments.graph), options, providers=["CPUExecutionProvider"])
        self.labels, self.bank = read_bank(arguments.bundle / "labels.safetensors")

    def answer(self, case: str) -> tuple[str, float]:
        return self.decide(np.load(self.frames / "pixel_values.npy"))

    def decide(self, pixel_values: np.ndarray) -> tuple[str, float]:
        (embedding,) = self.session.run(None, {"pixel_values": pixel_values})[0]
        similarities = self.bank @ (embedding / np.linalg.norm(embedding))
        best = int(similarities.argmax())
        return self.labels[best], float(similarities[best])


class Peer(Bare):
    def __init__(self, arguments: argparse.Namespace) -> None:
        # Here, so that the bare peer does not pay for them.
        import cv2
        import open_clip
        import torch
        from PIL import Image

        cv2.setNumThreads(arguments.threads)
        torch.set_num_threads(arguments.threads)
        self.cv2, self.image = cv2, Image
        self.transform = open_clip.image_transform(SIZE, is_train=False)
        self.frame = (arguments.frames / "frame.nv21").read_bytes()
        super().__init__(arguments)

    def answer(self, case: str) -> tuple[str, float]:
        return self.decide(self.transform(self.open(case))[None].numpy())

    def open(self, case: str):
        if case == "nv21":
            planes = np.frombuffer(self.frame, np.uint8).reshape(HEIGHT * 3 // 2, WIDTH)
            return self.image.fromarray(self.cv2.cvtColor(planes, self.cv2.COLOR_YUV2RGB_NV21))
        image = self.image.open(self.frames / case.removeprefix("fast:"))
        if case.startswith("fast:"):
            # libjpeg decodes at the smallest of 1/2, 1/4, 1/8 that is not below this.
            image.draft("RGB", (2 * SIZE, 2 * SIZE))
        return image


def read_bank(path: Path) -> tuple[list[str], np.ndarray]:
    """Names and unit rows of a safetensors file: eight bytes of length, JSON, tensors."""
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    entry = header["text_embeds"]
    first, last = (end + offset for offset in entry["data_offsets"])
    rows = np.frombuffer(content[first:last], np.float32).reshape(entry["shape"])
    return [label["name"] for label in json.loads(header["__metadata__"]["labels"])], rows


def line(times: dict[str, list[float]], label: str, similarity: float) -> str:
    return json.dumps(times | {"label": label, "similarity": similarity, "peak_rss_kb": peak_rss_kb()})


def peak_rss_kb() -> int:
    """VmHWM: the most memory this process has had resident, as Linux counts it."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(entry.split()[1]) for entry in status if entry.startswith("VmHWM:"))


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
