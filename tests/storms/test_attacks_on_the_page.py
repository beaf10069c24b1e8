"""Requests that mean harm, to every route of the page. No error of the server, no path in an answer, no growth."""

import json
import re
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
from gradio_client import handle_file

from page_client import PageClient
from sketchloss.app.guard import SERVED
from sketchloss.data.doodles.kinds import doodle

#: MB of memory that the server may have more at the end, and of files in its folder.
MOST_MEMORY, MOST_FILES = 600, 64
#: Who attack at once. Most of the time goes by in waiting: for the rest of a request that never comes, say.
ATTACKERS = 32
#: What an answer must not hold: that there was an error in the program, or where it lies on this computer.
TOLD = re.compile(rb"Traceback|site-packages|/usr/lib|/root/|/home/|/src/sketchloss/")
METHODS = ("GET", "POST", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "get", "X" * 300)
PATHS = (
    *("/", "//", "/..", "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/assets/../../../../etc/passwd"),
    *("/assets/%2e%2e%2f%2e%2e%2fetc/passwd", "/static/..%5c..%5cetc", "/static/%00", "/config%00", "/%ff%fe"),
    *("/gradio_api/file=/etc/passwd", "/gradio_api/file=../../../etc/passwd", "/gradio_api/file=%2fetc%2fpasswd"),
    *("/gradio_api/file=%00", "/gradio_api/file=", "/gradio_api/file=/proc/self/environ", "/%c0%ae%c0%ae/etc"),
    *("/gradio_api/file=http://127.0.0.1:9/", "/gradio_api/file=file:///etc/passwd", "/gradio_api/file=\\\\host\\x"),
    *("/gradio_api/call/compare/..%2f..", "/gradio_api/heartbeat/%0d%0aX:%20y", "/gradio_api/file=" + "a" * 5000),
    *("/gradio_api/queue/data?session_hash=" + "%00" * 50, "/gradio_api/upload_progress?upload_id=../../x"),
    *("/gradio_api/call/" + "x" * 3000, "/?" + "a=b&" * 3000),
)  # fmt: skip
HEADERS: tuple[dict[str, str], ...] = (
    {},
    {"Origin": "http://attacker.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Host": "attacker.example"},
    {"Host": ""},
    {"X-Forwarded-Host": "attacker.example", "X-Forwarded-Proto": "https"},
    {"X-Forwarded-For": "' OR 1=1", "Forwarded": "for=x"},
    {"X-Gradio-User": "admin", "X-Gradio-Target": "../..", "x-gradio-history-bucket": "a/b"},
    {"Cookie": "access-token=x; access-token-unsecure=" + "y" * 4000},
    {"Authorization": "Bearer " + "A" * 4000},
    {"Accept-Encoding": "br;q=x, *;q=-1", "Accept-Language": "\x80\xff"},
    {"Range": "bytes=-1,0-,9999999999999-"},
    {"Content-Length": "-1"},
    {"Content-Length": "99999999999999999999"},
    {"Transfer-Encoding": "chunked, identity"},
    {"Content-Type": "multipart/form-data; boundary=" + "-" * 500},
    {"Content-Type": "application/json; charset=utf-7"},
    {"Upgrade": "websocket", "Connection": "Upgrade"},
    {"Expect": "100-continue"},
)
FILE = {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}
BODIES: tuple[bytes, ...] = (
    *(b"", b"{}", b"[]", b"null", b"1", b'"x"', b"{", b"\x00" * 100, b"\xff\xfe", b"a=b&" * 1000),
    *(b"[" * 100_000, b'{"data":' * 50_000, b'{"data": ' + b"9" * 5000 + b"}", b'{"data": 1e999}', b'{"data": NaN}'),
    b'{"data": "\\ud800"}',
    b'{"data": [1, 2, 3], "fn_index": 99999999999999999999, "session_hash": "x"}',
    b'{"data": [], "fn_index": -1, "session_hash": ["x"]}',
    b'{"data": {"a": 1}, "event_id": {}, "session_hash": "\\u0000", "trigger_id": "x", "batched": true}',
    *(
        json.dumps({"data": data, "session_hash": "s", "fn_index": index}).encode()
        for data in ([], [None] * 50, [FILE] * 4, [{"path": "a\x00b"}], ["x" * 10**6], [[[]]])
        for index in (0, 1, 2, 5, 9)
    ),
    *(json.dumps({"data": data}).encode() for data in ([FILE, FILE, False, False], [{"url": "http://127.0.0.1:9/x"}])),
    json.dumps({"data": [{"path": "x", "meta": {"_type": "gradio.FileData"}, "is_stream": True}] * 4}).encode(),
    json.dumps({"event_id": "../../x", "fn_index": 0, "session_hash": "<script>alert(1)</script>"}).encode(),
    b"--x\r\nContent-Disposition: form-data; name=\"files\"; filename=\"../../../tmp/x\"\r\n\r\nx\r\n--x--\r\n",
    b" " * (5 * 2**20),
)  # fmt: skip
NAMES = (
    *("../../../x.png", "/etc/x.png", "..\\..\\x.png", "C:\\x.png", "x\x00.png", "a\nb.png", "\U0001f600.png"),
    *("<img src=x onerror=alert(1)>.png", "x" * 3000 + ".png", ".png", "..", ".", "", "con", "-rf", "x.html"),
    *("x.png/../../y", "%2e%2e%2fx.png"),
)  # fmt: skip


