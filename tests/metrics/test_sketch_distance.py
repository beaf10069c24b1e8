"""Oracle: the mean of `SketchLoss` over all pairs, in one call and one process."""

import copy
import json
import pickle
import sys
import textwrap

import pytest
import torch
from torch import Tensor, nn
from torchmetrics import MetricCollection
from torchmetrics.image import StructuralSimilarityIndexMeasure

from child_process import finished, forked
from sketchloss import Backbone, SketchLoss
from sketchloss.metrics import SketchDistance

LAYERS = ("relu1_2", "relu3_3")


@pytest.fixture(scope="module")
def loss() -> SketchLoss:
    torch.manual_seed(0)
    return SketchLoss(Backbone(width=0.125, attention=True), layers=LAYERS)


def pictures(count: int, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(seed))


PREDS, TARGET, MASK = pictures(5), pictures(5, seed=1), pictures(5, seed=2)[:, :1]


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_it_is_the_mean_over_pairs_whatever_the_batches(loss, reduction):
    loss = copy.deepcopy(loss)
    loss.reduction = "mean"
    expected = loss(PREDS, TARGET, mask=MASK)
    loss.reduction = reduction
    for parts in ((5,), (1, 4), (2, 1, 2)):
        distance = SketchDistance(loss)
        for preds, target, mask in zip(*(images.split(parts) for images in (PREDS, TARGET, MASK)), strict=True):
            distance.update(preds, target, mask=mask)
        torch.testing.assert_close(distance.compute(), expected)
        assert distance.count == 5
        assert distance.sum.dtype == torch.float32
    assert loss.reduction == reduction


def test_reset_forgets_and_a_call_returns_the_batchs_own(loss):
    distance = SketchDistance(loss)
    first = distance(PREDS[:2], TARGET[:2])
    torch.testing.assert_close(first, loss(PREDS[:2], TARGET[:2]))
    torch.testing.assert_close(distance(PREDS[2:], TARGET[2:]), loss(PREDS[2:], TARGET[2:]))
    torch.testing.assert_close(distance.compute(), loss(PREDS, TARGET))
    distance.reset()
    assert distance.sum == distance.count == 0
    distance.update(PREDS[2:], loss.extract(TARGET[2:]))
    torch.testing.assert_close(distance.compute(), loss(PREDS[2:], TARGET[2:]))


def test_the_value_of_a_batch_has_a_gradient_and_what_is_kept_has_none(loss):
    distance, preds = SketchDistance(loss), PREDS.clone().requires_grad_()
    (found,) = torch.autograd.grad(distance(preds, TARGET), preds)
    (expected,) = torch.autograd.grad(loss(preds, TARGET), preds)
    torch.testing.assert_close(found, expected)
    distance.update(preds, TARGET)
    assert not distance.sum.requires_grad
    assert SketchDistance.is_differentiable is True
    assert SketchDistance.higher_is_better is False


def test_the_network_is_frozen_and_no_part_of_what_is_saved(loss):
    parent = nn.Module()
    parent.network, parent.distance = nn.Conv2d(3, 3, 1), SketchDistance(loss)
    parent.train()
    parent.requires_grad_(True)
    assert not any(module.training for module in parent.distance.loss.modules())
    assert not any(buffer.requires_grad for buffer in parent.buffers())
    assert [name for name, _ in parent.named_parameters()] == ["network.weight", "network.bias"]
    assert list(parent.state_dict()) == ["network.weight", "network.bias"]
    parent.distance.persistent(True)
    assert set(parent.distance.state_dict()) == {"sum", "count", "identity"}
    parent.distance.update(PREDS, TARGET)
    later = SketchDistance(loss)
    later.persistent(True)
    later.load_state_dict(parent.distance.state_dict())
    assert later.sum == parent.distance.sum
    assert later.count == 5


def test_pickles_and_copies_go_on(loss):
    distance = SketchDistance(loss)
    distance.update(PREDS[:2], TARGET[:2])
    for other in (pickle.loads(pickle.dumps(distance)), copy.deepcopy(distance), distance.clone()):
        other.update(PREDS[2:], TARGET[2:])
        torch.testing.assert_close(other.compute(), loss(PREDS, TARGET))
        assert not other.loss.training
    assert distance.count == 2


def test_it_moves_and_keeps_its_precision(loss):
    distance = SketchDistance(loss).to("meta")
    assert {value.device.type for value in (distance.sum, distance.loss.backbone.mean)} == {"meta"}
    assert SketchDistance(loss).half().loss.backbone.mean.dtype == torch.float32  # as for every metric: set_dtype does


def test_in_a_collection_beside_others(loss):
    wide, deep = SketchDistance(loss), SketchDistance(SketchLoss(loss.backbone, layers=("relu3_3",)))
    metrics = MetricCollection({"wide": wide, "deep": deep, "ssim": StructuralSimilarityIndexMeasure(data_range=1.0)})
    for start in (0, 3):
        metrics.update(preds=PREDS[start : start + 3], target=TARGET[start : start + 3])
    values = metrics.compute()
    torch.testing.assert_close(values["wide"], loss(PREDS, TARGET))
    torch.testing.assert_close(values["deep"], SketchLoss(loss.backbone, layers=("relu3_3",))(PREDS, TARGET))
    ssim = StructuralSimilarityIndexMeasure(data_range=1.0)
    torch.testing.assert_close(values["ssim"], ssim(PREDS, TARGET))


