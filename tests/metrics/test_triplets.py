"""Judgments of people. Oracles: files written here, closed forms of agreement, and constructed participants."""

import numpy as np
import pytest
from PIL import Image

from sketchloss.metrics.triplets import Triplets, agreement, read_triplets

NAMES = ("a.png", "b.png", "c.png", "d.png")
GOOD = "reference,closer,farther,participant,kind\na.png,b.png,c.png,p1,random\nb.png,c.png,d.png,p2,validation\n"


@pytest.fixture
def place(tmp_path):
    """A folder with four pictures in `pictures`."""
    (tmp_path / "pictures").mkdir()
    for shade, name in enumerate(NAMES):
        Image.new("L", (20, 20), 60 * shade).save(tmp_path / "pictures" / name)
    return tmp_path


def write(place, text, name="triplets.csv", encoding="utf-8"):
    path = place / name
    path.write_text(text, encoding=encoding, newline="")
    return path


def names(triplets):
    return [tuple(triplets.pictures[index].name for index in row) for row in triplets.triplets]


# Reading -------------------------------------------------------------------------------------------------------------


def test_our_format_keeps_the_random_judgments(place):
    found = read_triplets(write(place, GOOD))
    assert names(found) == [("a.png", "b.png", "c.png")]
    assert found.kind == "random"
    assert found.participants.tolist() == [0]
    assert found.shares.tolist() == [1]
    assert found.read(0).size == (20, 20)


def test_another_kind_can_be_asked_for(place):
    found = read_triplets(write(place, GOOD), kind="validation")
    assert names(found) == [("b.png", "c.png", "d.png")]
    assert len(found) == 1


def test_all_kinds_are_kept_where_none_is_random(place):
    found = read_triplets(write(place, GOOD.replace("random", "sentence")))
    assert (len(found), found.kind) == (2, None)
    assert found.participants.tolist() == [0, 1]


@pytest.mark.parametrize(
    "header",
    [
        "reference,closer,farther",
        "anchor,positive,negative",
        "Ref, Closer, Further",
        "reference,choice,rejected",
        "query,pos,neg",
        "head,winner,loser",
    ],
)
def test_usual_names_of_columns(place, header):
    found = read_triplets(write(place, f"{header}\na.png,b.png,c.png\na.png,c.png,b.png\n"))
    assert names(found) == [("a.png", "b.png", "c.png"), ("a.png", "c.png", "b.png")]
    assert found.participants is None
    assert len(found.pictures) == 3


def test_columns_may_come_in_any_order_among_others(place):
    text = (
        "seconds,farther,puid,reference,closer\n1.5,c.png,x,a.png,b.png\n2.0,d.png,y,a.png,b.png\n1,d.png,x,b.png,c\n"
    )
    found = read_triplets(write(place, text))
    assert names(found)[0] == ("a.png", "b.png", "c.png")
    assert found.participants.tolist() == [0, 1, 0]


def test_salmon_s_table_with_left_and_right_is_read_by_winner_and_loser(place):
    text = "head,left,right,winner,loser,puid\na.png,b.png,c.png,c.png,b.png,x\n"
    assert names(read_triplets(write(place, text))) == [("a.png", "c.png", "b.png")]


def test_votes_become_shares(place):
    text = "ref_path,left_path,right_path,left_vote,right_vote\na.png,b.png,c.png,1,0\na.png,b.png,d.png,1,3\n"
    found = read_triplets(write(place, text))
    assert names(found) == [("a.png", "b.png", "c.png"), ("a.png", "b.png", "d.png")]
    assert found.shares.tolist() == [1, 0.25]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_delimiters_line_ends_and_byte_order_marks(place, delimiter, end):
    text = GOOD.replace(",", delimiter).replace("\n", end)
    assert names(read_triplets(write(place, text, encoding="utf-8-sig"))) == [("a.png", "b.png", "c.png")]


def test_blank_lines_are_passed_over_and_names_may_lack_their_suffix(place):
    found = read_triplets(write(place, "reference,closer,farther\n\na,b,c\n,,\n"))
    assert names(found) == [("a.png", "b.png", "c.png")]


def test_pictures_lie_beside_the_file_or_where_it_is_said(place):
    text = "reference,closer,farther\na.png,b.png,c.png\n"
    inside = write(place / "pictures", text)
    assert read_triplets(inside).pictures == tuple(place / "pictures" / name for name in NAMES[:3])
    (place / "elsewhere").mkdir()
    outside = write(place / "elsewhere", text)
    assert read_triplets(outside, place / "pictures").pictures == read_triplets(inside).pictures


def bapps(place, judged):
    for side in ("ref", "p0", "p1", "judge"):
        (place / side).mkdir()
    for number, share in enumerate(judged):
        for side in ("ref", "p0", "p1"):
            Image.new("L", (8, 8), 9 * number).save(place / side / f"{number:06}.png")
        np.save(place / "judge" / f"{number:06}.npy", np.array([share], dtype=np.float32))
    return place


