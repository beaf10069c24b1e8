"""Parts that all trainings share: the run folder, checkpoints and resume, guards."""