def test_two_of_one_kind_stay_apart_although_their_first_values_are_equal(loss):
    # A collection takes metrics of equal states for one metric; those of identical pairs are all 0.
    metrics = MetricCollection(
        {"l1": SketchDistance(loss), "l2": SketchDistance(SketchLoss(loss.backbone, metric="l2"))}
    )
    metrics.update(PREDS, PREDS.clone())
    metrics.update(PREDS, TARGET)
    values = metrics.compute()
    torch.testing.assert_close(values["l1"], loss(PREDS, TARGET) / 2)
    torch.testing.assert_close(values["l2"], SketchLoss(loss.backbone, metric="l2")(PREDS, TARGET) / 2)


def test_without_any_pair_it_is_no_number(loss):
    with pytest.warns(UserWarning, match="was called before the ``update`` method"):
        assert SketchDistance(loss).compute().isnan()


def test_the_default_is_the_losss():
    assert SketchDistance().loss.features_recipe() == SketchLoss().features_recipe()


@pytest.mark.parametrize("wrong", ["sketch", 3, Backbone(width=0.125)])
def test_what_is_no_loss_is_refused(wrong, without_type_checks):
    with pytest.raises(ValueError, match=r"loss is of type .*: give a SketchLoss, or nothing for the default"):
        SketchDistance(wrong)


def test_settings_that_are_none_are_refused(loss):
    with pytest.raises(ValueError, match="Unexpected keyword arguments: `layers`"):
        SketchDistance(loss, layers=("relu1_2",))


# Two processes -------------------------------------------------------------------------------------------------------

DISTRIBUTED = """
    import json, os, sys, torch
    import torch.distributed as dist
    from sketchloss import SketchLoss
    from sketchloss.metrics import SketchDistance
    from torchmetrics import MetricCollection
    weights, meeting, rank = sys.argv[1], sys.argv[2], int(sys.argv[3])
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
    try:
        def pictures(seed):
            return torch.rand(5, 3, 16, 16, generator=torch.Generator().manual_seed(seed))
        preds, target = pictures(0), pictures(1)
        mine = slice(0, 1) if rank == 0 else slice(1, 5)  # of unequal numbers
        metrics = MetricCollection({"distance": SketchDistance(SketchLoss(weights, layers=("relu1_2", "relu3_3")))})
        metrics.update(preds[mine], target[mine])
        of_all = metrics.compute()["distance"].item()
        own = SketchDistance(SketchLoss(weights, layers=("relu1_2", "relu3_3")), sync_on_compute=False)
        own.update(preds[mine], target[mine])
        metrics.reset()
        metrics.update(preds[mine], target[mine])
        print(json.dumps({"all": of_all, "own": own.compute().item(), "again": metrics.compute()["distance"].item()}))
        dist.barrier()
    finally:
        dist.destroy_process_group()
    sys.stdout.flush()
    os._exit(0)  # on a busy machine gloo's threads sometimes abort a process that ends by itself
"""


def test_two_processes_add_up(narrow, tmp_path):
    code, meeting = textwrap.dedent(DISTRIBUTED), tmp_path / "meeting"
    with forked(code, narrow, meeting, "0") as first, forked(code, narrow, meeting, "1") as second:
        for child in (first, second):
            assert child.exit_code() == 0, child.complaints()
        answers = [json.loads(child.said().splitlines()[-1]) for child in (first, second)]
    each = SketchLoss(narrow, layers=LAYERS, reduction="none")(PREDS, TARGET)
    for answer, own in zip(answers, (each[:1], each[1:]), strict=True):
        assert answer["all"] == answer["again"] == pytest.approx(each.mean().item(), rel=1e-5)
        assert answer["own"] == pytest.approx(own.mean().item(), rel=1e-5)


# Where torchmetrics is missing ---------------------------------------------------------------------------------------


def test_without_torchmetrics_one_line_names_the_extra():
    code = """
        import sys
        sys.modules["torchmetrics"] = None
        import sketchloss.metrics
        for ask in ("from sketchloss.metrics import SketchDistance", "sketchloss.metrics.SketchDistance"):
            try:
                exec(ask)
            except ModuleNotFoundError as error:
                print(error.name, "|", error)
        try:
            sketchloss.metrics.Nothing
        except AttributeError as error:
            print(error)
    """
    done = finished([sys.executable, "-c", textwrap.dedent(code)], check=True, seconds=240)
    mend = "SketchDistance needs the extra: pip install 'sketchloss[metrics]'"
    line = f"torchmetrics | torchmetrics is not installed; {mend}"
    assert done.stdout.splitlines() == [line, line, "module 'sketchloss.metrics' has no attribute 'Nothing'"]


def test_the_package_is_imported_without_torchmetrics():
    code = "import sys, sketchloss.metrics; print('torchmetrics' in sys.modules)"
    done = finished([sys.executable, "-c", code], seconds=240)
    assert done.stdout == "False\n", done.stderr
