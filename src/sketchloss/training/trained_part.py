"""Checkpoints of the few weights that are trained in a large frozen network."""

from collections.abc import Sequence

import torch
from accelerate import Accelerator
from torch import Tensor


class TrainedPart:
    """Parameters for `Accelerator.register_for_checkpointing`, in a fixed order."""

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        self.parameters = parameters

    def state_dict(self) -> dict[str, Tensor]:
        """Return copies of the parameters, by their numbers."""
        return {str(number): parameter.detach().cpu().clone() for number, parameter in enumerate(self.parameters)}

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore what `state_dict` returned."""
        for number, parameter in enumerate(self.parameters):
            parameter.copy_(state[str(number)])


def leave_out_frozen_weights(accelerator: Accelerator) -> None:
    """Keep what is prepared out of the accelerator's checkpoints: gigabytes that never change."""
    accelerator.register_save_state_pre_hook(lambda models, weights, folder: weights.clear())  # noqa: ARG005
    accelerator.register_load_state_pre_hook(lambda models, folder: models.clear())  # noqa: ARG005
