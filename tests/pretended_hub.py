"""A Hugging Face hub on this machine: as much of its protocol as its own client needs to fetch and to push files."""

import json
import re
import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

SHA = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_pretended"


@dataclass
class PretendedHub:
    """What the hub holds, and what was asked of it."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    """`/owner/name/resolve/main/FILE` -> content."""
    made: dict[str, bool] = field(default_factory=dict)
    """Repo that was made -> whether it is private."""
    branches: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)
    """What each request had as `Authorization`."""

    def put(self, repo: str, folder: Path, revision: str = "main") -> None:
        """Give a repo all files of a folder."""
        for path in folder.iterdir():
            self.files[f"/{repo}/resolve/{revision}/{path.name}"] = path.read_bytes()

    def environment(self, home: Path) -> dict[str, str]:
        """Return what makes a process ask this hub, with an empty cache in `home`."""
        quiet = {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        return {"HF_ENDPOINT": self.url, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0", **quiet}


@contextmanager
def pretended_hub() -> Iterator[PretendedHub]:
    """Run a hub while the block lasts. A repo whose owner is `private` is not found without the token."""
    hub = PretendedHub()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._note()
            if self.path.startswith("/private/") and self.headers.get("Authorization") != f"Bearer {TOKEN}":
                return self._answer(401, {"X-Error-Code": "RepoNotFound"})
            body = hub.files.get(self.path)
            if body is None:
                return self._answer(404, {"X-Error-Code": "EntryNotFound"})
            headers = {"ETag": f'"{abs(hash(body))}"', "X-Repo-Commit": SHA, "Content-Length": str(len(body))}
            return self._answer(200, headers)

        def do_GET(self) -> None:
            self.do_HEAD()
            if self.path in hub.files:
                self.wfile.write(hub.files[self.path])

        def do_POST(self) -> None:
            self._note()
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.path == "/api/validate-yaml":
                return self._say({"errors": [], "warnings": []})
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                return self._say({"error": "Invalid username or password."}, 401)
            if self.path == "/api/repos/create":
                asked = json.loads(body)
                repo = f"{asked['organization']}/{asked['name']}"
                new = repo not in hub.made
                # older clients say `private`
                hub.made.setdefault(repo, asked.get("visibility") == "private" or bool(asked.get("private")))
                return self._say({"url": f"{hub.url}/{repo}"}, 200 if new else 409)
            found = re.fullmatch(r"/api/models/([^/]+/[^/]+)/(branch|preupload|commit)/([^/]+)", self.path)
            assert found, self.path
            repo, action, revision = found.groups()
            if action == "branch":
                hub.branches.append(revision)
                return self._say({})
            if action == "preupload":
                paths = [file["path"] for file in json.loads(body)["files"]]
                return self._say(
                    {"files": [{"path": path, "uploadMode": "regular", "shouldIgnore": False} for path in paths]}
                )
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    place = f"/{repo}/resolve/{revision}/{line['value']['path']}"
                    hub.files[place] = b64decode(line["value"]["content"])
            return self._say({"commitUrl": f"{hub.url}/{repo}/commit/{SHA}", "commitOid": SHA, "success": True})

        def _note(self) -> None:
            hub.asked.append(self.path)
            hub.tokens.append(self.headers.get("Authorization"))

        def _say(self, answer: dict[str, Any], status: int = 200) -> None:
            body = json.dumps(answer).encode()
            self._answer(status, {"Content-Type": "application/json", "Content-Length": str(len(body))})
            self.wfile.write(body)

        def _answer(self, status: int, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
