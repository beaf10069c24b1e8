"""Oracles: what pyproject.toml says of the package, and which files of the checkout its build reads.

No image is built here. It was built once by hand with buildah 1.28 and its commands were run, with two replacements:
Debian 12 with its Python 3.11 in place of python:3.11-slim, and a local file of torch in place of download.pytorch.org.
"""

import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def steps() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile and what they are given, in order."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = re.sub(r"(?m)^#.*\n", "", text).replace("\\\n", " ").splitlines()
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in lines]


def given(steps: list[tuple[str, str]], instruction: str) -> list[str]:
    return [said for name, said in steps if name == instruction]


def test_what_the_build_reads_exists_and_is_not_kept_from_it(steps):
    patterns = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert [line for line in patterns if line[0] not in "#!"] == ["*", "**/__pycache__"]
    passed_on = {line[1:] for line in patterns if line.startswith("!")}
    sources = set(re.findall(r"--mount=type=bind,source=([^,\s]+)", " ".join(given(steps, "RUN")))) - {"."}
    read = {"pyproject.toml", "src", PROJECT["readme"], *PROJECT["license-files"], *sources}
    assert given(steps, "COPY") == given(steps, "ADD") == []
    assert passed_on == read
    assert [name for name in passed_on if not (ROOT / name).exists()] == []


def test_it_installs_the_core_in_the_versions_that_are_tested(steps):
    installs = [shlex.split(said)[1:] for said in given(steps, "RUN") if "pip install" in said]
    assert all(words[:2] == ["pip", "install"] and "--constraint" in words for words in installs)
    torch, core = (words[-1] for words in installs)
    assert torch in {Requirement(line).name for line in PROJECT["dependencies"]}
    assert core == "/source"  # without an extra
    (base,) = given(steps, "FROM")
    assert SpecifierSet(PROJECT["requires-python"]).contains(base.removeprefix("python:").removesuffix("-slim"))


def test_it_runs_the_command_as_a_user_without_rights(steps):
    (entry,) = given(steps, "ENTRYPOINT")
    assert json.loads(entry) == list(PROJECT["scripts"])
    (user,) = given(steps, "USER")
    assert user.isdigit()  # so that it can be told from root without the image's list of users
    assert any(said.startswith(f"useradd --create-home --uid {user} ") for said in given(steps, "RUN"))
    names = [name for name, _ in steps]
    assert names.index("USER") > max(place for place, name in enumerate(names) if name == "RUN")
