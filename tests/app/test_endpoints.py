"""The page's server as programs see it. Oracle: the library itself, on the same files."""

import json
import os
import shutil
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import httpx
import pytest
from gradio_client import handle_file
from gradio_client.exceptions import AppError

from child_process import started
from page_client import PageClient
from sketchloss.cli import main
from sketchloss.compare.measuring import Pair, measure
from sketchloss.data.doodles.kinds import doodle
from sketchloss.loss.loss import SketchLoss
from sketchloss.system.images import open_picture


@pytest.fixture(scope="module")
def client(app_url):
    return PageClient(app_url)


@pytest.fixture(scope="module")
def drawings(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("drawings")
    for name, one in {
        "cat": doodle("cat", 21),
        "again": doodle("cat", 21).redrawn(4),
        "house": doodle("house", 9),
    }.items():
        one.sketch(300).save(folder / f"{name}.png")
    doodle("boat", 5).photo(200).save(folder / "photo.png")
    doodle("boat", 5).photo(200).resize((8, 400)).save(folder / "strip.png")
    return folder


def test_compare_gives_what_the_command_gives(client, drawings):
    loss = SketchLoss()
    for other in ("again", "house"):
        report, picture = client.predict(
            handle_file(drawings / "cat.png"), handle_file(drawings / f"{other}.png"), api_name="/compare"
        )
        ((expected,), _) = measure(loss, [Pair("x", drawings / "cat.png", drawings / f"{other}.png")])
        assert report["distance"] == pytest.approx(expected.total, rel=1e-3)
        assert report["per_tap"] == pytest.approx(expected.per_tap, rel=1e-3)
        assert report["words"]
        assert open_picture(picture).size == (448, 448)


def test_search_finds_the_class_among_doodles_it_has_not_seen(client, drawings):
    assert client.predict(api_name="/galleries") == ["doodles"]
    for name, label in (("cat", "cat"), ("house", "house")):
        matches, pictures = client.predict(handle_file(drawings / f"{name}.png"), "doodles", 5, api_name="/search")
        assert label in {match["label"] for match in matches}
        assert [match["rank"] for match in matches] == [1, 2, 3, 4, 5]
        assert all("/" not in match["name"] for match in matches)
        assert len(pictures) == 5


def test_filters_names_and_large_pictures_are_for_programs_too(client, drawings, app_cache):
    cat = handle_file(drawings / "cat.png")
    matches, _ = client.predict(cat, "doodles", 30, "house", 0.1, api_name="/search")
    assert len(matches) == 6
    assert {match["label"] for match in matches} == {"house"}
    every, _ = client.predict(cat, "doodles", 30, api_name="/search")
    least = every[4]["similarity"]
    similar, _ = client.predict(cat, "doodles", 30, min_similarity=least, api_name="/search")
    assert similar == [match for match in every if match["similarity"] >= least]
    assert 5 <= len(similar) < 30
    first = matches[0]
    path = Path(first["file_path"])
    assert path.is_relative_to(app_cache)
    assert path.name == first["name"]
    picture = client.predict("doodles", first["content"], api_name="/drawing")
    assert open_picture(picture).tobytes() == open_picture(path).tobytes()


def test_stylize_keeps_the_size(client, drawings):
    (style, *_) = client.predict(api_name="/styles")
    sketch = client.predict(handle_file(drawings / "photo.png"), style, 128, api_name="/stylize")
    assert open_picture(sketch).size == (200, 200)
    assert open_picture(sketch).tobytes() != open_picture(drawings / "photo.png").tobytes()


def test_a_gallery_of_ones_own_is_nobody_elses(app_url, drawings, tmp_path):
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as archive:
        for kind in ("cat", "tree"):
            for seed in range(3):
                doodle(kind, 50 + seed).sketch(64).save(tmp_path / "x.png")
                archive.write(tmp_path / "x.png", f"{kind}/{seed}.png")
    me, other = (PageClient(app_url) for _ in range(2))
    name, report = me.predict(handle_file(tmp_path / "mine.zip"), api_name="/build_gallery")
    assert name == "mine"
    assert report == {"rows": 6, "unreadable": [], "passed_over": []}
    assert me.predict(api_name="/galleries") == ["doodles", "mine"]
    matches, _ = me.predict(handle_file(drawings / "cat.png"), "mine", 3, api_name="/search")
    assert {match["label"] for match in matches} <= {"cat", "tree"}
    assert {match["file_path"] for match in matches} < {
        f"{kind}/{seed}.png" for kind in ("cat", "tree") for seed in range(3)
    }
    picture = me.predict("mine", matches[0]["content"], api_name="/drawing")
    assert open_picture(picture).size == (64, 64)
    for gallery, said in (("mine", "no gallery 'mine'"), ("doodles", "not in the gallery any more")):
        with pytest.raises(AppError, match=said):
            other.predict(gallery, matches[0]["content"], api_name="/drawing")
    assert other.predict(api_name="/galleries") == ["doodles"]
    with pytest.raises(AppError, match="no gallery 'mine': choose from doodles"):
        other.predict(handle_file(drawings / "cat.png"), "mine", 3, api_name="/search")


@pytest.mark.parametrize(
    ("endpoint", "arguments", "said"),
    [
        ("/compare", ("cat.png", None), "two drawings are needed"),
        ("/compare", ("cat.png", "bad.png"), r"bad\.png"),
        ("/search", (None, "doodles", 3), "a drawing is needed"),
        ("/search", ("cat.png", "none", 3), "no gallery 'none': choose from doodles"),
        ("/search", ("cat.png", "doodles", 0), "k is 0: it must be a number, 1 to 30"),
        ("/search", ("cat.png", "doodles", None), "k is None: it must be a number, 1 to 30"),
        ("/search", ("cat.png", "doodles", "x"), "k is 'x': it must be a number, 1 to 30"),
        ("/search", ("cat.png", "doodles", "NaN"), "k is 'NaN': it must be a number, 1 to 30"),
        ("/search", ("cat.png", "doodles", [1]), r"k is \[1\]: it must be a number, 1 to 30"),
        ("/search", ("cat.png", "doodles", 3, "cats"), "has the label 'cats': did you mean 'cat'"),
        ("/search", ("cat.png", "doodles", 3, "", 2), "min_similarity is 2: it must be a number, -1 to 1"),
        ("/drawing", ("doodles", "../../etc/passwd"), "this drawing is not in the gallery any more"),
        ("/drawing", ("none", "0" * 64), "no gallery 'none'"),
        ("/stylize", ("photo.png", "pencil (built in)", "x"), "draw_size is 'x': it must be a number, 64 to 1536"),
        ("/stylize", ("photo.png", "oil", 128), "no style 'oil'"),
        ("/stylize", ("photo.png", "pencil (built in)", 5), "draw_size is 5"),
        ("/stylize", ("strip.png", "pencil (built in)", 128), "20 times as long as wide at most"),
        ("/stylize", ("bad.png", "pencil (built in)", 128), r"bad\.png"),
        ("/build_gallery", ("bad.zip",), "zip archive cannot be read"),
    ],
)
def test_mistakes_are_said_and_the_server_goes_on(client, drawings, endpoint, arguments, said):
    for name in ("bad.png", "bad.zip"):
        (drawings / name).write_bytes(b"neither a picture nor an archive")
    given = [
        handle_file(drawings / value) if isinstance(value, str) and value.endswith((".png", ".zip")) else value
        for value in arguments
    ]
    with pytest.raises(AppError, match=said) as refused:
        client.predict(*given, api_name=endpoint)
    assert str(drawings) not in str(refused.value)
    assert client.predict(api_name="/galleries") == ["doodles"]


def test_of_a_gallery_that_was_deleted_meanwhile_no_path_is_said(start_app, drawings, tmp_path):
    (tmp_path / "mine").mkdir()
    for number in range(3):
        doodle("cat", number).sketch(64).save(tmp_path / "mine" / f"{number}.png")
    main(["gallery", "build", str(tmp_path / "gallery"), str(tmp_path / "mine")])
    with start_app("--galleries", str(tmp_path / "gallery")) as url:
        client = PageClient(url)
        assert client.predict(handle_file(drawings / "cat.png"), "gallery", 2, api_name="/search")
        shutil.rmtree(tmp_path / "gallery")
        with pytest.raises(AppError, match="the gallery 'gallery' cannot be read any more: choose another") as refused:
            client.predict(handle_file(drawings / "cat.png"), "gallery", 2, api_name="/search")
        assert tmp_path.name not in str(refused.value)


def test_sigterm_while_the_doodles_are_looked_at_ends_it_quietly(tmp_path):
    command = [Path(sys.executable).with_name("sketchloss"), "app", "--port", str(_free_port())]
    settings = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}  # no gallery of doodles is there yet
    with started(command, seconds=480, env=settings) as child:
        child.wait_until(lambda: "\n" in child.said())
        assert "is at http" in child.said()
        child.process.terminate()
        assert child.process.wait(180) == 0
        assert child.complaints() == ""


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _status(url: str, data: dict | None = None) -> tuple[int, bytes]:
    """Return the status of an answer, and of a stream of events what it says first, otherwise all."""
    body = None if data is None else json.dumps(data).encode()
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            streams = "event-stream" in answer.headers["Content-Type"]
            return answer.status, answer.readline() if streams else answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_no_file_of_this_computer_is_given_out(app_url, app_cache, drawings):
    drawing, secret = str(drawings / "cat.png"), str(app_cache / "secret.png")
    shutil.copy(drawing, secret)  # in the server's own folder
    for path in ("/etc/passwd", drawing, secret, "../secret.png", "secret.png"):
        assert _status(f"{app_url}gradio_api/file={path}")[0] in (403, 404)
    # nor taken in, where the path is sent instead of an upload
    for path in ("/etc/passwd", drawing, secret):
        file = {"path": path, "meta": {"_type": "gradio.FileData"}}
        for sent in (file, {"path": path}, {**file, "url": f"file://{path}"}):
            assert _events(app_url, "compare", [sent, sent, False, False]) in (b"event: error", b"refused")
            _events(app_url, "build_gallery", [sent])
    assert Path(secret).is_file()


