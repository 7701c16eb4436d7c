"""NumPy's time for what `cargo bench --bench topk` does to f32 rows: OMP_NUM_THREADS=1 python topk.py"""

import time

import numpy as np

draw = np.random.default_rng(1)
rows = draw.standard_normal((1_000_000, 512), dtype=np.float32)
image = draw.standard_normal(512, dtype=np.float32)
read, found = [], []
for _ in range(9):
    start = time.perf_counter()
    rows.view(np.uint64).sum()
    read.append(time.perf_counter() - start)
    start = time.perf_counter()
    cosines = rows @ image
    nearest = np.argpartition(cosines, -5)[-5:]
    nearest = nearest[np.argsort(-cosines[nearest])]
    found.append(time.perf_counter() - start)
print(f"sum of all bytes {min(read) * 1e3:.1f} ms, top-5 {min(found) * 1e3:.1f} ms")
