"""Oracle: `SketchLoss.extract` on the same targets, and the loss between images."""

import copy
import json
import multiprocessing
import pickle
import textwrap
from contextlib import ExitStack

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, StackDataset
from torch.utils.flop_counter import FlopCounterMode

from child_process import forked
from sketchloss import Backbone, CachedTargets, SketchLoss
from sketchloss.loss.target_features import KeptFeatures

COUNT, SIDE = 6, 16
LAYERS = ("relu1_2", "relu3_3")


@pytest.fixture(scope="module")
def loss() -> SketchLoss:
    torch.manual_seed(0)
    return SketchLoss(Backbone(width=0.125, attention=True), layers=LAYERS, reduction="none")


def pictures(count: int = COUNT, side: int = SIDE, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


TARGETS = pictures()


@pytest.fixture(params=["memory", "folder"])
def cache(request, loss, tmp_path) -> CachedTargets:
    return CachedTargets(loss, None if request.param == "memory" else tmp_path / "targets")


def assert_features_of(found: KeptFeatures, loss: SketchLoss, images: Tensor) -> None:
    expected = loss.extract(images)
    assert list(found) == sorted(expected)
    for name, features in expected.items():
        assert found[name].dtype == torch.float16
        assert torch.equal(found[name], features.half())


# The same features, however they are asked for -----------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(batches=st.lists(st.lists(st.integers(0, COUNT - 1), min_size=1, max_size=4), max_size=5), disk=st.booleans())
def test_any_batches_in_any_order_get_the_features_of_their_own_targets(loss, tmp_path_factory, batches, disk):
    cache = CachedTargets(loss, tmp_path_factory.mktemp("targets") if disk else None)
    for indices in batches:
        features = cache.get(indices, TARGETS[indices])
        for name, expected in loss.extract(TARGETS[indices]).items():
            torch.testing.assert_close(features[name], expected.half(), rtol=2e-3, atol=1e-6)
        assert all(index in cache for index in indices)
    assert sorted(cache) == sorted({index for indices in batches for index in indices})
    assert len(cache) == len(list(cache))


def test_what_is_kept_is_not_computed_again(cache, loss):
    cache.get(range(4), TARGETS[:4])
    with FlopCounterMode(display=False) as again:
        cache.get([3, 1], TARGETS[[3, 1]])
    assert again.get_total_flops() == 0
    with FlopCounterMode(display=False) as one_new:
        cache.get([3, 5], TARGETS[[3, 5]])
    with FlopCounterMode(display=False) as one:
        loss.extract(TARGETS[:1])
    assert one_new.get_total_flops() == one.get_total_flops() > 0


@pytest.mark.parametrize("settings", [{}, {"style_weight": 1.0}, {"metric": "cosine"}, {"metric": "l2"}])
def test_the_loss_is_that_of_the_images_and_so_is_its_gradient(loss, settings):
    loss = SketchLoss(Backbone(width=0.125, attention=True), layers=LAYERS, **settings)
    cache, pred = CachedTargets(loss), pictures(seed=1).requires_grad_()
    mask = pictures(seed=2)[:, :1]
    values = [loss(pred, target, mask=mask) for target in (TARGETS, cache.get(range(COUNT), TARGETS))]
    torch.testing.assert_close(values[1], values[0], rtol=2e-3, atol=0)
    exact, kept = (torch.autograd.grad(value, pred)[0] for value in values)
    assert (kept - exact).norm() < 0.02 * exact.norm()


@pytest.mark.parametrize(
    "indices", [[4, 2], (4, 2), torch.tensor([4, 2]), np.array([4, 2]), [torch.tensor(4), np.int64(2)]]
)
def test_indices_of_any_kind(cache, loss, indices):
    assert_features_of(cache.get(indices, TARGETS[[4, 2]]), loss, TARGETS[[4, 2]])
    assert_features_of(cache[indices], loss, TARGETS[[4, 2]])
    for one in (4, torch.tensor(4), np.int32(4)):
        assert one in cache
        found = cache[one]
        assert found["relu1_2"].shape == (8, SIDE, SIDE)
        assert torch.equal(found["relu1_2"], cache[[4]]["relu1_2"][0])
    assert 3 not in cache
    assert "4" not in cache


def test_grey_ranges_and_sizes(tmp_path):
    loss = SketchLoss(Backbone(width=0.125), layers=LAYERS, value_range=(-1, 1), invert=True)
    cache = CachedTargets(loss, tmp_path)
    wide = pictures(2, 24)[:, :1, :16] * 2 - 1
    assert_features_of(cache.get([0, 1], wide), loss, wide)
    square = TARGETS * 2 - 1
    assert_features_of(cache.get([2, 3], square[:2]), loss, square[:2])  # a set may hold several sizes, a batch one
    with pytest.raises(ValueError, match="the targets of a batch must be of one size, and these are 16x16, 16x24"):
        cache[[1, 2]]


def test_what_is_returned_is_a_copy(cache):
    first = cache.get([0], TARGETS[:1])
    before = first["relu1_2"].clone()
    first["relu1_2"].zero_()
    cache[0]["relu1_2"].zero_()
    assert torch.equal(cache[[0]]["relu1_2"], before)


# The same targets ----------------------------------------------------------------------------------------------------


def drawing(side: int = 64) -> Tensor:
    image = torch.ones(1, 1, side, side)
    image[..., side // 4, side // 4 : side // 2] = image[..., side // 8 : side // 2, side // 3] = 0
    return image


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image.flip(-1),
        lambda image: image.roll(2, -1),
        lambda image: image.rot90(1, (2, 3)),
        lambda image: image * 0.97,
        lambda image: 1 - image,
        lambda image: torch.ones_like(image),
        lambda image: image * float("nan"),
    ],
    ids=["flipped", "moved", "turned", "darker", "inverted", "blank", "NaN"],
)
def test_a_target_that_has_changed_is_refused(cache, change):
    image = drawing()
    cache.get([3], image)
    with pytest.raises(
        ValueError, match=r"target 3 has changed since it was kept \(by .*\): a target must be the same"
    ):
        cache.get([3], change(image))
    with pytest.raises(ValueError, match="target 3 has changed"):
        cache.get([1, 3, 3], torch.cat([image, image, change(image)]))
    cache.get([4, 4], torch.cat([image, image]))
    with pytest.raises(ValueError, match="target 5 has changed"):  # of two in one batch
        cache.get([5, 5], torch.cat([image, change(image)]))