def _events(url: str, endpoint: str, data: list) -> bytes:
    """Call an endpoint as a program without gradio_client does, and return the first line of what it says."""
    status, answer = _status(f"{url}gradio_api/call/{endpoint}", {"data": data})
    if status != 200:
        return b"refused"
    return _status(f"{url}gradio_api/call/{endpoint}/{json.loads(answer)['event_id']}")[1].strip()


def test_no_address_is_fetched(client, drawings):
    address = handle_file("https://example.org/cat.png")
    with pytest.raises(AppError, match="addresses are not fetched here: upload the file"):
        client.predict(address, handle_file(drawings / "cat.png"), api_name="/compare")


def test_a_page_of_another_name_is_not_answered(app_url):
    request = urllib.request.Request(f"{app_url}config", headers={"Host": "attacker.example"})
    with pytest.raises(urllib.error.HTTPError, match="400") as refused:
        urllib.request.urlopen(request, timeout=30)
    refused.value.close()


def test_all_files_are_in_a_private_folder_uploads_for_a_while_and_none_at_the_end(start_app, drawings, tmp_path):
    place = tmp_path / "temporary"
    place.mkdir()
    settings = {"GRADIO_TEMP_DIR": str(tmp_path / "elsewhere"), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "torch")}
    with start_app("--keep-minutes", "0.15", TMPDIR=str(place), **settings) as url:
        client = PageClient(url)
        pair = [handle_file(drawings / f"{name}.png") for name in ("cat", "again")]
        client.predict(*pair, api_name="/compare")
        client.predict(handle_file(drawings / "photo.png"), api_name="/stylize")
        recording = {"files": {"video": ("x.mp4", b"x" * 1000)}, "trust_env": False}
        httpx.post(f"{url}gradio_api/process_recording", **recording)
        (private,) = place.iterdir()
        assert private.name.startswith("sketchloss-")
        assert private.stat().st_mode & 0o077 == 0
        assert list(private.rglob("cat.png"))
        for _ in range(120):
            if not list(private.rglob("*.png")):
                break
            time.sleep(0.5)
        assert not list(private.rglob("*.png"))
        report, _ = client.predict(*pair, api_name="/compare")  # and the next visitor is served
        assert report["distance"] > 0
    assert not list(place.iterdir())
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--host", "0.0.0.0"], "give --auth USER:PASSWORD"),
        (["--host", "no-such-host.invalid", "--auth", "a:b"], "cannot answer at no-such-host.invalid"),
        (["--port", "0"], "port is 0"),
        (["--host", "::1"], "give --auth"),
        (["--galleries", "nowhere"], "nowhere does not exist: give a folder"),
        (["--weights", "nothing"], "nothing"),
        (["--gallery", "x"], "unknown option --gallery: did you mean --galleries?"),
    ],
)
def test_mistakes_on_the_command_line_are_one_line(arguments, said, capsys, monkeypatch, tmp_path):
    monkeypatch.delenv("SKETCHLOSS_AUTH", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert main(["app", *arguments]) == 2
    told = capsys.readouterr().err.strip()
    assert said in told
    assert "\n" not in told


def test_a_port_that_is_taken_is_named(capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert main(["app", "--port", port]) == 2
    assert f"cannot answer at 127.0.0.1:{port}" in capsys.readouterr().err.strip().splitlines()[-1]


def test_ctrl_c_ends_it_quietly(app_cache, tmp_path):
    command = [Path(sys.executable).with_name("sketchloss"), "app"]
    settings = {**os.environ, "XDG_CACHE_HOME": str(app_cache), "TMPDIR": str(tmp_path)}
    with started(command, seconds=480, env=settings) as child:
        child.wait_until(lambda: "\n" in child.said())
        assert "is at http" in child.said()
        child.process.send_signal(signal.SIGINT)
        assert child.process.wait(120) == 0
        assert child.said().splitlines()[1:] == ["stopped"]
        assert child.complaints() == ""
    assert not list(tmp_path.glob("sketchloss-*"))


def test_no_file_is_written_beside_the_code():
    import sketchloss.app.page

    folder = Path(sketchloss.app.page.__file__).parent
    assert not list(folder.glob("*.pyi"))
