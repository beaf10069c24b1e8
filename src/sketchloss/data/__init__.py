"""Sketches and where they come from: built-in doodles, QuickDraw strokes, folders of pictures, the hub."""
