"""NumPy's time for what `cargo bench --bench negatives` does to cosines: OMP_NUM_THREADS=1 python negatives.py"""

import time

import numpy as np

draw = np.random.default_rng(1)
for count in (1_000, 2_000, 5_000, 10_000):
    rows = draw.standard_normal((count, 512)).astype(np.float32)
    image = draw.standard_normal(512).astype(np.float32)
    seconds = []
    for _ in range(400):
        start = time.perf_counter()
        rows @ image
        seconds.append(time.perf_counter() - start)
    print(f"{count:9}  {min(seconds) * 1e3:6.3f} ms in f32, products alone")
