"""What is behind the page, without a server: settings, uploads, archives, the canvas, the place of a distance."""

import base64
import io
import os
import re
import shutil
import stat
import time
import zipfile
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path

import gradio as gr
import pytest
from PIL import Image, ImageOps

from foreign_files import pdf, svg
from sketchloss.app.canvas import PREFIX, read_canvas
from sketchloss.app.compare import compare, draw_place
from sketchloss.app.own_galleries import build_own
from sketchloss.app.private import PrivateFolder
from sketchloss.app.services import DOODLES, open_services
from sketchloss.app.settings import App
from sketchloss.app.uploads import BadArchive, mistake, not_unpacked, read_upload, unpack_drawings
from sketchloss.compare.measuring import Pair, measure
from sketchloss.data.doodles.kinds import doodle
from sketchloss.gallery import Gallery
from sketchloss.loss.calibration import KINDS, load_calibration
from sketchloss.networks.stylizer import Stylizer, StylizerConfig, save_stylizer


def _png(picture: Image.Image) -> bytes:
    encoded = io.BytesIO()
    picture.save(encoded, format="PNG")
    return encoded.getvalue()


def _drawing(kind: str = "cat", seed: int = 1, size: int = 64) -> Image.Image:
    return doodle(kind, seed, style="ink").sketch(size)


def _zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


@pytest.fixture(scope="module")
def cache(tmp_path_factory, narrow) -> Path:
    """A cache folder in which the gallery of doodles is there already."""
    place = tmp_path_factory.mktemp("cache")
    open_services(weights=narrow, cache=place).gallery(DOODLES, {})
    return place


# Settings ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"port": 70000}, "port is 70000"),
        ({"upload_mb": 0}, "upload_mb is 0"),
        ({"keep_mb": -1}, "keep_mb is -1"),
        ({"keep_mb": 39}, "keep_mb is 39: it must be at least upload_mb, 40"),
        ({"keep_minutes": float("nan")}, "keep_minutes is nan"),
        ({"host": "0.0.0.0"}, "give --auth USER:PASSWORD"),
        ({"host": "::"}, "give --auth USER:PASSWORD"),
        ({"keep_minutes": float("inf")}, "keep_minutes is inf"),
        ({"host": "example.org"}, "give --auth USER:PASSWORD"),
        ({"auth": "nobody"}, "auth must be USER:PASSWORD"),
        ({"auth": "user:"}, "auth must be USER:PASSWORD"),
    ],
)
def test_settings_are_refused_in_one_line(settings, said, monkeypatch):
    monkeypatch.delenv("SKETCHLOSS_AUTH", raising=False)
    with pytest.raises(ValueError, match=said) as refused:
        App(**settings)
    assert "\n" not in str(refused.value)


def test_other_hosts_are_answered_with_a_login(monkeypatch):
    assert App(host="0.0.0.0", auth="user:pass:word").login() == ("user", "pass:word")
    monkeypatch.setenv("SKETCHLOSS_AUTH", "me:secret")
    assert App(host="0.0.0.0").login() == ("me", "secret")
    monkeypatch.delenv("SKETCHLOSS_AUTH")
    for host in ("127.0.0.1", "localhost", "127.1.2.3"):
        assert App(host=host).login() is None


# Services ------------------------------------------------------------------------------------------------------------


def test_folders_become_galleries_once_and_are_brought_up_to_date(tmp_path, narrow, monkeypatch, cache):
    folder = tmp_path / "mine"
    for kind in ("cat", "house"):
        (folder / kind).mkdir(parents=True)
        _drawing(kind).save(folder / kind / "1.png")
    said: list[str] = []
    services = open_services(weights=narrow, galleries=[folder], cache=cache, say=said.append)
    assert list(services.galleries) == ["mine", "doodles"]
    assert "2 drawings" in said[0]
    assert len(services.gallery("mine", {})) == 2
    _drawing("tree").save(folder / "cat" / "2.png")
    (folder / "house" / "1.png").unlink()
    again = open_services(weights=narrow, galleries=[folder], cache=cache)
    assert {match.label for match in again.gallery("mine", {}).search(_drawing("cat"))[0]} == {"cat"}
    with pytest.raises(ValueError, match=r"no gallery 'other': choose from mine, doodles"):
        services.gallery("other", {})


