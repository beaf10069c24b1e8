"""Recovery: which loss leads displaced strokes, or wrong pixels, back to a drawing that is known exactly."""
