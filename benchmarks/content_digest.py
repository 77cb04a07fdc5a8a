"""Speed of the content digest, in MB of Arrow data per second of processor time.

Peer: SHA-256 of the same bytes, which is what a digest that minds the order would cost.
"""

import hashlib
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import pyarrow as pa

from ubspark.catalogs.digests import compute_digest

N_ROWS = 500_000
N_REPEATS = 5


def make_numbers(rng: np.random.Generator) -> pa.Table:
    columns = {f"flux_{i}": rng.normal(size=N_ROWS) for i in range(6)}
    ids = {f"id_{i}": rng.integers(0, 1 << 62, N_ROWS) for i in range(2)}
    return pa.table({**columns, **ids})


def make_narrow_numbers(rng: np.random.Generator) -> pa.Table:
    columns = {f"mag_{i}": rng.normal(size=N_ROWS).astype(np.float32) for i in range(6)}
    counts = {f"n_{i}": rng.integers(0, 9, N_ROWS).astype(np.int16) for i in range(2)}
    return pa.table({**columns, **counts})


def make_numbers_with_nulls(rng: np.random.Generator) -> pa.Table:
    has_no_value = rng.random(N_ROWS) < 0.2
    return pa.table(
        {f"flux_{i}": pa.array(rng.normal(size=N_ROWS), mask=has_no_value) for i in range(8)}
    )


def make_texts(rng: np.random.Generator) -> pa.Table:
    lengths = rng.integers(4, 40, N_ROWS)
    letters = rng.integers(97, 123, lengths.sum(), dtype=np.uint8).tobytes().decode()
    stops = np.cumsum(lengths)
    texts = [letters[a:b] for a, b in zip(stops - lengths, stops, strict=True)]
    return pa.table({"name": pa.array(texts)})


def make_light_curves(rng: np.random.Generator) -> pa.Table:
    offsets = np.concatenate([[0], np.cumsum(rng.integers(0, 20, N_ROWS))]).astype(np.int32)
    n_items = int(offsets[-1])
    points = pa.StructArray.from_arrays(
        [rng.random(n_items), rng.random(n_items).astype(np.float32)], names=["mjd", "flux"]
    )
    return pa.table({"points": pa.ListArray.from_arrays(offsets, points)})


def measure_best_s(call: Callable[[], object]) -> float:
    times = []
    for _ in range(N_REPEATS):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return min(times)


def hash_buffers(table: pa.Table) -> str:
    sha = hashlib.sha256()
    for batch in table.to_batches():
        for column in batch.columns:
            for buffer in column.buffers():
                if buffer is not None:
                    sha.update(buffer)
    return sha.hexdigest()


def main() -> None:
    rng = np.random.default_rng(1)
    makers = (
        make_numbers,
        make_narrow_numbers,
        make_numbers_with_nulls,
        make_texts,
        make_light_curves,
    )
    print(f"{'table':24}{'MB':>8}{'digest MB/s':>14}{'sha256 MB/s':>14}{'ratio':>8}")
    for make in makers:
        table = make(rng)
        megabytes = table.nbytes / 1e6
        ours = megabytes / measure_best_s(partial(compute_digest, table))
        peer = megabytes / measure_best_s(partial(hash_buffers, table))
        name = make.__name__.removeprefix("make_")
        print(f"{name:24}{megabytes:8.0f}{ours:14.0f}{peer:14.0f}{ours / peer:8.2f}")


if __name__ == "__main__":
    main()
