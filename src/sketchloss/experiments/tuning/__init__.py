"""Tuning the backbone on sketches (Algorithm 1), the arms that are tuned, and which choices matter."""
