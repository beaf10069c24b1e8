"""Do the tests notice when the package is broken? Breaks it in places drawn by lot, one at a time, and runs the tests.

    python scripts/break_it.py --count 50 --seed 0 --log scripts/break_it-0.md

A file of the package is drawn, then a place in it: a sign or an operator, a comparison, a constant, a condition or a
whole statement. Then the tests that belong to the file run until one fails: those of its name, then all that import it,
then what holds for all dataclasses. A test that fails must fail again alone: on a busy machine one may fail for want of
time.
It works on a copy of the last commit. (cosmic-ray and mutmut draw nothing by lot and delete no statement.)
"""

import argparse
import ast
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

PACKAGE = Path("src", "sketchloss")
#: Rooms of tests that take long.
SLOW = ("app", "experiments", "storms")
#: Holds for every file.
OF_ALL = "test_dataclasses"
#: Seconds after which a run of tests counts as failed: an endless loop is noticed.
LIMIT = 1800
SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    **{ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult},
    **{ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq},
    **{ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.And: ast.Or, ast.Or: ast.And},
}


@dataclass(frozen=True)
class Break:
    """One change of one file."""

    file: Path
    line: int
    before: str
    after: str
    start: tuple[int, int]
    end: tuple[int, int]
    """Line, from 1, and byte within it: where `before` stands."""

    def apply(self, source: str) -> str:
        """Return the broken source."""
        lines = source.encode().splitlines(keepends=True)
        (first, left), (last, right) = self.start, self.end
        head = b"".join(lines[: first - 1]) + lines[first - 1][:left]
        tail = lines[last - 1][right:] + b"".join(lines[last:])
        return (head + self.after.encode() + tail).decode()


