"""Oracle: the settings as they are written."""

import pytest

from sketchloss.experiments.recovery.plan import RecoveryPlan, read_start


@pytest.mark.parametrize(
    ("text", "title", "size", "in_pixels"),
    [
        ("displaced:10", "displaced, 10 px", 64, 10.0),
        ("displaced:10@128", "displaced, 10 px", 128, 20.0),
        ("displaced", "displaced, 10 px", 64, None),
        ("rotated:45@128", "rotated, 45°", 128, 45.0),
        ("half-erased", "half erased", 64, None),
        ("displaced-pixels", "displaced pixels", 64, None),
    ],
)
def test_a_start_is_read(text, title, size, in_pixels):
    start = read_start(text)
    assert (start.title, start.size, start.in_pixels) == (title, size, in_pixels)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"recovery_starts": ("displacd:4",)}, "recovery_starts names 'displacd:4': did you mean displaced"),
        ({"recovery_starts": ("displaced:x",)}, "'displaced:x': write it as displaced:10 or displaced:10@128"),
        ({"recovery_starts": ("displaced:4@big",)}, "'displaced:4@big': write it as"),
        ({"recovery_starts": ("displaced:-4",)}, "'displaced:-4': the amount must be 0 or more"),
        ({"recovery_starts": ("displaced:nan",)}, "'displaced:nan': the amount must be 0 or more"),
        ({"recovery_starts": ("dots:3",)}, "'dots:3': dots takes no amount, so leave out :3"),
        ({"recovery_starts": ("dots@4",)}, "'dots@4': the size must be 16 to"),
        ({"recovery_starts": ()}, "recovery_starts is empty: give one or more"),
        ({"recovery_losses": ()}, "recovery_losses is empty: give one or more"),
        ({"recovery_losses": ("pixels", "pixels")}, "recovery_losses has two that are called 'pixels': give each once"),
        ({"recovery_losses": ("/a/loss.py:f", "/b/loss.py:f")}, "recovery_losses has two that are called 'loss.py:f'"),
        ({"recovery_starts": ("bent", "bent:7@64")}, "recovery_starts has two that are called 'bent, .* at 64 pixels'"),
        ({"recovery_drawings": 0}, "recovery_drawings is 0"),
        ({"recovery_steps": 0}, "recovery_steps is 0"),
    ],
)
def test_bad_settings_are_one_clear_line(settings, message, tmp_path):
    with pytest.raises(ValueError, match=message) as caught:
        RecoveryPlan(out=tmp_path, **settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("loss", "error", "message"),
    [
        ("pixels+sketch:l3", ValueError, "metric 'l3' is unknown: use l1, l2, cosine, ink"),
        ("nowhere/at/all:ink", FileNotFoundError, "nowhere/at/all does not exist"),
        ("sharpness", ValueError, "loss 'sharpness' is unknown: use pixels, pixels-l2-blurred, ssim, WEIGHTS:METRIC"),
        ("none", ValueError, "loss 'none' is unknown"),
        ("pixels+none", ValueError, "loss 'none' is unknown"),
    ],
)
def test_bad_losses_are_one_clear_line(loss, error, message, tmp_path):
    with pytest.raises(error, match=message):
        RecoveryPlan(out=tmp_path, recovery_losses=(loss,)).check_losses()