def test_another_size_is_refused(cache):
    cache.get([3], drawing())
    with pytest.raises(ValueError, match="target 3 is 32x32 pixels and was 64x64 when it was kept"):
        cache.get([3], drawing(32))


@pytest.mark.parametrize(
    "rounded",
    [
        lambda image: image.bfloat16(),
        lambda image: image.half(),
        lambda image: image.double(),
        lambda image: image.expand(-1, 3, -1, -1),
        lambda image: (image * 255).round() / 255,
        lambda image: image + 1e-4,
    ],
)
def test_the_same_target_in_other_bits_is_the_same(cache, rounded):
    image = drawing() * 0.8 + 0.1
    cache.get([3], image)
    cache.get([3], rounded(image))


# Another loss --------------------------------------------------------------------------------------------------------


def others(loss: SketchLoss) -> dict[str, SketchLoss]:
    backbone = copy.deepcopy(loss.backbone)
    return {
        "other weights": SketchLoss(Backbone(width=0.125, attention=True), layers=LAYERS),
        r"taps \['relu1_2', 'relu3_3'\] and not \['relu1_2'\]": SketchLoss(backbone, layers=("relu1_2",)),
        r"value_range \[0.0, 1.0\] and not \[-1.0, 1.0\]": SketchLoss(backbone, layers=LAYERS, value_range=(-1, 1)),
        "invert False and not True": SketchLoss(backbone, layers=LAYERS, invert=True),
        "other weights, dtype float32 and not bfloat16": SketchLoss(backbone, layers=LAYERS).bfloat16(),
    }


@pytest.mark.parametrize("number", range(5))
def test_a_folder_of_another_loss_is_refused(loss, tmp_path, number):
    words, other = list(others(loss).items())[number]
    CachedTargets(loss, tmp_path).get([0], TARGETS[:1])
    with pytest.raises(ValueError, match=rf"holds features of another loss \({words}\): give another folder"):
        CachedTargets(other, tmp_path)


