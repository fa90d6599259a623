"""One user of the hub, as a browser is one: a session of HTTP, and a kernel's socket."""

import json
import time
from typing import Any
from urllib.parse import quote

import requests
from tornado.httpclient import HTTPRequest
from tornado.ioloop import IOLoop
from tornado.websocket import websocket_connect

PATIENCE = 120.0
"""Seconds after which what is waited for is not going to happen."""


class User:
    """Logged in at the hub at ``url``."""

    def __init__(self, url: str, name: str, password: str) -> None:
        self.url, self.name = url, name
        self.home = f"{url}/user/{name}"
        self.http = requests.Session()
        self.http.get(f"{url}/hub/login").raise_for_status()
        given = {"username": name, "password": password, "_xsrf": self._token("/hub/")}
        said = self.http.post(f"{url}/hub/login?next=/hub/home", data=given)
        if not said.ok or not said.url.endswith("/hub/home"):
            raise SystemExit(f"{name} cannot log in: {said.status_code} {said.url}")

    def _token(self, path: str) -> str:
        """What a form must bring along, of the hub's or of the user's own server."""
        mine = [one for one in self.http.cookies if one.name == "_xsrf" and one.path == path]
        return mine[0].value or "" if mine else ""

    def _said(self, said: requests.Response) -> Any:
        if not said.ok:
            raise SystemExit(f"{self.name}: {said.request.method} {said.url}: {said.text[:300]}")
        return said.json() if said.content else None

    def _hub(self, how: str, what: str) -> Any:
        headers = {"X-XSRFToken": self._token("/hub/"), "Referer": f"{self.url}/hub/home"}
        return self._said(self.http.request(how, f"{self.url}/hub/api{what}", headers=headers))

    def start(self) -> float:
        """Start the user's server; seconds until it answers."""
        began = time.monotonic()
        self._hub("POST", f"/users/{self.name}/server")
        while (
            not self._hub("GET", f"/users/{self.name}").get("servers", {}).get("", {}).get("ready")
        ):
            if time.monotonic() > began + PATIENCE:
                raise SystemExit(f"{self.name}: no server after {PATIENCE:.0f} s")
            time.sleep(0.05)
        self.http.get(f"{self.home}/lab").raise_for_status()  # and through the hub's own door
        return time.monotonic() - began

    def stop(self) -> None:
        """End the user's server."""
        self._hub("DELETE", f"/users/{self.name}/server")

    def ask(self, what: str, how: str = "GET", **given: Any) -> Any:
        """A request to the user's own server; what it says, from JSON."""
        headers = {"X-XSRFToken": self._token(f"/user/{self.name}/"), "Referer": f"{self.home}/lab"}
        return self._said(self.http.request(how, f"{self.home}/{what}", headers=headers, **given))

    def pull(self, link: str) -> list[str]:
        """Follow a link of nbgitpuller's; the names of what is there afterwards."""
        said = self.http.get(f"{self.home}/git-pull/api?{link.partition('?')[2]}")
        if '"phase": "finished"' not in said.text:
            raise SystemExit(f"{self.name} cannot pull: {said.text[-500:]}")
        found = self.ask("api/contents/labs")["content"]
        return sorted(one["name"] for one in found)

    def exchange(self, act: str, assignment: str) -> list[dict[str, Any]]:
        """``fetch``, ``submit`` or ``fetch_feedback``, as a press in JupyterLab's list does it."""
        given = {"course_id": "exit-and-entry", "assignment_id": assignment}
        said = self.ask(f"assignments/{act}", "POST", json=given)
        if not said["success"]:
            raise SystemExit(f"{self.name} cannot {act}: {said['value']}")
        return said["value"]

    def read(self, path: str) -> Any:
        """The content of a file: a notebook, or text."""
        return self.ask(f"api/contents/{quote(path)}")["content"]

    def write(self, path: str, notebook: Any) -> None:
        """Save a notebook."""
        given = {"type": "notebook", "content": notebook}
        self.ask(f"api/contents/{quote(path)}", "PUT", json=given)

    def run(self, path: str) -> str:
        """Run all cells of a notebook in a kernel, which stays; what they print."""
        folder, _, name = path.rpartition("/")
        given = {"path": path, "name": name, "type": "notebook", "kernel": {"name": "python3"}}
        kernel = self.ask("api/sessions", "POST", json=given)["kernel"]["id"]
        cells = [one["source"] for one in self.read(path)["cells"] if one["cell_type"] == "code"]
        return IOLoop.current().run_sync(lambda: self._cells(kernel, cells), timeout=PATIENCE)

    async def _cells(self, kernel: str, cells: list[str]) -> str:
        url = f"{self.home}/api/kernels/{kernel}/channels".replace("http", "ws", 1)
        cookies = "; ".join(f"{one.name}={one.value}" for one in self._cookies())
        socket = await websocket_connect(HTTPRequest(url, headers={"Cookie": cookies}))
        printed = []
        for number, source in enumerate(cells):
            await socket.write_message(_execution(f"cell-{number}", source))
            is_done = False
            while not is_done:
                message = json.loads(await socket.read_message() or '{"msg_type": "closed"}')
                kind, content = message["msg_type"], message.get("content", {})
                if message.get("parent_header", {}).get("msg_id") != f"cell-{number}":
                    if kind == "closed":
                        raise SystemExit(f"{self.name}: the kernel's socket was closed")
                    continue
                printed.append(content.get("text") or content.get("data", {}).get("text/plain", ""))
                is_done = kind == "status" and content["execution_state"] == "idle"
        socket.close()
        return "\n".join(filter(None, printed))

    def _cookies(self) -> list[Any]:
        return [one for one in self.http.cookies if f"/user/{self.name}/".startswith(one.path)]


def _execution(number: str, source: str) -> str:
    """The message that has a kernel run a cell."""
    content = {"code": source, "silent": False, "store_history": True, "stop_on_error": False}
    header = {"msg_id": number, "msg_type": "execute_request", "username": "", "session": "trial"}
    header |= {"version": "5.4", "date": ""}
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
    return json.dumps(message | {"channel": "shell", "buffers": []})