def test_nobody_waits_for_ever_for_a_gallery_that_is_being_made(tmp_path, narrow, monkeypatch, cache):
    services = open_services(weights=narrow, cache=cache)
    services.galleries["large"] = Future()
    monkeypatch.setattr("sketchloss.app.services.PATIENCE", 0.01)
    with pytest.raises(ValueError, match=r"the gallery 'large' is still being made: try again in a few minutes"):
        services.gallery("large", {})


def test_whoever_waits_for_the_doodles_hears_of_any_failure(narrow, monkeypatch, tmp_path, capsys):
    def fails(*_, **__):
        raise RuntimeError("CUDA error:\nout of memory")

    monkeypatch.setattr("sketchloss.app.services.Gallery.build", fails)
    with pytest.raises(ValueError, match="the built-in doodles could not be drawn: see the server's terminal"):
        open_services(weights=narrow, cache=tmp_path).gallery(DOODLES, {})
    assert "no doodles to search: CUDA error: out of memory\n" in capsys.readouterr().err


def test_a_gallery_is_done_even_if_what_was_uploaded_is_gone_by_then(narrow, monkeypatch, cache, tmp_path):
    real = Gallery.build

    def build(*arguments, **settings):
        archive.unlink()
        return real(*arguments, **settings)

    services = open_services(weights=narrow, cache=cache)
    services.gallery(DOODLES, {})
    archive = _zip(tmp_path / "mine.zip", {"cat/1.png": _png(_drawing()), "notes.psd": b"8BPS"})
    monkeypatch.setattr("sketchloss.app.own_galleries.Gallery.build", build)
    request, mine = gr.Request(), {}
    request.session_hash = "visitor"
    private = PrivateFolder(keep_seconds=100, keep_mb=10)
    name, report = build_own(services, archive, mine, private, request, gr.Progress())
    assert (name, list(mine), report.rows) == ("mine", ["mine"], 1)
    assert "notes.psd" in report.passed_over[0]


def test_two_of_one_name_are_told_apart(tmp_path, narrow, cache):
    for place in ("a", "b"):
        (tmp_path / place / "mine").mkdir(parents=True)
        _drawing().save(tmp_path / place / "mine" / "1.png")
    services = open_services(weights=narrow, galleries=[tmp_path / "a/mine", tmp_path / "b/mine"], cache=cache)
    assert list(services.galleries) == ["mine", "mine (2)", "doodles"]


def test_styles_are_found_below_a_folder_by_what_they_were_trained_with(tmp_path, narrow, cache):
    tiny = {"width": 0.1, "blocks": 0}
    save_stylizer(Stylizer(StylizerConfig(style="fs2k:/x?style=3", arm="tuning", **tiny)), tmp_path / "runs/a/model")
    save_stylizer(Stylizer(StylizerConfig(style="fs2k:/x?style=3", arm="tuning", **tiny)), tmp_path / "runs/b/model")
    services = open_services(weights=narrow, styles=[tmp_path / "runs"], cache=cache)
    assert list(services.styles)[-2:] == ["fs2k?style=3 with tuning", "fs2k?style=3 with tuning (2)"]
    assert services.stylizer("fs2k?style=3 with tuning") is services.stylizer("fs2k?style=3 with tuning")
    with pytest.raises(ValueError, match=r"no style 'oil'"):
        services.stylizer("oil")