@pytest.fixture(scope="module")
def page(start_app, tmp_path_factory) -> Iterator[tuple[str, Path, psutil.Process]]:
    """A server with little room: its address, its temporary folder, its process."""
    place = tmp_path_factory.mktemp("temporary")
    with start_app("--upload-mb", "2", "--keep-mb", "48", TMPDIR=str(place)) as url:
        port = str(urlsplit(url).port)
        children = psutil.Process().children(recursive=True)
        running = [child for child in children if child.status() != psutil.STATUS_ZOMBIE]
        (process,) = (child for child in running if port in child.cmdline())
        yield url, place, process


def raw(url: str, request: bytes) -> bytes:
    """Send bytes that need be no request; return the answer's beginning."""
    place = urlsplit(url)
    assert place.port is not None
    with socket.create_connection(("127.0.0.1", place.port), timeout=10) as connection:
        with suppress(OSError):  # it may have hung up already
            connection.sendall(request)
        answer = b""
        with suppress(OSError):
            while len(answer) < 2**16 and (part := connection.recv(2**16)):
                answer += part
                connection.settimeout(2)  # a stream of events has no end
    return answer


def request(
    random: Random, url: str, *, path: str | None = None, method: str | None = None, body: bytes = b""
) -> bytes:
    """Write a request by hand, so that no library mends it."""
    headers = {"Host": urlsplit(url).netloc, "Connection": "close"} | random.choice(HEADERS)
    if body:
        kind = random.choice(("application/json", "application/json", "multipart/form-data; boundary=x", "text/html"))
        headers = {"Content-Type": kind, "Content-Length": str(len(body))} | headers
    lines = [f"{method or random.choice(METHODS)} {path or random.choice(PATHS)} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + body


def route(random: Random) -> str:
    odd = ("x", "compare", "search", "stylize", "galleries", "build_gallery", "..", "%00", "0", "a" * 2000, "%7b%7d")
    return re.sub(r"{[^}]*}", lambda _: random.choice(odd), random.choice(list(SERVED)))


def a_path(random: Random, url: str) -> bytes:
    return raw(url, request(random, url))


def a_route(random: Random, url: str) -> bytes:
    return raw(url, request(random, url, path=route(random)))


def a_body(random: Random, url: str) -> bytes:
    posted = [path for path, methods in SERVED.items() if "POST" in methods]
    names = ("compare", "search", "drawing", "stylize", "build_gallery", "galleries", "predict", "x")
    path = re.sub(r"{[^}]*}", lambda _: random.choice(names), random.choice(posted))
    return raw(url, request(random, url, path=path, method="POST", body=random.choice(BODIES)))


def no_request(random: Random, url: str) -> bytes:
    junk = (
        *(b"", b"\r\n" * 100, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET /", b"GET / HTTP/9.9\r\n\r\n"),
        *(b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 3000 + b"\r\n", b"POST /gradio_api/upload HTTP/1.1\r\nHost: x\r\n\r\n"),
        b"POST /gradio_api/queue/join HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n",
        b"POST /config HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        *(random.randbytes(random.choice((10, 1000, 100_000))), b"GET " + b"/" * 100_000 + b" HTTP/1.1\r\n\r\n"),
    )
    return raw(url, random.choice(junk))


def an_upload(random: Random, url: str) -> bytes:
    data = random.choice((b"", b"x", b"<script>alert(1)</script>", random.randbytes(2**16), b"\x89PNG\r\n\x1a\n" * 50))
    name = random.choice(NAMES)
    field = random.choice(("files", "files", "file", "", "files[]"))
    head = f'Content-Disposition: form-data; name="{field}"; filename="{name}"\r\nContent-Type: image/png\r\n\r\n'
    body = b"--x\r\n" + head.encode() + data + random.choice((b"\r\n--x--\r\n", b"", b"\r\n--y--"))
    head = f"POST /gradio_api/upload HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\nConnection: close\r\n"
    return raw(
        url,
        f"{head}Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body,
    )


def an_event(random: Random, url: str) -> bytes:
    """Upload a file that is no picture, give it to a program of the page, and read what the program says."""
    with httpx.Client(base_url=url, timeout=120, trust_env=False) as client:
        data = random.choice(
            (b"", b"GIF89a", b"P6 99999 99999 255\n", b"%!PS", random.randbytes(5000), b"PK\x03\x04" * 9)
        )
        uploaded = client.post("/gradio_api/upload", files={"files": ("cat.png", data)})
        if uploaded.status_code != 200:
            return uploaded.content
        file = {"path": uploaded.json()[0], "meta": {"_type": "gradio.FileData"}}
        name = random.choice(("compare", "search", "stylize", "build_gallery"))
        given: list = [file, *random.choice(([], [file], [file, "x" * 5000, -1], [[[]], {}], [None, 1e9, True, "l9"]))]
        began = client.post(f"/gradio_api/call/{name}", json={"data": given})
        if began.status_code != 200:
            return began.content if began.status_code < 500 else b"HTTP/1.1 %d " % began.status_code + began.content
        with client.stream("GET", f"/gradio_api/call/{name}/{began.json()['event_id']}") as events:
            return b"".join(part for part in events.iter_bytes())


ATTACKS: dict[str, Callable[[Random, str], bytes]] = {
    attack.__name__: attack for attack in (a_path, a_route, a_body, no_request, an_upload, an_event)
}


def status(answer: bytes) -> int:
    """Return the status of an answer; 0 if there is none."""
    found = re.match(rb"HTTP/1\.\d (\d{3})", answer)
    return int(found[1]) if found else 0


def is_refusal(answer: bytes) -> bool:
    """Tell whether an answer refuses; of an upload that was taken, Gradio tells the browser the place."""
    return status(answer) >= 400 or b"event: error" in answer


def test_attacks_on_the_page(storm, page, tmp_path):
    url, place, process = page
    doodle("cat", 1).sketch(64).save(tmp_path / "cat.png")
    program = PageClient(url)
    cat = handle_file(tmp_path / "cat.png")
    program.predict(cat, cat, api_name="/compare")  # what is loaded then is no growth
    memory = process.memory_info().rss

    def attack(kind: str, case: str, random: Random) -> tuple[str, bytes | None]:
        try:
            return case, ATTACKS[kind](random, url)
        except (TimeoutError, httpx.TimeoutException):
            return case, None

    with ThreadPoolExecutor(ATTACKERS) as attackers:
        answers = list(attackers.map(lambda found: attack(*found), storm.cases(ATTACKS, small=60, full=1500)))
    for case, answer in answers:
        if answer is None:
            storm.lose(case, "no answer for a minute")
            continue
        code = status(answer)
        # 507: no room for more uploads, as it should be. 500 with an error in JSON is how Gradio's /run says that a
        # function refused what it was given.
        if code >= 500 and code != 507 and not (code == 500 and b'"error":' in answer):
            storm.lose(case, answer[:300])
        elif (found := TOLD.search(answer)) or (str(place).encode() in answer and is_refusal(answer)):
            storm.lose(case, f"an answer tells too much: {found and found[0]}: {answer[:600]!r}")
        elif b"root:" in answer:
            storm.lose(case, "a file of this computer")
        else:
            storm.note({0: "without an answer or read to the end", 2: "answered"}.get(code // 100, "refused"))
    report, _ = program.predict(cat, cat, api_name="/compare")
    if report["distance"] != 0:
        storm.lose("afterwards", f"a drawing is {report['distance']} from itself")
    grown = (process.memory_info().rss - memory) // 2**20
    if grown > MOST_MEMORY:
        storm.lose("afterwards", f"{grown:,} MB of memory more")
    kept = sum(path.stat().st_size for path in place.rglob("*") if path.is_file()) // 2**20
    if kept > MOST_FILES:
        storm.lose("afterwards", f"{kept:,} MB of files")
    storm.end()
