"""Figures, tables and pages that several experiments share."""