@pytest.mark.parametrize("number", range(5))
def test_features_are_refused_by_another_loss(cache, loss, number):
    words, other = list(others(loss).items())[number]
    features = cache.get([0, 1], TARGETS[:2])
    pred = pictures(2, seed=1)
    for call in (other, other.map):
        with pytest.raises(ValueError, match=rf"these target features were kept for another loss \({words}\)"):
            call(pred, features)
    same = SketchLoss(copy.deepcopy(loss.backbone), layers=tuple(reversed(LAYERS)), metric="cosine", style_weight=1.0)
    assert same(pred, features).isfinite()


def test_features_are_refused_beside_drawings_of_another_size(loss):
    # relu3_3 of 16 and of 19 pixels has four positions a side: shapes alone do not tell.
    loss = SketchLoss(loss.backbone, layers=("relu3_3",))
    features = CachedTargets(loss).get([0], TARGETS[:1])
    with pytest.raises(ValueError, match="are of pictures of 16x16 pixels and pred is 19x19: give one size"):
        loss(pictures(1, 19), features)


def test_a_loss_that_has_changed_is_refused(loss):
    loss = copy.deepcopy(loss)
    cache = CachedTargets(loss)
    cache.get([0], TARGETS[:1])
    loss.half()
    with pytest.raises(
        ValueError, match=r"the loss has changed since the cache was made \(other weights, dtype float32"
    ):
        cache.get([1], TARGETS[1:2].half())


# On disk -------------------------------------------------------------------------------------------------------------


def test_a_folder_is_there_for_the_next_run(loss, tmp_path):
    CachedTargets(loss, tmp_path / "a" / "targets").get([5, 1234], TARGETS[:2])
    later = CachedTargets(
        SketchLoss(copy.deepcopy(loss.backbone), layers=LAYERS, metric="l2"), str(tmp_path / "a/targets")
    )
    assert sorted(later) == [5, 1234]
    assert_features_of(later[[1234, 5]], loss, TARGETS[[1, 0]])


def test_a_full_disk_leaves_nothing_half_written(loss, tmp_path, small_disk):
    cache = CachedTargets(loss, tmp_path)
    with small_disk(3000), pytest.raises(OSError, match=r"cannot write|File too large"):
        cache.get([0], TARGETS[:1])
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["targets.json"]
    assert 0 not in cache
    assert_features_of(cache.get([0], TARGETS[:1]), loss, TARGETS[:1])


def test_a_damaged_file_is_named(loss, tmp_path):
    cache = CachedTargets(loss, tmp_path)
    cache.get([0, 1], TARGETS[:2])
    path = tmp_path / "0" / "0.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"0\.safetensors is damaged \(.*\): remove it, and it is computed again"):
        cache[0]
    path.unlink()
    assert_features_of(cache.get([0], TARGETS[:1]), loss, TARGETS[:1])


def test_folders_that_hold_other_things_are_refused(loss, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"holds notes\.txt, which no cache of targets made: give another folder"):
        CachedTargets(loss, tmp_path)
    with pytest.raises(ValueError, match=r"notes\.txt is a file: give a folder"):
        CachedTargets(loss, tmp_path / "notes.txt")
    for text in (
        "{",
        "[]",
        '{"format": "sketchloss backbone", "version": 1}',
        '{"format": "sketchloss targets", "version": 2}',
    ):
        (tmp_path / "targets.json").write_text(text)
        with pytest.raises(ValueError, match="does not describe a cache of targets"):
            CachedTargets(loss, tmp_path)


KILLED = """
    import os, sys, torch
    from sketchloss import CachedTargets, SketchLoss
    torch.set_num_threads(1)
    loss = SketchLoss(sys.argv[1], layers=("relu1_2", "relu3_3"))
    cache = CachedTargets(loss, sys.argv[2])
    targets = torch.rand(400, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    for number in range(400):
        cache.get([number], targets[number : number + 1])
        print(number, flush=True)
"""