@pytest.mark.parametrize("setting", ["galleries", "styles", "study"])
def test_what_is_no_folder_or_an_empty_one_is_refused(tmp_path, narrow, setting, cache):
    def given(path: Path):
        return path if setting == "study" else [path]

    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    for path, said in ((tmp_path / "gone", "does not exist"), (tmp_path / "file", "is a file")):
        with pytest.raises(FileNotFoundError, match=said):
            open_services(weights=narrow, cache=cache, **{setting: given(path)})
    with pytest.raises((ValueError, FileNotFoundError), match="holds no"):
        open_services(weights=narrow, cache=cache, **{setting: given(tmp_path / "empty")})


# Comparing -----------------------------------------------------------------------------------------------------------


def test_the_page_and_the_command_find_the_same_distance(tmp_path, narrow, cache):
    services = open_services(weights=narrow, cache=cache)
    for name, picture in (("a", _drawing("cat", 1, 300)), ("b", _drawing("rabbit", 2, 200))):
        picture.save(tmp_path / f"{name}.png")
    (expected,), _ = measure(services.loss, [Pair("x", tmp_path / "a.png", tmp_path / "b.png")])
    found = compare(services, Image.open(tmp_path / "a.png"), Image.open(tmp_path / "b.png"))
    assert found.distance == pytest.approx(expected.total, rel=1e-4)
    assert found.per_tap == pytest.approx(expected.per_tap, rel=1e-4)
    assert found.heat.mean() == pytest.approx(found.distance, rel=0.2)
    turned = compare(services, *(Image.eval(_drawing(kind, seed, 256), lambda v: 255 - v) for kind, seed in
                                 (("cat", 1), ("rabbit", 2))), invert_first=True, invert_second=True)  # fmt: skip
    plain = compare(services, _drawing("cat", 1, 256), _drawing("rabbit", 2, 256))
    assert turned.distance == pytest.approx(plain.distance, rel=1e-4)


def test_light_ink_on_a_transparent_ground_is_compared_when_turned_and_else_named(tmp_path, narrow, cache):
    services = open_services(weights=narrow, cache=cache)
    chalk = Image.new("RGBA", (256, 256), "white")
    chalk.putalpha(ImageOps.invert(_drawing("cat", 1, 256).convert("L")))
    chalk.save(tmp_path / "chalk.png")
    given = read_upload(str(tmp_path / "chalk.png"), "chalk.png", within=tmp_path, transparent=True)
    paper = _drawing("cat", 1, 256)
    assert compare(services, given, paper, invert_first=True).distance == pytest.approx(0, abs=1e-2)
    note = compare(services, paper, given).notes[0]
    assert note.startswith("The second has light ink on a transparent ground, which is lost on white paper: try “Light")
    ink = Image.new("RGBA", chalk.size, "black")
    ink.putalpha(chalk.getchannel("A"))
    note = compare(services, ink, paper, invert_first=True).notes[0]
    assert note.startswith(
        "The first has dark ink on a transparent ground, which is lost on black paper: untick “Light"
    )
    with pytest.raises(gr.Error, match=r"chalk\.png: all in it is light on a transparent ground"):
        read_upload(str(tmp_path / "chalk.png"), "chalk.png", within=tmp_path)


def test_notes_name_other_pens_dark_paper_and_nothing_drawn(tmp_path, narrow, cache):
    services = open_services(weights=narrow, cache=cache)
    cat = doodle("cat", 1, style="ink")
    thin, thick = (cat.sketch(256, line_width=width).convert("RGB") for width in (2, 6))
    (note,) = compare(services, thin, thick).notes
    assert re.search(r"differ in width \(about [12]\.\d and [567]\.\d pixels", note)
    assert not compare(services, thin, thin).notes
    assert compare(services, thin, thin).distance == 0
    dark = Image.eval(thin, lambda v: 255 - v)
    assert "The first looks light on dark" in compare(services, dark, thin).notes[0]
    assert "The second looks light on dark" in compare(services, thin, dark.crop((0, 0, 100, 256))).notes[0]
    assert compare(services, dark, thin, invert_first=True).distance == 0
    assert not compare(services, thin, dark, invert_second=True).notes
    assert compare(services, thin, Image.new("RGB", (50, 50), "white")).notes == ("One of them looks empty.",)


