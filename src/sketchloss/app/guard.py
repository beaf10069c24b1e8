"""Guard of the page's server: it answers only its own pages and programs, on known routes, with bodies of limited size.

Gradio serves much more: a run history that talks to a hub, recordings, a proxy, an editor. What is not listed here is
not found, and that holds for whatever a new version of Gradio brings.
"""

import sys
from contextlib import suppress

from anyio.to_thread import run_sync
from starlette.datastructures import Headers, MutableHeaders
from starlette.formparsers import MultiPartException
from starlette.responses import PlainTextResponse, Response
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from sketchloss.app.private import PrivateFolder

API = "/gradio_api"
UPLOAD = f"{API}/upload"
#: Path -> methods that are served.
SERVED = {
    "/": "GET HEAD",
    "/config": "GET",
    "/login": "POST",
    "/logout": "GET",
    "/assets/{path:path}": "GET",
    "/static/{path:path}": "GET",
    "/theme.css": "GET",
    "/favicon.ico": "GET",
    "/manifest.json": "GET",
    f"{API}/app_id": "GET",
    f"{API}/info": "GET",
    f"{API}/startup-events": "GET",
    f"{API}/heartbeat/{{session_hash}}": "GET",
    f"{API}/file={{path_or_url:path}}": "GET HEAD",
    UPLOAD: "POST",
    f"{API}/upload_progress": "GET",
    f"{API}/queue/join": "POST",
    f"{API}/queue/data": "GET",
    f"{API}/run/{{api_name}}": "POST",
    f"{API}/call/{{api_name}}": "POST",
    f"{API}/call/{{api_name}}/{{event_id}}": "GET",
    f"{API}/call/v2/{{api_name}}": "POST",
    f"{API}/call/v2/{{api_name}}/{{event_id}}": "GET",
    f"{API}/cancel": "POST",
    f"{API}/reset": "POST",
}
#: Bytes of a body that is no upload. A drawn picture, the largest thing in one, has a mebibyte at most.
MOST_JSON = 4 * 2**20
#: Bytes of an upload that are not the file: names and boundaries.
AROUND_A_FILE = 2**16
#: What a browser is told of every answer: nothing comes from other addresses, whatever the text of a page says, and the
#: page stands in no other page's frame. Gradio's own page has scripts and styles within it.
HEADERS = {
    "content-security-policy": "; ".join(
        (
            "default-src 'self'",
            "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
            "style-src 'self' 'unsafe-inline'",
            "connect-src 'self' data: blob:",
            "img-src 'self' data: blob:",
            "media-src 'self' data: blob:",
            "font-src 'self' data:",
            "worker-src 'self' blob:",
            "object-src 'none'",
            "base-uri 'self'",
            "form-action 'self'",
            "frame-ancestors 'self'",
        )
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
}
_PATTERNS = [(compile_path(path)[0], methods.split()) for path, methods in SERVED.items()]


class Guard:
    """ASGI middleware that refuses requests that the page does not need.

    Args:
        app: what answers the rest.
        private: where uploads are kept.
        upload_mb: mebibytes of the largest upload.
    """

    def __init__(self, app: ASGIApp, *, private: PrivateFolder, upload_mb: int) -> None:
        self.app = app
        self.private = private
        self.upload_mb = upload_mb

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        begun = False

        async def send_with_headers(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        try:
            await self._answer(scope, receive, send_with_headers)
        except Exception as error:
            # Gradio takes what it cannot read in a request for an error of the server. What a function of the page
            # raises does not come here: that is an answer.
            if begun or scope["type"] != "http":
                raise
            sys.stderr.write(f"refused a request that cannot be read ({type(error).__name__})\n")
            text = 'this request cannot be read: "Use via API" at the foot of the page says how to ask'
            await PlainTextResponse(text, 400)(scope, receive, send_with_headers)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] != "http":
            await WebSocketClose()(scope, receive, send)
        elif not _is_served(scope["method"], scope["path"]):
            await PlainTextResponse("not found", 404)(scope, receive, send)
        elif _is_foreign(scope):
            await PlainTextResponse("another web page asked for this: open the page itself", 403)(scope, receive, send)
        elif scope["method"] == "POST":
            await self._answer_counting(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _answer_counting(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the app answer, and count the body as it comes: what a header says of its length is not believed."""
        received = 0
        refusal: Response | None = None

        async def receive_counted() -> Message:
            nonlocal received, refusal
            message = await receive()
            coming = len(message.get("body", b""))
            received += coming
            refusal = refusal or await self._refuse(scope["path"], received, coming)
            if refusal or message["type"] == "http.disconnect":
                # note: of this kind, because Gradio then deletes what it has written so far
                raise MultiPartException("this body is not read to its end")
            return message

        async def send_unless_refused(message: Message) -> None:
            if refusal is None:
                await send(message)

        with suppress(MultiPartException):
            await self.app(scope, receive_counted, send_unless_refused)
        if refusal is not None:
            await refusal(scope, receive, send)

    async def _refuse(self, path: str, received: int, coming: int) -> Response | None:
        if path != UPLOAD:
            return _too_large(f"larger than {MOST_JSON // 2**20} MB") if received > MOST_JSON else None
        if received > self.upload_mb * 2**20 + AROUND_A_FILE:
            return _too_large(f"larger than {self.upload_mb} MB: make it smaller, or start with a larger --upload-mb")
        if not await run_sync(self.private.take, coming):
            kept = f"{self.private.keep_mb:,} MB of uploads are kept already"
            return PlainTextResponse(f"{kept}: try again in a few minutes, or start with a larger --keep-mb", 507)
        return None


def _too_large(text: str) -> Response:
    return PlainTextResponse(text, 413)


def _is_served(method: str, path: str) -> bool:
    # note: Gradio would fetch a file that is named by its address
    return "://" not in path and any(method in methods and pattern.match(path) for pattern, methods in _PATTERNS)


def _is_foreign(scope: Scope) -> bool:
    """Tell whether another web page makes this request.

    The rules are those of Go's `net/http.CrossOriginProtection`, and hold for reading too. Programs send neither
    header. A link from elsewhere opens the page, but not in a frame.
    """
    headers = Headers(scope=scope)
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site == "same-origin":
        return False
    if site in (None, "none"):  # an old browser, or an address that is neither encrypted nor this computer's
        return origin is not None and origin.partition("://")[2] != headers.get("host")
    opened = scope["method"] == "GET" and scope["path"] == "/" and origin is None
    return not (opened and headers.get("sec-fetch-dest") == "document")