def test_a_folder_laid_out_as_bapps(tmp_path):
    found = read_triplets(bapps(tmp_path, [0.0, 0.2, 1.0]))
    assert [[found.pictures[index].parent.name for index in row] for row in found.triplets] == [["ref", "p0", "p1"]] * 3
    assert found.shares == pytest.approx([1, 0.8, 0])  # of those who chose p0
    assert found.participants is None
    # Zhang et al.'s score of a metric: judge where p1 is closer, 1 - judge where p0 is.
    judge, d0, d1 = np.array([0, 0.2, 1]), np.array([1.0, 3.0, 2.0]), np.array([2.0, 1.0, 2.0])
    expected = np.mean((d0 < d1) * (1 - judge) + (d1 < d0) * judge + (d0 == d1) * 0.5)
    assert agreement(found, d0, d1).value == pytest.approx(expected)


def test_pairs_are_each_picture_with_the_reference(place):
    found = read_triplets(write(place, "reference,closer,farther\na,b,c\nb,d,a\n"))
    one, other = found.pairs.reshape(2, -1, 2)
    np.testing.assert_array_equal(one, found.triplets[:, [1, 0]])
    np.testing.assert_array_equal(other, found.triplets[:, [2, 0]])


# Mistakes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    {
        "": "triplets.csv is empty: its first line must name the columns reference, closer, farther",
        "reference,closer,farther\n": "triplets.csv has a header and no judgments below it",
        "reference,closer,other\na,b,c\n": r"triplets.csv:1: no column farther among reference, closer, other",
        "a.png,b.png,c.png\n": "triplets.csv:1: no column reference and no closer and no farther",
        "reference,left,right,left_vote\na,b,c,1\n": "triplets.csv:1: no column closer and no farther",
        "reference,closer,farther\na,b,c\na,b\n": "triplets.csv:3: 2 cells where the header names 3",
        "reference,closer,farther\na,b,c\na,,c\n": "triplets.csv:3: closer is empty",
        "reference,closer,farther,participant\na,b,c,p\na,b,c,\n": "triplets.csv:3: participant is empty",
        "reference,closer,farther\na,b,c\na,b,e.png\n": r"triplets.csv:3: no picture e.png in .*pictures: check",
        "reference,closer,farther\na,b,b\n": "triplets.csv:2: b is both the closer and the farther",
        "reference,closer,farther\na,b,broken\n": r"triplets.csv:2: .*broken.png: .*or remove it",
        "ref,left,right,left_vote,right_vote\na,b,c,0,0\n": "triplets.csv:2: votes are '0' and '0'",
        "ref,left,right,left_vote,right_vote\na,b,c,yes,0\n": "triplets.csv:2: votes are 'yes' and '0'",
        "ref,left,right,left_vote,right_vote\na,b,c,-1,3\n": "triplets.csv:2: votes are '-1' and '3'",
    }.items(),
)
def test_mistakes_name_file_line_and_mend(place, text, words):
    (place / "pictures" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    with pytest.raises(ValueError, match=words) as caught:
        read_triplets(write(place, text))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("header", ["reference,closer,farther\n", ""])
def test_a_cell_without_an_end_is_one_line(place, header):
    text = f"{header}{'a' * 200_000},b,c\n"
    with pytest.raises(ValueError, match=r"triplets.csv:\d: no CSV \(field larger than field limit.*\): fix the line"):
        read_triplets(write(place, text))


def test_mistakes_in_what_is_asked_for(place):
    path = write(place, GOOD)
    with pytest.raises(ValueError, match=r"no judgment of kind 'easy': its kinds are random, validation"):
        read_triplets(path, kind="easy")
    with pytest.raises(ValueError, match="no judgment of kind 'easy': it has no column of kinds"):
        read_triplets(write(place, "reference,closer,farther\na,b,c\n", "plain.csv"), kind="easy")
    with pytest.raises(ValueError, match=r"nowhere is not a folder: give the folder of the pictures that triplets.csv"):
        read_triplets(path, place / "nowhere")
    with pytest.raises(ValueError, match=r"no.csv does not exist: give a CSV file of judgments"):
        read_triplets(place / "no.csv")
    (place / "binary.csv").write_bytes(bytes(range(128, 256)))
    with pytest.raises(ValueError, match=r"binary.csv is no text file"):
        read_triplets(place / "binary.csv")


def test_mistakes_in_a_folder(tmp_path):
    with pytest.raises(ValueError, match="has no folder ref: give a CSV file, or a folder of ref/, p0/, p1/, judge/"):
        read_triplets(tmp_path)
    bapps(tmp_path, [])
    with pytest.raises(ValueError, match=r"judge holds no .npy file"):
        read_triplets(tmp_path)
    with pytest.raises(ValueError, match="leave both settings out"):
        read_triplets(tmp_path, kind="random")
    judge = tmp_path / "judge" / "000000.npy"
    np.save(judge, np.array([0.5]))
    with pytest.raises(ValueError, match=r"ref has no picture 000000, which 000000.npy in judge is about"):
        read_triplets(tmp_path)
    for side in ("ref", "p0", "p1"):
        Image.new("L", (8, 8)).save(tmp_path / side / "000000.png")
    for value, words in ((np.array([0.5, 0.5]), "must hold one number"), (np.array([1.5]), r"in \[0, 1\]")):
        np.save(judge, value)
        with pytest.raises(ValueError, match=words):
            read_triplets(tmp_path)
    unclosed = judge.read_bytes().replace(b"}", b" ")  # the header is Python's text of a dictionary
    for content in (b"", b"nothing", np.array([{}], dtype=object).dumps(), unclosed):
        judge.write_bytes(content)
        with pytest.raises(ValueError, match=r"000000.npy is no .npy file of numbers"):
            read_triplets(tmp_path)


# Agreement -----------------------------------------------------------------------------------------------------------


def judged(participants, count=None):
    count = count or len(participants)
    people = None if participants is None else np.array(participants)
    return Triplets("made", (), np.zeros((count, 3), dtype=np.int64), np.ones(count), people)


def distances(right):
    """Distances that agree where 1, disagree where 0, and are equal where 0.5."""
    right = np.asarray(right, dtype=float)
    return 1 - right, np.full(len(right), 0.5)


def test_agreement_is_the_share_and_equal_counts_half():
    found = agreement(judged(None, 5), *distances([1, 1, 0, 0.5, 1]))
    assert found.value == pytest.approx(0.7)
    assert (found.judgments, found.participants) == (5, None)


def test_the_interval_is_over_participants():
    # Within each person all alike: of judgments there are hundreds, of people two.
    found = agreement(judged([0] * 300 + [1] * 300), *distances([1] * 300 + [0] * 300))
    assert (found.value, found.low, found.high) == (0.5, 0, 1)
    assert found.participants == 2
    # Every person agrees by half: resampling people changes nothing.
    even = agreement(judged([0, 0, 1, 1, 2, 2]), *distances([1, 0, 0, 1, 1, 0]))
    assert (even.value, even.low, even.high) == (0.5, 0.5, 0.5)


def test_people_count_by_their_judgments():
    found = agreement(judged([0] * 9 + [1]), *distances([1] * 9 + [0]))
    assert found.value == pytest.approx(0.9)
    # Of two people drawn with replacement: both the first, both the second, or one each.
    draws = {1.0, 0.0, 0.9}
    assert {found.low, found.high} <= draws


def test_without_participants_the_interval_is_that_of_a_share():
    right = np.random.default_rng(0).random(2000) < 0.6
    found = agreement(judged(None, 2000), *distances(right))
    half = 1.96 * np.sqrt(0.24 / 2000)
    assert found.high - found.value == pytest.approx(half, rel=0.15)
    assert found.value - found.low == pytest.approx(half, rel=0.15)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    rng, covered = np.random.default_rng(0), 0
    for _ in range(100):
        people = np.repeat(np.arange(30), 20)
        right = rng.random(600) < np.repeat(rng.normal(0.65, 0.08, 30), 20)
        found = agreement(judged(people), *distances(right), resamples=400)
        covered += found.low <= 0.65 <= found.high
    assert covered >= 87  # 95 of 100, less three standard deviations and what 30 people cost


def test_the_same_seed_gives_the_same_interval():
    right = np.random.default_rng(0).random(200) < 0.6
    one, same, other = (agreement(judged(None, 200), *distances(right), seed=seed) for seed in (0, 0, 1))
    assert one == same
    assert one.value == other.value
    assert (one.low, one.high) != (other.low, other.high)


def test_distances_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="3 and 2 distances for 2 judgments"):
        agreement(judged(None, 2), np.zeros(3), np.zeros(2))
    with pytest.raises(ValueError, match="not finite"):
        agreement(judged(None, 2), np.array([0, np.nan]), np.zeros(2))


def test_the_real_judgments(data_folder):
    found = read_triplets(data_folder / "human_triplets" / "triplets.csv")
    assert (len(found), len(found.pictures), found.kind) == (6787, 64, "random")
    assert len(np.unique(found.participants)) == 38
    # 20 items asked of everybody: people agree with the majority in about 72 %.
    asked = read_triplets(data_folder / "human_triplets" / "triplets.csv", kind="validation")
    votes = {}
    for reference, closer, farther in asked.triplets.tolist():
        votes.setdefault((reference, *sorted((closer, farther))), []).append(closer < farther)
    majority = [max(sum(one), len(one) - sum(one)) for one in votes.values()]
    assert sum(majority) / len(asked) == pytest.approx(0.72, abs=0.03)
