"""Guards that notice when a training has gone wrong, and say what to change."""

import math

# Healthy features of different sketches spread by 0.01 and more; a VGG killed by its learning rate came to 3e-5.
DEAD_SPREAD = 1e-3
BLANK_SPREAD = 0.01


class TrainingStopped(RuntimeError):  # noqa: N818 - it is what happened, said to a user
    """A training that cannot go on; the last checkpoint is intact."""


def require_finite(loss: float, step: int, learning_rate: float) -> None:
    """Stop a training whose loss is NaN or infinite.

    Raises:
        TrainingStopped: with the step, the learning rate, and what to try.
    """
    if not math.isfinite(loss):
        raise TrainingStopped(
            f"the loss is {loss} at step {step} (learning rate {learning_rate:.2g}): the last checkpoint is intact; "
            "try a tenth of the learning rate, or --precision no"
        )


def chance_warning(accuracy: float, classes: int, feature_spread: float, learning_rate: float) -> str | None:
    """Return a warning if a classifier does no better than guessing, else None.

    Args:
        accuracy: validation top-1 in [0, 1].
        classes: number of classes.
        feature_spread: mean standard deviation over images of the L2-normalised embedding; 0 when all are the same.
        learning_rate: the present one, for the text.
    """
    if accuracy > 1.5 / classes:
        return None
    mend = (
        "all images have the same features, which a VGG without batch norm comes to when the learning rate is too "
        f"large (now {learning_rate:.2g}): start again with 1e-4 or less"
        if feature_spread < DEAD_SPREAD
        else "its features still differ between images: train longer, or with a smaller learning rate"
    )
    return f"validation accuracy {accuracy:.2%} is at chance ({1 / classes:.2%} for {classes} classes); {mend}"


def blank_warning(spread: float) -> str | None:
    """Return a warning if a network that draws draws nothing, else None.

    Args:
        spread: largest standard deviation of the values in [0, 1] within a channel of a picture, over some pictures.
    """
    if spread >= BLANK_SPREAD:
        return None
    return (
        f"the pictures are blank (their values spread by {spread:.2g}): start again with a larger content weight or a "
        "smaller learning rate"
    )
