"""Matching catalogs by position: plan the cells, move to one epoch, pair, describe the pairs."""
