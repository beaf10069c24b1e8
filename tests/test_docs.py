"""Oracle: what the documentation says is done: its Python runs, its commands parse, its links and pages exist."""

import functools
import os
import re
import shlex
import sys
from collections.abc import Iterator
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import torch
from markdown_it import MarkdownIt
from markdown_it.token import Token
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

from child_process import finished
from sketchloss import cli
from sketchloss.cli import COMMANDS, main

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
SYBIL = Sybil([PythonCodeBlockParser()])
#: What a block may need beyond what the tests install; it is then not run, and the test says so.
OPTIONAL = {"lightning"}
SHELL = {"bash", "console", "yaml"}
OPERATORS = {"|", "<", ">", "&&", ";"}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tokens(path: Path) -> Iterator[Token]:
    for token in MarkdownIt("commonmark").enable("table").parse(path.read_text(encoding="utf-8")):
        yield token
        yield from token.children or ()


# Python --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def workplace(tmp_path_factory, narrow) -> Path:
    """What the blocks find around them: drawings, two folders to compare, and runs of everything, hardly trained."""
    from sketchloss import Backbone, save_backbone
    from sketchloss.data.doodles.kinds import doodle
    from sketchloss.diffusion.pipeline import load_text_to_image
    from sketchloss.lora import add_lora, save_lora
    from sketchloss.networks.stylizer import Stylizer, StylizerConfig, save_stylizer

    place = tmp_path_factory.mktemp("docs")
    for kind in ("cat", "house"):
        for folder in ("drawings", "queries"):
            (place / folder / kind).mkdir(parents=True)
        for seed in range(4):
            doodle(kind, seed).sketch(64).save(place / "drawings" / kind / f"{seed}.png")
        doodle(kind, 9).sketch(64).save(place / "queries" / kind / "9.png")
    doodle("house", 0, style="ink").sketch(64).save(place / "before.png")
    doodle("house", 1, style="ink").sketch(64).save(place / "after.png")
    doodle("cat", 5).sketch(64).save(place / "query.png")
    doodle("cat", 5).photo(64).save(place / "photo.jpg")
    torch.manual_seed(0)
    save_backbone(Backbone(attention=True, width=0.25), place / "runs" / "mine" / "best")
    save_stylizer(Stylizer(StylizerConfig(width=0.2, blocks=1)), place / "runs" / "pencil" / "model")
    unet = load_text_to_image("tiny").unet
    add_lora(unet, rank=2, seed=0)
    save_lora(unet, place / "runs" / "mine" / "lora", about={"base": "tiny"})
    return place


def python_pages() -> list[Path]:
    return [path for path in PAGES if "```python" in path.read_text(encoding="utf-8")]


@pytest.fixture
def served(request, monkeypatch):
    """The page at its usual address, for the blocks that call it: what they ask for there is asked of a server here."""
    if request.node.callspec.params["path"].name != "page.md":
        return
    import gradio_client

    url = request.getfixturevalue("app_url")
    client = gradio_client.Client

    def connect(address: str, **settings):
        assert address == "http://127.0.0.1:7860/"  # where `sketchloss app` is
        return client(url, **settings)

    monkeypatch.setattr(gradio_client, "Client", connect)


@pytest.mark.parametrize("path", python_pages(), ids=name_of)
@pytest.mark.usefixtures("served")
@pytest.mark.filterwarnings(  # lightning's own: its use of torch, and advice on workers
    "ignore:.*LeafSpec:FutureWarning",
    "ignore:The 'train_dataloader' does not have many workers",
    "ignore:Found .* in eval mode",
)
def test_python_runs(path, workplace, monkeypatch):
    """Blocks of a page run in order, with what the page takes for granted: `pred`, `target`, and files to open."""
    monkeypatch.chdir(workplace)
    torch.manual_seed(0)
    document = SYBIL.parse(path)
    document.namespace.update(torch=torch, pred=torch.rand(2, 3, 64, 64), target=torch.rand(2, 3, 64, 64))
    document.namespace["pred"].requires_grad_()
    missing = []
    for example in document.examples():
        try:
            example.evaluate()
        except ModuleNotFoundError as error:
            if error.name not in OPTIONAL:
                raise
            missing.append(f"line {example.line} needs {error.name}, which is not installed")
    if missing:
        pytest.skip(f"{name_of(path)}, its other blocks passed: {'; '.join(missing)}")


