"""Human judgments of which of two pictures is closer to a third, and how often a distance agrees with them.

triplets = read_triplets("triplets.csv")
agreement(triplets, d_closer, d_farther).value
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from PIL import Image

from sketchloss.system.images import probe_picture
from sketchloss.system.picture_files import find_pictures, picture_suffixes
from sketchloss.system.visible_ink import open_to_show

RESAMPLES = 2000
#: Of a table with a column of kinds, the judgments that are scored unless others are asked for.
RANDOM = "random"
# What the columns are called: ours first, then those of metric learning, of preference data, and of Salmon.
_NAMES = {
    "reference": ("reference", "ref", "ref_path", "anchor", "query", "target", "head"),
    "closer": ("closer", "positive", "pos", "chosen", "choice", "near", "winner"),
    "farther": ("farther", "further", "negative", "neg", "rejected", "far", "loser"),
    "left": ("left", "left_path", "first", "p0"),
    "right": ("right", "right_path", "second", "p1"),
    "left_vote": ("left_vote", "left_votes", "first_votes"),
    "right_vote": ("right_vote", "right_votes", "second_votes"),
    "participant": ("participant", "participant_id", "subject", "worker", "worker_id", "rater", "user", "puid"),
    "kind": ("kind", "sampler"),
}
# Folders of a two-alternative choice as BAPPS keeps it (Zhang et al. 2018).
_BAPPS = ("ref", "p0", "p1", "judge")


@dataclass(frozen=True, eq=False)
class Triplets:
    """Judgments of people: each says which of two pictures is closer to a reference."""

    name: str
    """Source that the judgments were read from."""
    pictures: tuple[Path, ...]
    """Paths of the pictures, each once."""
    triplets: Int[np.ndarray, "m 3"]
    """Indices of each judgment's pictures: the reference, the one picture, and the other."""
    shares: Float[np.ndarray, " m"]
    """The share of people who found the one closer, in [0, 1]; 1 where a row is one person's judgment."""
    participants: Int[np.ndarray, " m"] | None
    """A number for the person of each judgment; None if the data do not say."""
    kind: str | None = None
    """Kind of judgment that was kept, if there are several."""

    def __len__(self) -> int:
        return len(self.triplets)

    def read(self, index: int) -> Image.Image:
        """Read one of the pictures, as `open_to_show` does."""
        return open_to_show(self.pictures[index])

    @property
    def pairs(self) -> Int[np.ndarray, "k 2"]:
        """Pairs to measure: of each judgment the one picture and the reference; then the other and the reference."""
        return np.concatenate([self.triplets[:, [1, 0]], self.triplets[:, [2, 0]]])


def read_triplets(source: str | Path, pictures: str | Path | None = None, *, kind: str | None = None) -> Triplets:
    """Read judgments.

    Args:
        source: a CSV file (commas, semicolons or tabs) with a header: `reference, closer, farther` or other usual names
            (`anchor, positive, negative`; `reference, choice, rejected`; Salmon's `head, winner, loser`), or
            `ref, left, right, left_vote, right_vote`; `participant` and `kind` may be there too. Or a folder laid out
            as BAPPS: `ref/`, `p0/`, `p1/` with pictures, and `judge/` with the share of people who chose p1 (`.npy`).
        pictures: folder that the names in a CSV file are relative to; by default `pictures` beside the file, else the
            file's own folder. A name may lack its suffix.
        kind: keep the judgments of this kind; by default those of kind `random` if there are any, else all.

    Raises:
        ValueError: in one line, with the line's number where it lies in one: for columns or values that are missing, a
            picture that is not there or no picture, or nothing to read.
    """
    source = Path(source)
    if source.is_dir():
        if pictures is not None or kind is not None:
            raise ValueError(f"{source} is a folder with its own pictures and no kinds: leave both settings out")
        return _read_bapps(source)
    if not source.is_file():
        raise ValueError(f"{source} does not exist: give a CSV file of judgments, or a folder of {'/, '.join(_BAPPS)}/")
    folder = _picture_folder(source, pictures)
    rows = list(_rows(source))
    kinds = sorted({row["kind"] for _, row in rows if "kind" in row})
    if kind is None:
        kind = RANDOM if RANDOM in kinds else None
    elif kind not in kinds:
        found = f"its kinds are {', '.join(kinds)}" if kinds else "it has no column of kinds"
        raise ValueError(f"{source} has no judgment of kind {kind!r}: {found}")
    find = _Finder(folder)
    triplets, shares, people = [], [], []
    for number, row in rows:
        if kind is not None and row["kind"] != kind:
            continue
        where = f"{source}:{number}"
        names, share = _judgment(row, where)
        triplets.append([find(name, where) for name in names])
        shares.append(share)
        people.append(row.get("participant"))
    return Triplets(
        str(source),
        tuple(find.found),
        np.array(triplets, dtype=np.int64),
        np.array(shares, dtype=np.float64),
        np.unique(people, return_inverse=True)[1] if all(people) else None,
        kind,
    )


