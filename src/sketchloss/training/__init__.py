"""What the recipes share: the run folder, checkpoints and resume, guards."""
