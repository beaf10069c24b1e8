"""What the page's server refuses: routes, other web pages, too much. Oracles: a pretended hub, the files on disk."""

import re
import socket
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import gradio as gr
import httpx
import pytest
from gradio.routes import App
from gradio_client import handle_file
from gradio_client.exceptions import AppError

from page_client import PageClient
from sketchloss.app.guard import MOST_JSON, SERVED, Guard
from sketchloss.app.private import PrivateFolder
from sketchloss.data.doodles.kinds import doodle

#: Routes of Gradio that the page does not use. A new version's new route belongs here, or into SERVED.
NOT_SERVED = {
    "/robots.txt": "GET",
    "/pwa_icon": "GET",
    "/pwa_icon/{size}": "GET",
    "/svelte/{path}": "GET",
    "/monitoring": "GET",
    "/monitoring/summary": "GET",
    "/monitoring/{key}": "GET",
    "/gradio_api/api/{api_name}": "POST",
    "/gradio_api/component_server": "POST",
    "/gradio_api/custom_component/{id}/{environment}/{type}/{file_name}": "GET",
    "/gradio_api/deep_link": "GET",
    "/gradio_api/dev/reload": "GET",
    "/gradio_api/file/{path}": "GET",
    "/gradio_api/login_check": "GET",
    "/gradio_api/openapi.json": "GET",
    "/gradio_api/process_recording": "POST",
    "/gradio_api/proxy={url_path}": "GET HEAD",
    "/gradio_api/queue/status": "GET",
    "/gradio_api/run-history/buckets": "GET",
    "/gradio_api/run-history/connect": "POST",
    "/gradio_api/run-history/records": "GET",
    "/gradio_api/run-history/records/{endpoint}/{record_id}/assets/{asset_id}": "GET",
    "/gradio_api/runs": "GET",
    "/gradio_api/stream/{event_id}": "POST",
    "/gradio_api/stream/{event_id}/close": "POST",
    "/gradio_api/stream/{session_hash}/{run}/{component_id}/playlist-file": "GET",
    "/gradio_api/stream/{session_hash}/{run}/{component_id}/playlist.m3u8": "GET",
    "/gradio_api/stream/{session_hash}/{run}/{component_id}/{segment_id}.{ext}": "GET",
    "/gradio_api/theme.css": "GET",
    "/gradio_api/token": "GET",
    "/gradio_api/undo-vibe-edit": "POST",
    "/gradio_api/user": "GET",
    "/gradio_api/vibe-code": "GET POST",
    "/gradio_api/vibe-edit": "POST",
    "/gradio_api/vibe-starter-queries": "POST",
}
FOREIGN = [
    {"Origin": "http://attacker.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1"},
    {"Origin": "http://localhost"},
    {"Origin": "http://[x"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "none", "Origin": "http://attacker.example"},
]


@contextmanager
def _visit(url: str, **settings) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=60, trust_env=False, **settings) as client:
        yield client


def _upload(client: httpx.Client, data: bytes, **headers: str) -> httpx.Response:
    return client.post("/gradio_api/upload", files={"files": ("drawing.png", data)}, headers=headers)


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.fixture(scope="module")
def open_to_others(start_app) -> Iterator[str]:
    """Where a page is that other computers may open, with a login."""
    with start_app("--host", "0.0.0.0", SKETCHLOSS_AUTH="me:secret") as url:
        yield url