def test_after_a_kill_everything_that_is_there_is_whole(narrow, tmp_path):
    with forked(textwrap.dedent(KILLED), narrow, tmp_path) as child:
        child.wait_until(lambda: "\n7\n" in child.said())
        child.kill()
    loss = SketchLoss(narrow, layers=LAYERS)
    cache, targets = CachedTargets(loss, tmp_path), pictures(400)
    kept = sorted(cache)
    assert len(kept) >= 8
    for number in kept:  # one at a time, as they were computed: in a batch they are rounded otherwise
        assert_features_of(cache[[number]], loss, targets[[number]])


# Several processes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_of_a_data_loader_read_what_is_kept(cache, loss, method):
    cache.get(range(COUNT), TARGETS)
    loader = DataLoader(
        StackDataset(index=range(COUNT), input=TARGETS, features=cache),  # pyright: ignore[reportArgumentType]
        batch_size=2,
        shuffle=True,
        num_workers=2 if method == "fork" else 1,  # spawned, each imports torch anew
        multiprocessing_context=method,
        timeout=120,
    )
    seen = []
    for batch in loader:
        features = batch["features"]
        assert isinstance(features, KeptFeatures)
        assert_features_of(features, loss, TARGETS[batch["index"]])
        assert_features_of(features.to("cpu", non_blocking=True), loss, TARGETS[batch["index"]])
        torch.testing.assert_close(loss(batch["input"], features), torch.zeros(2), rtol=0, atol=2e-4)
        with pytest.raises(ValueError, match="were kept for another loss"):
            SketchLoss(Backbone(width=0.125), layers=LAYERS)(batch["input"], features)
        seen += batch["index"].tolist()
    assert sorted(seen) == list(range(COUNT))


def test_libraries_that_build_mappings_anew_from_their_items_are_no_obstacle(cache, loss):
    # transformers' Trainer, DDP and others call type(batch)(items); what they do not know cannot be checked.
    features = cache.get([0, 1], TARGETS[:2])
    for anew in (type(features)(dict(features)), type(features)([*features.items()])):
        assert torch.equal(loss(TARGETS[:2], anew), loss(TARGETS[:2], features))


def test_copies_see_what_was_put_into_a_folder_later(loss, tmp_path):
    cache = CachedTargets(loss, tmp_path)
    copied = pickle.loads(pickle.dumps(cache))
    cache.get([3], TARGETS[3:4])
    assert_features_of(copied[[3]], loss, TARGETS[3:4])


class Computing(Dataset):
    """Asks for features that are not kept."""

    def __init__(self, cache: CachedTargets) -> None:
        self.cache = cache

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, index: int) -> KeptFeatures:
        return self.cache.get([index], TARGETS[index : index + 1])


def test_workers_do_not_compute(cache):
    cache.get([0], TARGETS[:1])
    batches = iter(DataLoader(Computing(cache), num_workers=1, multiprocessing_context="fork", timeout=120))
    assert next(batches)["relu1_2"].shape == (1, 1, 8, SIDE, SIDE)
    with pytest.raises(ValueError, match="a copy of a cache of targets only reads: compute them in the process that"):
        next(batches)


def test_pickles_and_copies_read_and_hold_no_weights(cache, loss):
    cache.get([2], TARGETS[2:3])
    pickled = pickle.dumps(cache)
    assert len(pickled) < 40_000  # the loss would be 250,000
    for other in (pickle.loads(pickled), copy.deepcopy(cache)):
        assert_features_of(other[[2]], loss, TARGETS[2:3])
        assert_features_of(other.get([2], TARGETS[2:3]), loss, TARGETS[2:3])
        with pytest.raises(ValueError, match="only reads"):
            other.get([3], TARGETS[3:4])


TOGETHER = """
    import json, sys, time, torch
    from pathlib import Path
    from sketchloss import CachedTargets, SketchLoss
    torch.set_num_threads(1)
    loss = SketchLoss(sys.argv[1], layers=("relu1_2", "relu3_3"))
    cache = CachedTargets(loss, sys.argv[2])
    targets = torch.rand(40, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    order = torch.randperm(40, generator=torch.Generator().manual_seed(int(sys.argv[3]))).tolist()
    print("ready", flush=True)
    while not Path(sys.argv[4]).exists():
        time.sleep(0.001)
    sums = {}
    for start in range(0, 40, 4):
        indices = order[start : start + 4]
        features = cache.get(indices, targets[indices])
        sums |= dict(zip(indices, features["relu1_2"].double().sum((1, 2, 3)).tolist()))
    print(json.dumps([sums[index] for index in range(40)]))
"""


