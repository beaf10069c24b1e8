"""Distances between drawings whose difference is known: which of them behave, and which taps are good for what."""
