"""Neighbours of HEALPix pixels, compiled, for kernels that ask for one at a time."""

import numpy as np
from numba import njit

from ubspark.sky.vectors import IntArray

__all__ = ["compute_neighbours", "find_neighbour"]

# Faces around a face and what happens to x and y on the way (1: x flips, 2: y flips, 4: they
# change places), by direction S, SE, E, SW, own, NE, W, NW, N: tables `nb_facearray` and
# `nb_swaparray` of HEALPix C++ 3.x (Gorski et al. 2005), where -1 is the corner that is missing.
_FACES = np.array(
    [
        [8, 9, 10, 11, -1, -1, -1, -1, 10, 11, 8, 9],
        [5, 6, 7, 4, 8, 9, 10, 11, 9, 10, 11, 8],
        [-1, -1, -1, -1, 5, 6, 7, 4, -1, -1, -1, -1],
        [4, 5, 6, 7, 11, 8, 9, 10, 11, 8, 9, 10],
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
        [1, 2, 3, 0, 0, 1, 2, 3, 5, 6, 7, 4],
        [-1, -1, -1, -1, 7, 4, 5, 6, -1, -1, -1, -1],
        [3, 0, 1, 2, 3, 0, 1, 2, 4, 5, 6, 7],
        [2, 3, 0, 1, -1, -1, -1, -1, 0, 1, 2, 3],
    ]
)
_TURNS = np.zeros((9, 3), dtype=np.int64)
_TURNS[[0, 1, 3], 2] = 3, 6, 5
_TURNS[[5, 7, 8], 0] = 5, 6, 3
_EVEN_BITS = 0x5555555555555555


@njit("int64(int64, int64, int64, int64)", cache=True, nogil=True)  # type: ignore[untyped-decorator]  # numba has no stubs
def find_neighbour(pixel: int, order: int, step_x: int, step_y: int) -> int:
    """Return the pixel next to a pixel, one step along its x (to NE) and y (to NW) axes.

    Compiled, for one pixel and without checks. The bits of x and y stay interleaved: a step is
    an addition that carries over the bits of the other axis.

    Parameters
    ----------
    pixel
        In [0, 12 * 4**order).
    order
        In [0, 29].
    step_x, step_y
        -1, 0 or 1.

    Returns
    -------
    int
        The neighbour, or -1 at the corners where only seven exist (three at order 0).
    """
    mask = (1 << (2 * order)) - 1
    x_bits = _EVEN_BITS & mask
    y_bits = (x_bits << 1) & mask
    face = pixel >> (2 * order)
    x = pixel & x_bits
    y = pixel & y_bits
    side = 4
    if step_x > 0:
        side += x == x_bits
        x = ((x | y_bits) + 1) & x_bits
    elif step_x < 0:
        side -= x == 0
        x = (x - 1) & x_bits
    if step_y > 0:
        side += 3 * (y == y_bits)
        y = ((y | x_bits) + 1) & y_bits
    elif step_y < 0:
        side -= 3 * (y == 0)
        y = (y - 1) & y_bits
    if side != 4:
        turn = _TURNS[side, face >> 2]
        face = _FACES[side, face]
        if face < 0:
            return -1
        if turn & 1:
            x ^= x_bits
        if turn & 2:
            y ^= y_bits
        if turn & 4:
            x, y = y >> 1, x << 1
    return (face << (2 * order)) | x | y


@njit("int64[:, ::1](int64[::1], int64)", cache=True, nogil=True)  # type: ignore[untyped-decorator]  # numba has no stubs
def compute_neighbours(pixels: IntArray, order: int) -> IntArray:
    """Return the neighbours of pixels.

    Parameters
    ----------
    pixels
        Shape (n,), C-contiguous int64, in [0, 12 * 4**order).
    order
        In [0, 29].

    Returns
    -------
    IntArray
        Shape (n, 8), in no promised order, -1 where one does not exist.
    """
    neighbours = np.empty((pixels.shape[0], 8), dtype=np.int64)
    for i in range(pixels.shape[0]):
        place = 0
        for step_x in range(-1, 2):
            for step_y in range(-1, 2):
                if step_x != 0 or step_y != 0:
                    neighbours[i, place] = find_neighbour(pixels[i], order, step_x, step_y)
                    place += 1
    return neighbours