def test_processes_that_train_together_share_a_folder(narrow, tmp_path):
    # Both compute all, in orders of their own, and meet on the way.
    folder, go = tmp_path / "kept", tmp_path / "go"
    with ExitStack() as stack:
        code = textwrap.dedent(TOGETHER)
        both = [stack.enter_context(forked(code, narrow, folder, str(rank), go, seconds=300)) for rank in range(2)]
        for child in both:
            child.wait_until(lambda child=child: child.said() == "ready\n")
        go.touch()
        for child in both:
            assert child.exit_code() == 0, child.complaints()
        answers = [json.loads(child.said().splitlines()[1]) for child in both]
    loss = SketchLoss(narrow, layers=LAYERS)
    expected = loss.extract(pictures(40))["relu1_2"].half().double().sum((1, 2, 3)).tolist()
    for sums in answers:
        assert sums == pytest.approx(expected, rel=1e-4)
    assert sorted(CachedTargets(loss, folder)) == list(range(40))
    assert not list(folder.rglob(".*"))


# What is refused -----------------------------------------------------------------------------------------------------


def test_what_is_not_kept_is_said(cache):
    for indices in (3, [3], torch.tensor([3])):
        with pytest.raises(ValueError, match=r"target 3 are not kept yet: compute them with get\(indices, images\)"):
            cache[indices]


@pytest.mark.parametrize(
    "indices", [-1, [-1], [0, -2], "3", ["3"], [0.5], [True], None, torch.tensor([0.5]), [[0]], b"1"]
)
def test_indices_that_are_none_are_refused(cache, indices, without_type_checks):
    with pytest.raises(ValueError, match="of a target: give integers from 0, one for each target"):
        cache.get(indices, TARGETS[:1])
    with pytest.raises(ValueError, match="of a target: give integers from 0"):
        cache[indices]


def test_images_are_held_to_the_losss_contract(cache, without_type_checks):
    with pytest.raises(ValueError, match="there are 2 indices and 1 targets: give an index for each target"):
        cache.get([0, 1], TARGETS[:1])
    for images, words in (
        (TARGETS[0], "target: expected shape"),
        ((TARGETS[:1] * 255).byte(), "target: .*uint8"),
        (TARGETS[:1] * 255, r"target: expected values in \[0, 1\]"),
        (TARGETS[:1, :, :2], "target: expected at least 4 by 4"),
        (None, "target: expected a torch tensor, got NoneType"),
        ("a", "got str"),
    ):
        with pytest.raises(ValueError, match=words):
            cache.get([0], images)
    assert len(cache) == 0


def test_a_feature_beyond_float16_is_refused():
    backbone = Backbone(width=0.125)
    with torch.no_grad():
        backbone.features[2].bias.fill_(1e6)
    loss = SketchLoss(backbone, layers=("relu1_2",))
    with pytest.raises(ValueError, match=r"a feature of relu1_2 is 1e\+06, beyond float16"):
        CachedTargets(loss).get([0], TARGETS[:1])


@pytest.mark.parametrize("loss", [None, "sketch", Backbone(width=0.125)])
def test_what_is_no_loss_is_refused(loss, without_type_checks):
    with pytest.raises(ValueError, match=r"loss is of type .*: give the SketchLoss whose targets these are"):
        CachedTargets(loss)


def test_there_are_enough_file_handles_for_a_large_set_in_memory(loss):
    # Oracle: the system's limit. A tensor sent to a worker takes a handle each.
    cache = CachedTargets(loss)
    features = {name: np.zeros((1, 1, 1), np.float16) for name in LAYERS}
    for number in range(2000):
        cache._kept.write(number, {**features, "target/size": np.array([4, 4]), "target/thumbnail": np.zeros((8, 8))})
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        assert pool.apply_async(len, (cache,)).get(timeout=120) == 2000
