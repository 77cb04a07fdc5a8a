"""Compiled crossmatch kernels on NumPy arrays."""

from ubspark.crossmatch.kernels.nearest import Nearest, find_nearest

__all__ = ["Nearest", "find_nearest"]