def _picture_folder(source: Path, pictures: str | Path | None) -> Path:
    if pictures is None:
        beside = source.parent / "pictures"
        return beside if beside.is_dir() else source.parent
    if not Path(pictures).is_dir():
        raise ValueError(f"{pictures} is not a folder: give the folder of the pictures that {source.name} names")
    return Path(pictures)


def _rows(source: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the line number and the known columns of each row."""
    try:
        text = source.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{source} is no text file: give a CSV file of judgments") from None
    header, _, _ = text.partition("\n")
    if not header.strip():
        raise ValueError(f"{source} is empty: its first line must name the columns reference, closer, farther")
    delimiter = max(",;\t", key=header.count)
    reader = csv.reader(StringIO(text, newline=""), delimiter=delimiter)
    empty = True
    try:
        columns = _columns(next(reader), source)
        for cells in reader:
            if any(cell.strip() for cell in cells):
                empty = False
                yield reader.line_num, _named(cells, columns, f"{source}:{reader.line_num}")
    except csv.Error as error:
        raise ValueError(f"{source}:{reader.line_num}: no CSV ({error}): fix the line") from None
    if empty:
        raise ValueError(f"{source} has a header and no judgments below it")


def _columns(header: Sequence[str], source: Path) -> dict[str, int]:
    plain = [name.strip().lower() for name in header]
    columns = {
        ours: plain.index(found[0])
        for ours, names in _NAMES.items()
        if (found := [name for name in names if name in plain])
    }
    voted = {"left", "right", "left_vote", "right_vote"} <= set(columns)
    missing = [name for name in ("reference", "closer", "farther") if name not in columns]
    if missing and not (voted and "reference" in columns):
        raise ValueError(
            f"{source}:1: no column {' and no '.join(missing)} among {', '.join(plain)}: name the columns reference, "
            "closer, farther"
        )
    return columns


def _named(cells: Sequence[str], columns: Mapping[str, int], where: str) -> dict[str, str]:
    if len(cells) <= max(columns.values()):
        raise ValueError(
            f"{where}: {len(cells)} cells where the header names {max(columns.values()) + 1}: fix the line"
        )
    row = {name: cells[place].strip() for name, place in columns.items()}
    empty = [name for name, value in row.items() if not value and name not in ("left", "right")]
    if empty:
        raise ValueError(f"{where}: {empty[0]} is empty: fix or remove the line")
    return row


def _judgment(row: Mapping[str, str], where: str) -> tuple[tuple[str, str, str], float]:
    """Return the reference and two pictures by name, and the share of people who found the first of the two closer."""
    if "closer" in row and "farther" in row:
        names, share = (row["reference"], row["closer"], row["farther"]), 1.0
    else:
        names, share = (row["reference"], row["left"], row["right"]), _vote(row, where)
    if names[1] == names[2]:
        raise ValueError(f"{where}: {names[1]} is both the closer and the farther: fix or remove the line")
    return names, share


def _vote(row: Mapping[str, str], where: str) -> float:
    try:
        left, right = float(row["left_vote"]), float(row["right_vote"])
    except ValueError:
        left = right = -1.0
    if not (left >= 0 and right >= 0 and 0 < left + right < float("inf")):
        raise ValueError(
            f"{where}: votes are {row['left_vote']!r} and {row['right_vote']!r}: they must be numbers, 0 or more, and "
            "not both 0"
        )
    return left / (left + right)


class _Finder:
    """From the names in a table to pictures: each is looked for, and looked at, once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.found: dict[Path, int] = {}
        self._names: dict[str, int] = {}

    def __call__(self, name: str, where: str) -> int:
        if name not in self._names:
            path = self._find(name, where)
            try:
                probe_picture(path)
            except ValueError as error:
                raise ValueError(f"{where}: {error}") from None
            self._names[name] = self.found.setdefault(path, len(self.found))
        return self._names[name]

    def _find(self, name: str, where: str) -> Path:
        path = self.folder / name
        if path.is_file():
            return path
        candidates = [path.with_name(path.name + suffix) for suffix in sorted(picture_suffixes())]
        there = [candidate for candidate in candidates if candidate.is_file()]
        if not there:
            raise ValueError(
                f"{where}: no picture {name} in {self.folder}: check the name, or name the pictures' folder"
            )
        return there[0]


def _read_bapps(folder: Path) -> Triplets:
    missing = [name for name in _BAPPS if not (folder / name).is_dir()]
    if missing:
        raise ValueError(f"{folder} has no folder {missing[0]}: give a CSV file, or a folder of {'/, '.join(_BAPPS)}/")
    judged = {path.stem: path for path in sorted((folder / "judge").glob("*.npy"))}
    if not judged:
        raise ValueError(f"{folder}/judge holds no .npy file: it must say for each triplet how many people chose p1")
    pictures: dict[Path, int] = {}
    triplets, shares = [], []
    shown = {side: {path.stem: path for path in find_pictures(folder / side)} for side in _BAPPS[:3]}
    for stem, path in judged.items():
        absent = [side for side in _BAPPS[:3] if stem not in shown[side]]
        if absent:
            raise ValueError(f"{folder}/{absent[0]} has no picture {stem}, which {path.name} in judge is about")
        of_one = [shown[side][stem] for side in _BAPPS[:3]]
        for picture in of_one:
            probe_picture(picture)
        triplets.append([pictures.setdefault(picture, len(pictures)) for picture in of_one])
        shares.append(1 - _read_judge(path))
    return Triplets(str(folder), tuple(pictures), np.array(triplets, dtype=np.int64), np.array(shares), None)


def _read_judge(path: Path) -> float:
    try:
        # Mapped, so that a file which says that it is huge takes no memory.
        value = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # noqa: BLE001 (NumPy takes the header for Python, which has errors of its own)
        raise ValueError(f"{path} is no .npy file of numbers ({' '.join(str(error).split())})") from None
    is_number = isinstance(value, np.ndarray) and value.size == 1 and value.dtype.kind in "biuf"
    if not is_number or not 0 <= float(value.reshape(())) <= 1:
        raise ValueError(f"{path} must hold one number in [0, 1], the share of people who chose p1")
    return float(value.reshape(()))


# Agreement -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Agreement:
    """Agreement of a distance with people, as a share of their judgments."""

    value: float
    """Share of judgments in which the distance agrees, in [0, 1]; 0.5 is chance. Where people disagree with one
    another, a distance agrees with a share of them."""
    low: float
    """Lower end of the 95 % interval, as `high` is the upper end: bootstrap over participants, or over judgments where
    these are not known."""
    high: float
    judgments: int
    participants: int | None


def agreement(
    triplets: Triplets,
    one: Float[np.ndarray, " m"],
    other: Float[np.ndarray, " k"],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Agreement:
    """Return how often the smaller distance is that of the picture which people found closer; equal counts half.

    Args:
        triplets: m judgments.
        one: for each, the distance of the one picture to the reference.
        other: the same distance, of the other picture; k must be m.
        resamples: number of resamples of the bootstrap.
        seed: random seed of the bootstrap.

    Raises:
        ValueError: for other counts than m, or distances that are not finite.
    """
    if len(one) != len(triplets) or len(other) != len(triplets):
        raise ValueError(f"{len(one)} and {len(other)} distances for {len(triplets)} judgments: give one for each")
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        raise ValueError("a distance is not finite: nothing can be said of its order")
    nearer = (one < other) + 0.5 * (one == other)
    right = triplets.shares * nearer + (1 - triplets.shares) * (1 - nearer)
    people = triplets.participants
    sums, counts = right, np.ones(len(right))
    if people is not None:
        sums, counts = np.bincount(people, right), np.bincount(people).astype(np.float64)
    rng = np.random.default_rng(seed)
    means = []
    for _ in range(resamples):
        drawn = rng.integers(len(sums), size=len(sums))
        means.append(sums[drawn].sum() / counts[drawn].sum())
    low, high = np.quantile(means, (0.025, 0.975)).tolist()
    return Agreement(float(right.mean()), low, high, len(right), None if people is None else len(sums))
