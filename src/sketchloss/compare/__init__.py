"""The comparison of two drawings, or of the drawings of two folders: how different they look."""
