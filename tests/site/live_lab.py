"""A JupyterLab of the tests' own, and a notebook in it whose cell has been run.

What is sent is confirmed, and sent again where it can be lost: a request before the server
answers, a key before the page listens.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from pages import ROOT
from patience import PATIENCE, until
from playwright.sync_api import Page, TimeoutError as Late

EDITOR = ".jp-CodeCell .cm-content"
PROMPT = ".jp-CodeCell .jp-InputPrompt"
DIALOG = ".jp-Dialog"
SOON = 5000
"""Milliseconds in which an idle page answers: what has not come by then is asked for again."""

EXPLORER = """from kvmexit.show import explore

def my_stop(vcpu, bus):
    vcpu.kvm_run.immediate_exit = 1
    while repr(vcpu.run()) != "EINTR":
        bus.serve(vcpu.kvm_run)
    vcpu.kvm_run.immediate_exit = 0

explore(64, policy=my_stop, read=12)"""
"""A cell whose reader has written a policy of his own."""


@contextmanager
def on_a_copy(home: Path) -> Iterator[str]:
    """The address of a JupyterLab on a copy of the book in ``home``."""
    for path in ROOT.glob("book/*.ipynb"):
        shutil.copy(path, home)
    command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root"]
    options = {"port": 0, "token": "", "root_dir": str(home), "disable_check_xsrf": True}
    command += [f"--ServerApp.{name}={value}" for name, value in options.items()]
    with (home / ".log").open("w") as log:
        server = subprocess.Popen(command, env=_private(home), stdout=log, stderr=log)
        try:
            yield _address_of(server, home)
        finally:
            server.terminate()
            server.wait(timeout=PATIENCE)


def _private(home: Path) -> dict[str, str]:
    """An environment in which JupyterLab reads no settings of the person who runs the tests."""
    folders = (
        "JUPYTER_CONFIG_DIR",
        "JUPYTER_RUNTIME_DIR",
        "JUPYTERLAB_SETTINGS_DIR",
        "JUPYTERLAB_WORKSPACES_DIR",
        "IPYTHONDIR",
    )
    return dict(os.environ) | {name: str(home / ".private" / name) for name in folders}


def _address_of(server: "subprocess.Popen[bytes]", home: Path) -> str:
    """Wait until the server answers. RuntimeError with its log if it ends instead."""
    written = home / ".private" / "JUPYTER_RUNTIME_DIR" / f"jpserver-{server.pid}.json"

    def answering() -> str:
        if server.poll() is not None:
            raise RuntimeError("JupyterLab did not start:\n" + (home / ".log").read_text())
        address = str(json.loads(written.read_text())["url"]).rstrip("/")
        _ask(Request(f"{address}/api/status"))
        return address

    return until(answering, f"JupyterLab to answer ({home}/.log)", pause=0.1)


def _ask(request: Request) -> bytes:
    """The answer. An OSError, of which HTTPError is one, if the server does not take it."""
    with urlopen(request, timeout=PATIENCE) as reply:
        return bytes(reply.read())


def notebook(source: str) -> dict[str, Any]:
    """A notebook of one cell."""
    cell = {"cell_type": "code", "id": "one", "metadata": {}, "outputs": [], "source": source}
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {
        "cells": [{**cell, "execution_count": None}],
        "metadata": {"kernelspec": kernel},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def open_notebook(page: Page, address: str, source: str) -> None:
    """Show a new notebook with the cell ``source`` in ``page``, its kernel ready.

    It is the server that is asked for the kernel: what the page shows of it can be late.
    """
    body = json.dumps({"type": "notebook", "content": notebook(source)}).encode()
    put = Request(
        f"{address}/api/contents/live.ipynb",
        body,
        {"Content-Type": "application/json"},
        method="PUT",
    )
    until(lambda: _ask(put), "JupyterLab to take a notebook", pause=0.1)
    page.goto(f"{address}/lab/tree/live.ipynb?reset")
    page.locator(EDITOR).first.wait_for()
    until(lambda: _is_idle(address), "the kernel to be idle", pause=0.1)


def _is_idle(address: str) -> bool:
    """Does the one kernel have nothing to do?"""
    kernels = json.loads(_ask(Request(f"{address}/api/kernels")))
    return [one["execution_state"] for one in kernels] == ["idle"]


def run_cell(page: Page) -> None:
    """Run the first cell, until the kernel has given it a new number.

    A key that is pressed while JupyterLab is still putting itself together can be lost; a dialog
    can lie over the cell; and a request to a kernel whose socket is still being opened can stay
    at ``[*]`` for ever. A kernel that has been idle for a while has nothing of it: again, then.
    """
    address = page.url.split("/lab/")[0]
    before = page.locator(PROMPT).first.inner_text()

    def done(wait: float) -> bool:
        try:
            page.wait_for_function(
                """([prompt, before]) => {
                  const now = document.querySelector(prompt).innerText;
                  return now !== before && /\\d/.test(now);
                }""",
                arg=[PROMPT, before],
                timeout=wait,
            )
        except Late:
            return False
        return True

    def pressed() -> bool:
        try:
            if page.locator(DIALOG).count():
                page.locator(f"{DIALOG} .jp-mod-accept").click(timeout=SOON)
            page.locator(EDITOR).first.click(timeout=SOON)
        except Late:
            return False
        page.keyboard.press("Shift+Enter")
        while not done(2 * SOON):
            if _is_idle(address):
                return done(SOON)
        return True

    until(pressed, "JupyterLab to run the cell")
