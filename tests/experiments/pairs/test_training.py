"""One training. Oracles: a copy that must be learned, the same seed, and the gradients that the pull is about."""

import pytest
import torch

from sketchloss.experiments.pairs import training
from sketchloss.experiments.pairs.settings import PairTraining
from sketchloss.experiments.pairs.tasks import PairPart
from sketchloss.loss.balance import Balance


@pytest.fixture(scope="module")
def part() -> PairPart:
    """Drawings that are to be copied: dark squares on white."""
    torch.manual_seed(0)
    images = torch.full((12, 3, 16, 16), 255, dtype=torch.uint8)
    for number in range(12):
        images[number, :, number % 8 : number % 8 + 6, 4:10] = 0
    return PairPart(images[:, None], images)


def settings(term: str = "none", **changes) -> PairTraining:
    return PairTraining(
        **{"task": "rough", "source": "", "term": term, "width": 4, "steps": 3, "batch_size": 4} | changes
    )


def weights(network) -> torch.Tensor:
    return torch.cat([value.flatten() for value in network.state_dict().values()])


def test_it_learns_to_copy(part):
    network = training.train(part, settings(steps=60, lr=1e-2), 1.0)
    drawn = training.draw(network, part.inputs[:, 0])
    assert drawn.dtype == torch.uint8
    far = (drawn.float() - part.targets.float()).abs().mean() / 255
    blank = (255 - part.targets.float()).mean() / 255
    assert far < 0.3 * blank


def test_the_same_seed_gives_the_same_network_and_the_programs_random_state_stays(part):
    before = torch.random.get_rng_state()
    one, again = (training.train(part, settings(), 1.0) for _ in range(2))
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(weights(one), weights(again))
    assert not torch.equal(weights(one), weights(training.train(part, settings(seed=1), 1.0)))


def test_a_term_and_its_pull_change_what_is_learned(part, narrow):
    found = [
        weights(training.train(part, settings(term), pull))
        for term, pull in (("none", 1.0), ("ssim", 1.0), (f"{narrow}:ink", 1.0), (f"{narrow}:ink", 3.0))
    ]
    assert not any(torch.equal(one, other) for place, one in enumerate(found) for other in found[:place])


def test_the_pull_is_the_ratio_of_the_gradients_at_the_output(part, narrow, monkeypatch):
    seen = {}

    class Watched(Balance):
        def observe(self, norms):
            super().observe(norms)
            seen.update(norms=norms, factors=dict(self.factors))

    monkeypatch.setattr(training, "Balance", Watched)
    training.train(part, settings(f"{narrow}:l1", steps=1), 3.0)
    norms, factors = seen["norms"], seen["factors"]
    assert factors["pixels"] == 1
    assert factors["term"] * norms["term"] == pytest.approx(3 * norms["pixels"])


def test_pictures_are_drawn_in_groups_as_at_once(part, monkeypatch):
    network = training.train(part, settings(), 1.0)
    whole = training.draw(network, part.inputs[:, 0])
    monkeypatch.setattr(training, "AT_ONCE", 5)
    assert (training.draw(network, part.inputs[:, 0]).int() - whole.int()).abs().max() <= 1


def test_weights_that_are_not_there_are_one_line(part):
    with pytest.raises(ValueError, match="weights 'nowhere' are unknown"):
        training.train(part, settings("nowhere:ink"), 1.0)