def test_own_trainer_starts_with_a_recipe_of_twenty_lines_whose_terms_pull_as_it_says():
    """Oracle: the gradient of a mean absolute difference of n numbers is ±1/n each, so its norm is 1/√n."""
    recipe = next(iter(SYBIL.parse(ROOT / "docs" / "guide" / "own-trainer.md").examples()))
    assert len([line for line in recipe.parsed.splitlines() if line]) <= 20
    recipe.evaluate()
    found = recipe.namespace
    pixels, sketch = (found["balance"].factors[name] * found["balance"].norms[name] for name in ("pixels", "sketch"))
    assert pixels == pytest.approx(found["wanted"].numel() ** -0.5, rel=1e-4)
    assert sketch == pytest.approx(found["PULL"] * pixels)
    assert found["optimizer"].param_groups[0]["lr"] == pytest.approx(0, abs=1e-9)  # the cosine has come to its end


def test_a_broken_block_fails(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n```python\nfrom sketchloss import Sketchloss\n```\n")
    (example,) = SYBIL.parse(page).examples()
    with pytest.raises(ImportError, match="Sketchloss"):
        example.evaluate()


def test_every_block_has_a_language_that_is_tested_or_text():
    for path in PAGES:
        found = {token.info for token in tokens(path) if token.type == "fence"}
        assert found <= SHELL | {"python", "text", "csv"}, name_of(path)


# Commands ------------------------------------------------------------------------------------------------------------


def command_lines(path: Path) -> Iterator[tuple[str, bool]]:
    """Yield each command of a page, and whether it is whole: in a block, not in the middle of a sentence."""
    for token in tokens(path):
        if token.type == "code_block" or (token.type == "fence" and token.info in SHELL):
            lines = token.content.replace("\\\n", " ").splitlines()
            yield from ((line.removeprefix("$ "), True) for line in lines if is_command(line))
        elif token.type == "code_inline" and re.match(r"(\w+=\S+ )?sketchloss \w+ .*--", token.content):
            yield token.content, False


def is_command(line: str) -> bool:
    return re.search(r"(^|[\s/])sketchloss \w", line.partition("#")[0]) is not None


def arguments_of(line: str) -> list[str]:
    """Return what the shell would give the program."""
    words = shlex.shlex(line, posix=True, punctuation_chars="|<>&;")
    words.whitespace_split, words.commenters = True, "#"
    words = list(words)
    start = next(number for number, word in enumerate(words) if Path(word).name == "sketchloss") + 1
    end = next((number for number, word in enumerate(words) if number > start and word in OPERATORS), len(words))
    return words[start:end]


def check_command(line: str, monkeypatch, capsys, *, whole: bool = True) -> str | None:
    """Let the program parse a line and do nothing; return its complaint, if it has one."""
    for command in COMMANDS:
        if command.name.split() == arguments_of(line)[: len(command.name.split())]:
            module = import_module(command.module, "sketchloss")
            function = getattr(module, command.function)
            # What wraps the function keeps its annotations, by which the command line is made.
            monkeypatch.setattr(module, command.function, functools.wraps(function)(lambda _: 0))
    code = main(arguments_of(line))
    monkeypatch.undo()
    complaint = capsys.readouterr().err.strip()
    if not code or (not whole and ": missing " in complaint):
        return None
    return complaint


@pytest.mark.parametrize("path", [path for path in PAGES if list(command_lines(path))], ids=name_of)
def test_commands_parse(path, monkeypatch, capsys):
    complaints = {
        line: complaint
        for line, whole in command_lines(path)
        if (complaint := check_command(line, monkeypatch, capsys, whole=whole))
    }
    assert not complaints


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("sketchloss compare a.png b.png --mapp d.png  # a comment", "unknown option --mapp"),
        ("sketchloss finetune --data FOLDER", "missing --out"),
        ("X=1 sketchloss style aply runs/pencil < photo.jpg > sketch.png", "'aply' is no part of style"),
        ("accelerate launch --num_processes 2 -m sketchloss finetune --data A --out B --arm both", "--arm 'both'"),
    ],
)
def test_a_wrong_command_is_found(line, complaint, monkeypatch, capsys):
    assert complaint in (check_command(line, monkeypatch, capsys) or "")


