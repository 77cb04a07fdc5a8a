"""Compiled feature kernels on segments of epochs, each beside the features that it computes."""
