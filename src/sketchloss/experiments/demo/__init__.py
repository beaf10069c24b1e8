"""The package at work in a few minutes: one page with pictures and small tables, computed on this machine."""