def _run(function: Callable, *arguments: object) -> Any:
    """Run an async function in a thread of its own, because Playwright keeps a loop running in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(anyio.run, function, *arguments).result(60)


def _waits_until(holds: Callable[[], bool]) -> bool:
    for _ in range(120):
        if holds():
            return True
        time.sleep(0.25)
    return False


# Nothing leaves this computer ----------------------------------------------------------------------------------------


@pytest.fixture
def hub() -> Iterator[tuple[str, list[str]]]:
    """A pretended Hugging Face hub: its address, and what was asked of it."""
    asked: list[str] = []

    class Hub(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.command} {self.path} {self.headers.get('Authorization')}")
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"[]")

        do_POST = do_HEAD = do_PUT = do_GET  # noqa: N815 (as the standard library calls them)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


def test_nothing_is_asked_of_the_hub_whatever_a_request_or_the_environment_says(start_app, hub, tmp_path):
    address, asked = hub
    (tmp_path / "token").write_text("hf_pretended")
    doodle("cat", 1).sketch(64).save(tmp_path / "cat.png")
    environment = {
        "HF_ENDPOINT": address, "HF_TOKEN": "hf_pretended", "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0",
        "GRADIO_RUN_HISTORY": "True", "GRADIO_HISTORY_BUCKET": "a/b", "GRADIO_ANALYTICS_ENABLED": "True",
        "GRADIO_SHARE": "True", "GRADIO_VIBE_MODE": "1", "GRADIO_PROFILING": "1",
    }  # fmt: skip
    with start_app(**environment) as url:
        bucket = {"x-gradio-history-bucket": "a/b"}
        with _visit(url, headers=bucket) as client:
            for route, methods in NOT_SERVED.items():
                for method in methods.split():
                    answer = client.request(
                        method,
                        re.sub(r"{\w+}", "a1", route),
                        params={"bucket": "a/b"},
                        json={"bucket_id": "a/b", "prompt": "x", "code": "x"} if method == "POST" else None,
                    )
                    assert answer.status_code == 404, route
            for sent in (f"proxy={address}/x", f"file={address}/x", "file=https://huggingface.co/x"):
                assert client.get(f"/gradio_api/{sent}").status_code == 404
        program = PageClient(url, headers=bucket)
        cat = handle_file(tmp_path / "cat.png")
        report, _ = program.predict(first=cat, second=cat, api_name="/compare")
        assert report["distance"] == 0
        for _ in range(12):  # a run is recorded after its answer
            time.sleep(0.25)
            assert not asked
    assert not asked


# Routes --------------------------------------------------------------------------------------------------------------


def test_every_route_of_gradio_is_served_or_known_not_to_be():
    async def registered() -> dict[str, dict]:
        with gr.Blocks() as page:
            gr.Textbox()
        return App.create_app(page).openapi()["paths"]

    found = {(method.upper(), path) for path, methods in _run(registered).items() for method in methods}
    served = {(method, path.replace(":path}", "}")) for path, methods in SERVED.items() for method in methods.split()}
    known = served | {(method, path) for path, methods in NOT_SERVED.items() for method in methods.split()}
    twins = {(method, f"{path}/") for method, path in known}  # Gradio has many a route with and without
    assert found <= known | twins, f"neither in SERVED nor in NOT_SERVED: {found - known - twins}"
    assert known <= found, f"not there any more: {known - found}"
    assert not served & {(method, path) for path, methods in NOT_SERVED.items() for method in methods.split()}


def test_what_the_page_does_not_use_is_not_there(app_url):
    with _visit(app_url) as client:
        for path, methods in NOT_SERVED.items():
            for method in methods.split():
                for twin in (path, f"{path}/"):
                    assert client.request(method, twin).status_code == 404, (method, twin)
        for path in ("/openapi.json", "/docs", "/gradio_api/mcp/sse", "/gradio_api//upload"):
            assert client.get(path).status_code == 404, path
        for method in ("PUT", "PATCH", "DELETE", "OPTIONS"):
            assert client.request(method, "/config").status_code == 404


def test_a_browser_is_told_to_ask_nobody_else(app_url):
    with _visit(app_url) as client:
        for place in ("/", "/config", "/nowhere", "/gradio_api/file=/etc/passwd"):
            answer = client.get(place)
            policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
            assert policy["default-src"] == "'self'"
            assert policy["frame-ancestors"] == "'self'"
            own = {"'self'", "'none'", "'unsafe-inline'", "'unsafe-eval'", "data:", "blob:"}
            assert {source for sources in policy.values() for source in sources.split()} <= own
            assert answer.headers["x-content-type-options"] == "nosniff"


def test_no_websocket_is_opened(app_url):
    place = urlsplit(app_url)
    assert place.port is not None
    with socket.create_connection(("127.0.0.1", place.port), timeout=30) as connection:
        connection.sendall(
            f"GET /gradio_api/queue/join HTTP/1.1\r\nHost: {place.netloc}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        assert connection.recv(12).split()[1] in (b"403", b"404")


# Other web pages -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_another_web_page_can_do_nothing(small_app, headers):
    url, place = small_app
    with _visit(url) as client:
        before = _files(place)
        assert _upload(client, b"x" * 1000, **headers).status_code == 403
        for path, methods in SERVED.items():
            for method in methods.split():
                status = client.request(method, path, headers=headers).status_code
                assert status == 403, (method, path, status)
        assert _files(place) == before


def test_a_link_from_elsewhere_opens_the_page_but_no_frame_does(app_url):
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    with _visit(app_url) as client:
        assert client.get("/", headers=link).status_code == 200
        assert client.get("/?view=api", headers=link).status_code == 200
        assert client.get("/config", headers=link).status_code == 403
        assert client.get("/", headers={**link, "Sec-Fetch-Dest": "iframe"}).status_code == 403


def test_the_page_itself_and_programs_are_answered(app_url):
    own = app_url.rstrip("/")
    port = urlsplit(app_url).port
    with _visit(app_url) as client:
        for headers in (
            {},
            {"Origin": own},
            {"Origin": f"http://localhost:{port}", "Host": f"localhost:{port}"},
            {"Origin": own, "Sec-Fetch-Site": "same-origin"},
            {"Origin": "https://behind.example", "Sec-Fetch-Site": "same-origin"},  # a proxy that renames the host
            {"Sec-Fetch-Site": "none"},
        ):
            assert _upload(client, b"x", **headers).status_code == 200, headers


def test_on_other_hosts_the_origin_is_that_of_the_address_in_the_browser(open_to_others):
    login = {"username": "me", "password": "secret"}
    with _visit(open_to_others) as client:
        port = urlsplit(open_to_others).port
        host = {"Host": f"192.168.7.7:{port}"}
        for origin in ("http://attacker.example", "null", "http://192.168.7.8:1", f"http://127.0.0.1:{port}"):
            assert client.post("/login", data=login, headers={**host, "Origin": origin}).status_code == 403
        for headers in (host, {**host, "Origin": f"http://192.168.7.7:{port}"}):
            assert client.post("/login", data=login, headers=headers).status_code == 200
            assert client.get("/config", headers=headers).status_code == 200


def test_a_login_is_asked_for(open_to_others):
    with _visit(open_to_others) as client:
        assert client.get("/config").status_code == 401
        assert client.post("/gradio_api/call/galleries", json={"data": []}).status_code == 401
    with pytest.raises(Exception, match=r"401|credentials|[Ll]ogin|[Aa]uth"):
        PageClient(open_to_others, auth=("me", "wrong"))
    assert PageClient(open_to_others, auth=("me", "secret")).predict(api_name="/galleries")


def test_who_comes_from_elsewhere_reads_no_path_of_this_computer(open_to_others, tmp_path):
    doodle("cat", 1).sketch(64).save(tmp_path / "cat.png")
    visitor = PageClient(open_to_others, auth=("me", "secret"))
    matches, _ = visitor.predict(handle_file(tmp_path / "cat.png"), "doodles", 5, api_name="/search")
    assert [match["file_path"] for match in matches] == [f"{match['label']}/{match['name']}" for match in matches]


# Too much ------------------------------------------------------------------------------------------------------------


def _pieces(count: int) -> Iterator[bytes]:
    """A body of so many mebibytes whose length no header says."""
    for _ in range(count):
        yield b" " * 2**20


def test_a_large_body_is_refused_whatever_its_header_says(small_app):
    url, place = small_app
    with _visit(url) as client:
        kind = {"Content-Type": "application/json"}
        for path in ("queue/join", "run/predict", "call/compare", "call/v2/compare", "cancel", "reset"):
            for body in (_pieces(MOST_JSON // 2**20 + 1), b" " * (MOST_JSON + 1)):
                assert client.post(f"/gradio_api/{path}", content=body, headers=kind).status_code == 413, path
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        assert client.post("/login", content=_pieces(10), headers=kind).status_code in (400, 413)
        assert _upload(client, bytes(2 * 2**20)).status_code == 200
        before = _files(place)
        parts = {f"files{n}": ("x", bytes(2**20)) for n in range(3)}  # none is too large alone
        answer = client.post("/gradio_api/upload", files=parts)
        assert (answer.status_code, answer.text) == (
            413,
            "larger than 2 MB: make it smaller, or start with a larger --upload-mb",
        )
        kind = {"Content-Type": "multipart/form-data; boundary=x"}
        body = chain([b'--x\r\nContent-Disposition: form-data; name="files"; filename="x"\r\n\r\n'], _pieces(10))
        assert client.post("/gradio_api/upload", content=body, headers=kind).status_code == 413
        assert _files(place) == before


def test_of_an_endless_body_no_more_is_taken_than_is_allowed():
    taken, said = 0, []

    async def app(scope, receive, send):
        kept = []  # as FastAPI does
        while (message := await receive())["type"] == "http.request":
            kept.append(message["body"])

    async def receive():
        nonlocal taken
        taken += 2**16
        assert taken < 400 * 2**20
        return {"type": "http.request", "body": bytes(2**16), "more_body": True}

    async def send(message):
        said.append(message)

    private = PrivateFolder(60, 1000)
    guard = Guard(app, private=private, upload_mb=40)
    scope = {"type": "http", "method": "POST", "path": "/gradio_api/queue/join", "headers": [(b"host", b"x")]}
    _run(guard, scope, receive, send)
    assert said[0]["status"] == 413
    assert taken <= MOST_JSON + 2**16
    private.remove()


@pytest.mark.parametrize("begins", [False, True])
def test_a_request_that_gradio_cannot_read_is_no_error_of_the_server(begins, capsys):
    said = []

    async def app(scope, receive, send):
        if begins:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        raise TypeError("Parameter `data` is not valid:\nsecret")

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        said.append(message)

    private = PrivateFolder(60, 1000)
    guard = Guard(app, private=private, upload_mb=40)
    scope = {"type": "http", "method": "POST", "path": "/gradio_api/call/v2/search", "headers": [(b"host", b"x")]}
    if begins:  # then it is too late for another answer
        with pytest.raises(TypeError, match="is not valid"):
            _run(guard, scope, receive, send)
    else:
        _run(guard, scope, receive, send)
        assert said[0]["status"] == 400
        assert said[1]["body"].startswith(b'this request cannot be read: "Use via API"')
        assert capsys.readouterr().err == "refused a request that cannot be read (TypeError)\n"
    private.remove()


def test_gradio_itself_raises_for_a_body_of_another_shape(app_url):
    with _visit(app_url) as client:
        for name in ("search", "galleries"):
            answer = client.post(f"/gradio_api/call/v2/{name}", json={"data": [1, 2, 3]})
            assert answer.status_code == 400, answer.text


def test_an_upload_that_breaks_off_leaves_nothing(small_app):
    url, place = small_app
    before, address = _files(place), urlsplit(url)
    assert address.port is not None
    with socket.create_connection(("127.0.0.1", address.port), timeout=30) as connection:
        connection.sendall(
            f"POST /gradio_api/upload HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: 1900000\r\n"
            "Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n"
            'Content-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'.encode()
            + bytes(10**6)
        )
        assert _waits_until(lambda: _files(place) != before)
    assert _waits_until(lambda: _files(place) == before)


def test_no_more_is_kept_than_said_and_uploads_are_taken_again_afterwards(small_app, tmp_path):
    url, place = small_app
    with zipfile.ZipFile(tmp_path / "mine.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            archive.writestr(f"{number}.png", bytes(2**20))
    with _visit(url) as client:

        def give(number: int) -> tuple[int, str]:
            answer = _upload(client, bytes([number]) * 1_300_000)
            return answer.status_code, answer.text if answer.is_error else ""

        assert [give(number) for number in range(2)] == [(200, "")] * 2
        program = PageClient(url)
        with pytest.raises(AppError, match="unpacks to 3 MB: 1 MB at most at the moment"):
            program.predict(handle_file(tmp_path / "mine.zip"), api_name="/build_gallery")
        with ThreadPoolExecutor(8) as visitors:  # who come at once get no more either
            answers = list(visitors.map(give, range(2, 10)))
        full = (507, "4 MB of uploads are kept already: try again in a few minutes, or start with a larger --keep-mb")
        assert answers.count(full) >= 7
        assert set(answers) <= {full, (200, "")}
        assert sum(path.stat().st_size for path in _files(place)) <= 4 * 2**20 + 8 * 2**16
        for path in _files(place):
            path.unlink()
        assert give(11) == (200, "")
