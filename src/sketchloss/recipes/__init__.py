"""The paper's experiments, one file each, to be read top to bottom."""
