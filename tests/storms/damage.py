"""Ways to damage a file: as disks, networks and other programs do, and as somebody does who means harm."""

import json
import struct
import zlib
from collections.abc import Callable
from random import Random
from typing import Any

#: What a number, a text or a list in a JSON file is replaced by.
ODD: tuple[Any, ...] = (
    *(None, True, -1, 0, 2**31, 2**63, 2**70, 10**400, 1e308, float("nan"), float("inf"), -0.5, 1e-320),
    *("", "x" * 10_000, "\x00", "../..", "/dev/zero", "\ud800", "a\nb", [], [[]], {}, {"a": None}, [0] * 1000),
)


def damaged(data: bytes, random: Random, others: list[bytes]) -> bytes:
    """Return a file's bytes, damaged in one way.

    Args:
        data: of a good file.
        random: what to draw from.
        others: bytes of good files of other kinds.
    """
    ways: list[Callable[[], bytes]] = [
        lambda: data[: random.randrange(len(data))],
        lambda: _flipped(data, random),
        lambda: _flipped(data, random),
        lambda: _with_block(data, random, random.randbytes(random.choice((1, 4, 1000)))),
        lambda: _over(data, random, bytes(random.choice((1, 16, 512)))),
        lambda: _over(data, random, b"\xff" * random.choice((1, 4, 8))),
        lambda: _with_block(data, random, data),
        lambda: random.choice(others),
        lambda: random.choice((b"", b"\n", b"[" * 200_000, b'{"a":' * 100_000, random.randbytes(500), b"\xef\xbb\xbf")),
    ]
    if data.startswith(b"\x89PNG"):
        ways += [lambda: _png_of_other_size(data, random)] * 4
    if data[8:9] == b"{":  # safetensors: the header's length, the header, the tensors
        ways += [lambda: _safetensors(data, random)] * 6
    if data.startswith((b"{", b"[")):
        ways += [lambda: _json_lines(data, random)] * 6
    if data.startswith((b"file_name", b"reference")):
        ways += [lambda: _table(data, random)] * 4
    return random.choice(ways)()


def _flipped(data: bytes, random: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 4, 50))):
        # Half of them in the header, where they matter most.
        place = random.randrange(min(len(data), random.choice((100, len(data)))))
        changed[place] ^= 1 << random.randrange(8)
    return bytes(changed)


def _with_block(data: bytes, random: Random, block: bytes) -> bytes:
    place = random.randrange(len(data))
    return data[:place] + block + data[place:]


def _over(data: bytes, random: Random, block: bytes) -> bytes:
    place = random.randrange(len(data))
    return (data[:place] + block + data[place + len(block) :])[: len(data)]


def _png_of_other_size(data: bytes, random: Random) -> bytes:
    """Change the header of a PNG, and its checksum with it."""
    header = bytearray(data[12:29])
    if random.random() < 0.5:
        size = random.choice(((0, 1), (9000, 9000), (40_000, 40_000), (2**31 - 1, 1), (2**31 - 1, 2**31 - 1)))
        header[4:12] = struct.pack(">II", *size)
    else:
        header[12 + random.randrange(5)] = random.choice((0, 1, 2, 3, 4, 6, 8, 16, 255))
    return data[:12] + bytes(header) + struct.pack(">I", zlib.crc32(header)) + data[33:]


def _safetensors(data: bytes, random: Random) -> bytes:
    """Change the header of a safetensors file, and its length with it."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    _edit(header, random)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


def _json_lines(data: bytes, random: Random) -> bytes:
    """Change a value in a JSON file, or in one line of several."""
    try:
        whole = json.loads(data)
        _edit(whole, random)
        return json.dumps(whole).encode()
    except ValueError:
        lines = data.splitlines()
        at = random.randrange(len(lines))
        row = json.loads(lines[at])
        _edit(row, random)
        lines[at] = json.dumps(row).encode()
        return b"\n".join(lines)


def _edit(value: Any, random: Random) -> None:
    """Replace, take away or add one value, at any depth."""
    while True:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        if not keys:
            return
        key = random.choice(keys)
        if isinstance(value[key], dict | list) and value[key] and random.random() < 0.7:
            value = value[key]
            continue
        match random.randrange(6):
            case 0:
                del value[key]
            case 1 if isinstance(value, dict):
                value[f"{key}2"] = value[key]
            case _:
                value[key] = random.choice(ODD)
        return


def _table(data: bytes, random: Random) -> bytes:
    """Change a cell of a CSV file."""
    rows = [line.split(b",") for line in data.splitlines()]
    row = random.choice(rows)
    odd = (b"", b'"', b"x" * 200_000, b"\x00", b"../../etc/passwd", b"/dev/zero", b"nan", b"1e999", b"-1", b"\xff\xfe")
    row[random.randrange(len(row))] = random.choice(odd)
    return b"\n".join(map(b",".join, rows)) + b"\n"