def test_other_weights_have_no_known_pairs(tmp_path, narrow, cache):
    services = open_services(weights=narrow, cache=cache)
    found = compare(services, _drawing("cat"), _drawing("rabbit"))
    assert services.calibration is None
    assert (found.words, found.shares) == ("", {})
    assert draw_place(found.distance, None) == ""


def test_the_place_of_a_distance_is_drawn_to_scale_and_said_in_words():
    calibration = load_calibration()
    html = draw_place(0.3, calibration)
    greatest = 1.05 * max(values[95] for values in calibration.quantiles.values())
    assert html.count(f"left:{100 * 0.3 / greatest:.2f}%") == len(KINDS)
    assert f"{calibration.shares(0.3)['same class']:.0%} are closer" in html
    assert "left:95.24%" in draw_place(99.0, calibration)


# Uploads -------------------------------------------------------------------------------------------------------------


def test_an_upload_is_read_upright_on_white(tmp_path):
    picture = Image.new("RGBA", (20, 10), (0, 0, 0, 0))
    picture.save(tmp_path / "x.png")
    assert read_upload(str(tmp_path / "x.png"), "mine.png", within=tmp_path).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("text.png", b"no picture at all", "text.png"),
        ("empty.png", b"", "empty.png"),
        ("half.png", _png(_drawing())[:300], "half.png"),
        ("drawing.svg", b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', "save it as .png"),
    ],
)
def test_a_bad_upload_is_named_with_the_visitors_name_and_no_path(tmp_path, name, data, said):
    (tmp_path / "stored").write_bytes(data)
    with pytest.raises(gr.Error, match=said) as refused:
        read_upload(str(tmp_path / "stored"), f"../../{name}", within=tmp_path)
    assert str(tmp_path) not in str(refused.value)


