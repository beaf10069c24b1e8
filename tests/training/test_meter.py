"""Oracle: NumPy's mean."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sketchloss.training.meter import Meter

FINITE = st.floats(-1e6, 1e6)


@given(st.lists(st.lists(st.tuples(FINITE, FINITE), max_size=8), max_size=4))
def test_each_reading_is_the_mean_since_the_last(readings):
    meter = Meter()
    for steps in readings:
        for loss, accuracy in steps:
            meter.add(loss=loss, accuracy=accuracy)
        if steps:
            means = np.mean(steps, axis=0)
            assert meter.read() == pytest.approx({"loss": means[0], "accuracy": means[1]}, abs=1e-6)
        assert meter.read() == {}