def test_every_command_is_on_the_page_of_commands():
    said = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert [command.name for command in cli.COMMANDS if f"sketchloss {command.name} " not in said] == []


# Links and pages -----------------------------------------------------------------------------------------------------


def anchors(path: Path) -> set[str]:
    """Return the names that GitHub gives the headings of a file."""
    all_tokens = list(MarkdownIt("commonmark").parse(path.read_text(encoding="utf-8")))
    headings = [after.content for token, after in pairwise(all_tokens) if token.tag[:1] == "h"]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_and_pictures_lead_somewhere(path):
    for token in tokens(path):
        target = token.attrGet("href") if token.type == "link_open" else token.attrGet("src")
        if token.type not in ("link_open", "image") or urlsplit(str(target)).scheme:
            continue
        parts = urlsplit(str(target))
        file = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        assert file.exists(), f"{name_of(path)}: {target}"
        assert file.is_relative_to(ROOT), f"{name_of(path)}: {target}"
        if parts.fragment and file.suffix == ".md" and file.name != "model-cards.md":
            assert parts.fragment in anchors(file), f"{name_of(path)}: {target}"


def test_the_reference_names_every_module():
    said = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "reference").glob("*.md"))
    package = ROOT / "src" / "sketchloss"
    modules = {path.stem for path in package.glob("[!_]*.py")} | {
        path.parent.name for path in package.glob("*/__init__.py")
    }
    assert {module for module in modules if not re.search(rf"^::: sketchloss\.{module}\b", said, re.MULTILINE)} == set()


def test_model_cards_begin_with_a_heading_that_the_page_of_cards_replaces():
    page = (ROOT / "docs" / "model-cards.md").read_text(encoding="utf-8")
    cards = sorted((ROOT / "src" / "sketchloss" / "bundled").glob("*/README.md"))
    for card in cards:
        assert card.read_text(encoding="utf-8").startswith(f"# {card.parent.name}")
        assert f'## {card.parent.name}\n\n--8<-- "src/sketchloss/bundled/{card.parent.name}/README.md:3:"\n' in page


def test_pages_are_built_and_load_nothing_from_elsewhere(tmp_path):
    pytest.importorskip("mkdocs", reason="the dependency group docs is not installed")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    finished(command, check=True, seconds=300, cwd=ROOT, env=environment)
    pages = sorted((tmp_path / "site").rglob("*.html"))
    assert len(pages) >= len(PAGES)
    # What a browser fetches by itself: everything with src=, <link> but for the address of the page, url() of a style.
    loaded = re.compile(r"""(?:src|srcset|poster|data)\s*=\s*["']?(?:https?:)?//|<link[^>]+href=["']?(?:https?:)?//""")
    for page in pages:
        assert not loaded.search(page.read_text(encoding="utf-8")), page.name
    for style in (tmp_path / "site").rglob("*.css"):
        assert not re.search(r"(url\(|@import\s)\s*[\"']?(https?:)?//", style.read_text(encoding="utf-8")), style.name
    index = (tmp_path / "site" / "search" / "search_index.js").read_text(encoding="utf-8")
    assert "guide/loss.html" in index