@pytest.mark.parametrize(
    ("kind", "data"), [("SVG", svg()), ("PDF", pdf([(9, 9, "")])), ("HEIF", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")]
)
def test_of_strangers_no_kind_is_read_that_an_extra_reads_whatever_it_is_called(tmp_path, kind, data, monkeypatch):
    monkeypatch.setattr("sketchloss.system.reading_process.ReadingProcess.read", lambda *_: pytest.fail("it was read"))
    (tmp_path / "stored").write_bytes(data)
    for transparent in (False, True):
        with pytest.raises(gr.Error, match=rf"x\.png: {kind} cannot be read here; save it as \.png"):
            read_upload(str(tmp_path / "stored"), "x.png", within=tmp_path, transparent=transparent)
    with pytest.raises(gr.Error, match=f"the drawing: {kind} cannot be read here"):
        read_canvas(PREFIX + base64.b64encode(data).decode())
    archive = _zip(tmp_path / "x.zip", {"1.png": _png(_drawing()), "2.png": data, f"3.{kind.lower()}": data})
    assert unpack_drawings(archive, tmp_path / "out") == ["1.png", "2.png"]
    assert [path.stat().st_size > 0 for path in sorted((tmp_path / "out").iterdir())] == [True, False]
    said = f"the zip archive: 1 file of a kind that cannot be read: 3.{kind.lower()}; save it as PNG"
    assert not_unpacked(archive) == [said]
    with pytest.raises(BadArchive, match=re.escape(said)):
        unpack_drawings(_zip(tmp_path / "y.zip", {f"3.{kind.lower()}": data}), tmp_path / "out2")


def test_an_upload_that_was_deleted_says_so(tmp_path):
    with pytest.raises(gr.Error, match="give it again"):
        read_upload(str(tmp_path / "gone"), "cat.png", within=tmp_path)


def test_nothing_but_uploads_is_read(tmp_path):
    (tmp_path / "uploads").mkdir()
    _drawing().save(tmp_path / "mine.png")
    (tmp_path / "uploads" / "link.png").symlink_to(tmp_path / "mine.png")
    for path in ("mine.png", "uploads/../mine.png", "uploads/link.png", "uploads"):
        with pytest.raises(gr.Error, match="no longer here"):
            read_upload(str(tmp_path / path), "cat.png", within=tmp_path / "uploads")
    with pytest.raises(gr.Error, match="no longer here"):
        read_upload(None, None, within=tmp_path)


def test_a_canvas_gives_its_drawing_or_nothing():
    drawn = read_canvas(PREFIX + base64.b64encode(_png(_drawing())).decode())
    assert drawn is not None
    assert (drawn.size, drawn.mode) == ((64, 64), "RGB")
    assert read_canvas("") is None
    assert read_canvas(None) is None
    for bad in (
        "http://example.org/x.png",
        PREFIX + "????",
        PREFIX + "é",
        PREFIX + "aGVsbG8=",
        PREFIX + "A" * 5_000_000,
    ):
        with pytest.raises(gr.Error):
            read_canvas(bad)


def test_what_a_visitor_is_told_names_no_path_of_this_computer():
    assert str(mistake("/tmp/sketchloss-x/abc/cat.png: not a picture")) == repr("cat.png: not a picture")
    assert str(mistake("image/png and 3/4 stay")) == repr("image/png and 3/4 stay")


def test_old_files_go_and_galleries_that_nobody_uses(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    private = PrivateFolder(keep_seconds=100, keep_mb=1)
    assert private.root.parent == tmp_path
    assert private.root.stat().st_mode & 0o077 == 0
    now = time.time()
    (private.root / "old").mkdir()
    for path, age in ((private.root / "old" / "a.png", 150), (private.root / "new.png", 50)):
        path.write_bytes(b"x")
        os.utime(path, (now - age, now - age))
    mine, other = (private.new_place(name) for name in ("../../mine", "other"))
    assert all(private.root in place.parents for place in (mine, other))
    for place in (mine, other):
        (place / "gallery").mkdir()
    private.sweep(now)
    assert sorted(path.name for path in private.root.rglob("*.png")) == ["new.png"]
    private.sweep(now + 200)
    assert [path.name for path in private.root.iterdir()] == ["galleries"]
    private.close("other")
    private.sweep(now + 200)
    assert other.exists()
    private.sweep(now + 400)
    assert not other.exists()
    assert mine.exists()
    private.close("../../mine")
    private.use(mine / "gallery")
    private.sweep(now + 400)
    assert mine.exists()
    private.sweep(now + 4000)
    assert not mine.exists()
    private.remove()
    assert not private.root.exists()


# Archives ------------------------------------------------------------------------------------------------------------


def test_an_archive_gives_labels_by_folder_with_or_without_one_around(tmp_path):
    data = _png(_drawing())
    names = {"cat/1.png": ["cat"], "house/2.PNG": ["house"], "house/old/3.png": ["house"], "4.png": []}
    for around in ("", "drawings/"):
        folder = tmp_path / f"out{len(around)}"
        files = {f"{around}{name}": data for name in names}
        rest = {"__MACOSX/cat/._1.png": b"x", ".hidden/5.png": data, "notes.txt": b"x"}
        assert unpack_drawings(_zip(tmp_path / "x.zip", {**files, **rest}), folder) == list(files)
        found = sorted(path.relative_to(folder).parent.as_posix() for path in folder.rglob("*") if path.is_file())
        assert found == [".", "cat", "house", "house"]


@pytest.mark.parametrize(
    "name", ["../up.png", "a/../../up.png", "/root.png", "..\\up.png", "C:/x.png", "a\\..\\..\\b.png"]
)
def test_names_that_lead_out_of_an_archive_are_refused_and_nothing_is_written(tmp_path, name):
    archive = _zip(tmp_path / "x.zip", {"fine.png": _png(_drawing()), name: _png(_drawing())})
    with pytest.raises(ValueError, match="leads out"):
        unpack_drawings(archive, tmp_path / "deep" / "down" / "out")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["x.zip"]


@pytest.mark.parametrize("folder", [" ..", ".. ", ". .", " .git", "...", ".", "\n", "x" * 300])
def test_a_label_is_one_visible_folder_below_the_given_one(tmp_path, folder):
    archive = _zip(tmp_path / "x.zip", {f"{folder}/1.png": _png(_drawing()), "cat/2.png": _png(_drawing())})
    out = tmp_path / "deep" / "out"
    out.parent.mkdir()
    unpack_drawings(archive, out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "x.zip"]
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    assert all(not path.name.startswith(".") for path in out.rglob("*"))


@pytest.mark.parametrize("kind", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_damage_of_every_kind_is_told(tmp_path, kind):
    with zipfile.ZipFile(tmp_path / "x.zip", "w", kind) as archive:
        archive.writestr("1.png", bytes(range(256)) * 40)
    whole = (tmp_path / "x.zip").read_bytes()
    for place in range(35, whole.index(b"PK\x01\x02"), 7):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        (tmp_path / "bad.zip").write_bytes(damaged)
        with suppress(BadArchive):  # nothing else comes, and whatever comes leaves nothing half done
            unpack_drawings(tmp_path / "bad.zip", tmp_path / "out")
            shutil.rmtree(tmp_path / "out")
        assert not (tmp_path / "out").exists()


def test_links_in_an_archive_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        link = zipfile.ZipInfo("link.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(ValueError, match="leads out"):
        unpack_drawings(tmp_path / "x.zip", tmp_path / "out")


def test_archives_that_unpack_to_too_much_are_refused_whatever_they_say(tmp_path, monkeypatch):
    zeros = b"\0" * (70 * 2**20)
    many = _zip(tmp_path / "many.zip", {f"{number}.png": zeros for number in range(8)})
    assert many.stat().st_size < 2**20
    with pytest.raises(ValueError, match=r"unpacks to 560 MB: 512 MB at most"):
        unpack_drawings(many, tmp_path / "out")
    with pytest.raises(ValueError, match=r"64 MB a file"):
        unpack_drawings(_zip(tmp_path / "one.zip", {"1.png": zeros}), tmp_path / "out")
    # One that lies about the size: the directory at its end says 10 bytes.
    lying = bytearray((tmp_path / "one.zip").read_bytes())
    place = lying.rindex(b"PK\x01\x02")
    lying[place + 24 : place + 28] = (10).to_bytes(4, "little")
    (tmp_path / "lying.zip").write_bytes(lying)
    with pytest.raises(ValueError, match="zip archive"):
        unpack_drawings(tmp_path / "lying.zip", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr("sketchloss.app.uploads.MOST_FILES", 1)
    two = _zip(tmp_path / "two.zip", {"1.png": b"x", "2.png": b"x"})
    with pytest.raises(ValueError, match="2 pictures: 1 at most"):
        unpack_drawings(two, tmp_path / "out")


def test_other_bad_archives_are_named(tmp_path):
    (tmp_path / "text.zip").write_text("no archive")
    (tmp_path / "half.zip").write_bytes(_zip(tmp_path / "x.zip", {"1.png": _png(_drawing())}).read_bytes()[:200])
    _zip(tmp_path / "none.zip", {"notes.txt": b"x"})
    locked = bytearray((tmp_path / "x.zip").read_bytes())
    locked[locked.rindex(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "locked.zip").write_bytes(locked)
    broken = bytearray((tmp_path / "x.zip").read_bytes())
    broken[60:90] = b"?" * 30
    (tmp_path / "broken.zip").write_bytes(broken)
    said = {"text": "cannot be read", "half": "cannot be read", "none": "no pictures", "locked": "encrypted"}
    for name, words in {**said, "broken": "cannot be read"}.items():
        with pytest.raises(ValueError, match=words) as refused:
            unpack_drawings(tmp_path / f"{name}.zip", tmp_path / "out")
        assert "\n" not in str(refused.value)
        assert not (tmp_path / "out").exists()