def main() -> None:
    """Print, and log, what nobody noticed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=1, help="break to go on with; the log keeps those before it")
    parser.add_argument("--log", type=Path, required=True, help="Markdown file to write")
    options = parser.parse_args()
    chance = random.Random(options.seed)
    with TemporaryDirectory() as folder:
        place = Path(folder, "copy")
        _run(["git", "clone", "--quiet", "--shared", ".", place])
        places = {file: list(breaks(file, (place / file).read_text())) for file in files(place)}
        drawn: list[Break] = []
        while len(drawn) < options.count:
            one = chance.choice(places[chance.choice([file for file, found in places.items() if found])])
            if one not in drawn:
                drawn.append(one)
        rows = rows_before(options.log, options.first)
        for number, one in list(enumerate(drawn, 1))[options.first - 1 :]:
            began = time.monotonic()
            noticed = notice(place, one)
            rows.append(
                f"| {number} | `{one.file}:{one.line}` | `{_cell(one.before)}` | `{_cell(one.after)}` | {noticed} |"
            )
            print(f"{rows[-1]} {time.monotonic() - began:.0f} s", flush=True)
            missed = sum(row.endswith("| **nobody** |") for row in rows)
            options.log.write_text(
                f"# Seed {options.seed}: {len(rows) - missed} of {len(rows)} noticed\n\n"
                "| | where | before | after | noticed by |\n| ---: | --- | --- | --- | --- |\n" + "\n".join(rows) + "\n"
            )


def rows_before(log: Path, first: int) -> list[str]:
    """Return the rows of the breaks before this one, from a log that an earlier run has left."""
    if first == 1:
        return []
    rows = [line for line in log.read_text().splitlines() if line.startswith("| ") and line.split()[1].isdecimal()]
    return [row for row in rows if int(row.split()[1]) < first]


def files(place: Path) -> list[Path]:
    """Return the files of the package, relative to its checkout."""
    return sorted(file.relative_to(place) for file in (place / PACKAGE).rglob("*.py"))


def notice(place: Path, one: Break) -> str:
    """Break the copy, run the tests of the file until one fails, mend it, and say who noticed."""
    path = place / one.file
    sound = path.read_text()
    path.write_text(one.apply(sound))
    try:
        pytest = [sys.executable, "-m", "pytest", "-x", "-q", "--numprocesses=0", "--no-header"]
        tests, unsure = tests_of(place, one.file), []
        while True:
            done = _run([*pytest, *tests, *(f"--deselect={test}" for test in unsure)], cwd=place, check=False)
            if done.returncode == 0:
                return "**nobody**"
            told = [line.partition(" ")[::2] for line in done.stdout.splitlines()]
            failed = [rest.partition(" - ")[0] for word, rest in told if word in ("FAILED", "ERROR")]
            if not failed:
                return f"pytest, exit {done.returncode}"
            if _run([*pytest, failed[0]], cwd=place, check=False).returncode:
                return f"`{failed[0].rpartition('/')[2]}`"
            unsure.append(failed[0])
    except subprocess.TimeoutExpired:
        return "the time limit"
    finally:
        path.write_text(sound)


def tests_of(place: Path, file: Path) -> list[str]:
    """Return the test files of a file: of its name first, then all that import it, or else what imports it."""
    module = ".".join(file.with_suffix("").parts[1:]).removesuffix(".__init__")
    tests = sorted((place / "tests").rglob("test_*.py"))
    room = place / "tests" / file.relative_to(PACKAGE).parent
    named = [test for test in tests if test.stem == f"test_{file.stem}" and test.parent in (room, place / "tests")]
    importing = [test for test in tests if module in imported(test)]
    if not (named or importing):
        sources = [one for one in files(place) if module in imported(place / one)]
        behind = {".".join(one.with_suffix("").parts[1:]).removesuffix(".__init__") for one in sources}
        importing = [test for test in tests if behind & imported(test)]
    # The nearest rooms first; a browser, and what trains for long, last.
    importing.sort(key=lambda test: (test.parts[len(place.parts) + 1] in SLOW, test.parent != room))
    found = [*named, *(test for test in importing if test not in named)]
    found = [*found, *(test for test in tests if test.stem == OF_ALL and test not in found)] if found else tests
    return [str(test.relative_to(place)) for test in found]


def imported(file: Path) -> set[str]:
    """Return the modules that a file imports, in functions too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def breaks(file: Path, source: str) -> Iterator[Break]:
    """Yield the places of a file that can be broken."""
    tree = ast.parse(source)
    for node in _walk(tree):
        for after in _changed(node):
            assert isinstance(node, ast.expr | ast.stmt)
            assert node.end_lineno is not None
            assert node.end_col_offset is not None
            before = ast.get_source_segment(source, node) or ""
            start, end = (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)
            yield Break(file, node.lineno, before, after, start, end)


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what runs: no docstrings, annotations or type aliases, nothing for the type checker."""
    yield node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "type_params"):
            continue
        for child in value if isinstance(value, list) else [value]:
            is_text = isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)
            is_check = isinstance(child, ast.Assert | ast.Import | ast.ImportFrom | ast.JoinedStr)
            if isinstance(child, ast.AST) and not is_text and not is_check:
                yield from _walk(child)


def _changed(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.BinOp(op=op) if type(op) in SWAPS and not _is_text(node.left):
            yield ast.unparse(ast.BinOp(node.left, SWAPS[type(op)](), node.right))
        case ast.BoolOp(op=op):
            yield ast.unparse(ast.BoolOp(SWAPS[type(op)](), node.values))
        case ast.Compare(ops=[op]) if type(op) in SWAPS:
            yield ast.unparse(ast.Compare(node.left, [SWAPS[type(op)]()], node.comparators))
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            yield f"({ast.unparse(node.operand)})"
        case ast.Constant(value=bool(value)):
            yield str(not value)
        case ast.Constant(value=int(value)):
            yield str(value + 1)
        case ast.Constant(value=float(value)):
            yield repr(value * 2 or 1.0)
        case ast.Expr(value=ast.Call()) | ast.AugAssign() | ast.Raise() | ast.Delete() | ast.Continue() | ast.Break():
            yield "pass"
        case _:
            pass


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _cell(text: str) -> str:
    line = " ".join(text.split()).replace("|", "\\|")
    return line if len(line) < 80 else f"{line[:76]} ..."


def _run(command: Sequence[str | Path], *, check: bool = True, cwd: Path | None = None) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(cwd / "src")} if cwd else None
    return subprocess.run(
        list(map(str, command)), check=check, cwd=cwd, env=environment, capture_output=True, text=True, timeout=LIMIT
    )


if __name__ == "__main__":
    main()
