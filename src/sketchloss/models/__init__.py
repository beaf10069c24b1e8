"""Networks that are trained on top of the backbone, or against the loss."""
