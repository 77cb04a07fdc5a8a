"""Time `find_nearest` beside scipy's k-d tree on the same sorted rows, on one core.

Run as ``python benchmarks/kernel_nearest.py [rows]``. The field has Gaia's mean density, the
radius is 1 arcsec. Prints rows/s and lines ``ratio NAME VALUE`` (peer time over ours).
"""

import sys
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from scipy.spatial import cKDTree

from ubspark.crossmatch.kernels import Nearest, find_nearest
from ubspark.sky.healpix import compute_healpix_29
from ubspark.sky.vectors import FloatArray, IntArray, to_unit_vectors

T = TypeVar("T")
ROWS_PER_SQUARE_DEGREE = 1.8e9 / 41253.0
RADIUS_ARCSEC = 1.0
REPEATS = 5


def make_field(n: int, seed: int) -> tuple[FloatArray, FloatArray]:
    """Return right rows of a square field and left rows, two thirds of them beside a right one."""
    rng = np.random.default_rng(seed)
    side = np.sqrt(n / ROWS_PER_SQUARE_DEGREE)
    dec = 30.0 + rng.uniform(0.0, side, n)
    ra = 56.0 + rng.uniform(0.0, side, n) / np.cos(np.deg2rad(30.0 + side / 2.0))
    right = np.stack([ra, dec])
    left = right + rng.normal(0.0, 0.2 / 3600.0, right.shape)
    alone = rng.random(n) < 1.0 / 3.0
    left[:, alone] = right[:, alone] + rng.uniform(-0.01, 0.01, (2, alone.sum()))
    return left, right


def sort_rows(rows: FloatArray) -> tuple[FloatArray, FloatArray, IntArray]:
    healpix = compute_healpix_29(rows[0], rows[1])
    order = np.argsort(healpix)
    return rows[0][order].copy(), rows[1][order].copy(), healpix[order]


def measure(call: Callable[[], T]) -> tuple[float, T]:
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        result = call()
        times.append(time.perf_counter() - start)
    return min(times), result


def main(n: int = 1_000_000) -> None:
    left, right = (sort_rows(rows) for rows in make_field(n, seed=1))
    ids = np.arange(n, dtype=np.int64)
    left_vectors, right_vectors = to_unit_vectors(*left[:2]), to_unit_vectors(*right[:2])

    def match(a: FloatArray, b: FloatArray, *, with_healpix: bool) -> Nearest:
        return find_nearest(
            a,
            b,
            ids,
            right[0],
            right[1],
            radius_arcsec=RADIUS_ARCSEC,
            left_healpix=left[2] if with_healpix else None,
            right_healpix=right[2] if with_healpix else None,
        )

    def match_degrees(*, with_healpix: bool) -> Nearest:
        a, b = to_unit_vectors(*left[:2]), to_unit_vectors(*right[:2])
        return match(a, b, with_healpix=with_healpix)

    def match_tree() -> tuple[FloatArray, IntArray]:
        chord = 2.0 * np.sin(np.deg2rad(RADIUS_ARCSEC / 3600.0) / 2.0)
        tree = cKDTree(right_vectors)
        distance, row = tree.query(left_vectors, distance_upper_bound=chord * (1 + 1e-9))
        return distance, row

    kernel_s, nearest = measure(lambda: match(left_vectors, right_vectors, with_healpix=True))
    degrees_s, _ = measure(lambda: match_degrees(with_healpix=True))
    moved_s, _ = measure(lambda: match_degrees(with_healpix=False))
    tree_s, (_, row) = measure(match_tree)
    if not np.array_equal(np.where(row < n, row, -1), nearest.right):
        sys.exit("The two do not agree.")
    print(f"rows {n}, matched {np.mean(nearest.right >= 0):.3f}")
    for name, seconds in (
        ("vectors", kernel_s),
        ("degrees", degrees_s),
        ("degrees_without_healpix", moved_s),
        ("ckdtree", tree_s),
    ):
        print(f"time {name} {seconds:.3f} s, {n / seconds / 1e6:.2f} M left rows/s")
    print(f"ratio ckdtree/nearest_vectors {tree_s / kernel_s:.2f}")
    print(f"ratio ckdtree/nearest_degrees {tree_s / degrees_s:.2f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
