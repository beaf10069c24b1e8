"""Drawings kept as strokes: QuickDraw's files, edits of known size, changes that people ignore."""
