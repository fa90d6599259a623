"""VMMs of other projects, against what answers as the real ones do."""

import http.server
import json
import socket
import socketserver
import threading
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from kvmexit.conform.crosvm import Crosvm
from kvmexit.conform.rest import CloudHypervisor, Firecracker
from kvmexit.errors import KvmExitError
from patience import PATIENCE

# As Cloud Hypervisor 54.0.0 refused it, on a KVM without nesting.
REFUSED = [
    "Error from API",
    "The VM could not be snapshotted",
    "Cannot snapshot VM",
    "Failed to snapshot migratable component",
    "Could not get vCPU state GetNestedState(Invalid argument (os error 22)\n\nStack backtrace:\n"
    "   0: anyhow::error::<impl>\n   1: vmm::cpu::snapshot\n)",
]


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def get_request(self):
        request, _ = super().get_request()
        return request, ("a socket", 0)


@contextmanager
def answered(adapter, folder, *answers):
    """``adapter`` asks a server, which gives these ``answers``, (status, text), one by one; what it
    was asked is in the list."""
    asked, left = [], list(answers)

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_):
            """Nobody listens."""

        def serve(self):
            size = int(self.headers.get("Content-Length", 0))
            asked.append((self.command, self.path, json.loads(self.rfile.read(size) or "null")))
            status, text = left.pop(0)
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            if text:
                self.wfile.write(text.encode())

        do_GET = do_PUT = do_PATCH = serve

    vmm = adapter("vmm", folder / "guest")
    vmm.folder = folder
    vmm.process = SimpleNamespace(limit=PATIENCE, wait_for=lambda look, *_: _until(look))
    with Server(str(vmm.api), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield vmm, asked
        finally:
            server.shutdown()
            thread.join()


def _until(look):
    while not look():
        pass


@pytest.mark.parametrize(
    ("adapter", "text", "said"),
    [
        (
            CloudHypervisor,
            json.dumps(REFUSED),
            "PUT /api/v1/vm.snapshot is answered 500: Error from API: The VM could not be"
            " snapshotted: Cannot snapshot VM: Failed to snapshot migratable component: Could not"
            " get vCPU state GetNestedState(Invalid argument (os error 22)",
        ),
        (
            Firecracker,
            '{"fault_message": "Cannot write:\\n no space"}',
            "PUT /snapshot/create is answered 500: Cannot write: no space",
        ),
        (Firecracker, "plain\ntext", "PUT /snapshot/create is answered 500: plain text"),
        (CloudHypervisor, "", "PUT /api/v1/vm.snapshot is answered 500: no reason given"),
    ],
)
def test_a_refusal_is_one_sentence_with_its_cause(adapter, text, said, tmp_path):
    with answered(adapter, tmp_path, (500, text)) as (vmm, _):
        with pytest.raises(KvmExitError) as problem:
            vmm.save(tmp_path)
    assert str(problem.value) == said


def test_a_cause_that_is_far_down_is_not_cut_off(tmp_path):
    text = json.dumps(["very far up " * 40, "the cause"])
    with answered(CloudHypervisor, tmp_path, (500, text)) as (vmm, _):
        with pytest.raises(KvmExitError, match="the cause$"):
            vmm.pause()


def test_cloud_hypervisor_is_waited_for_until_its_state_is_in(tmp_path):
    """Its API answers before that, and then has no VM to tell of."""
    early = (500, json.dumps(["Error from API", "VM is not created"]))
    with answered(CloudHypervisor, tmp_path, early, early, (200, "{}")) as (vmm, asked):
        vmm.loaded()
    assert [path for _, path, _ in asked] == ["/api/v1/vm.info"] * 3


def test_firecracker_is_told_all_that_it_needs(tmp_path):
    with answered(Firecracker, tmp_path, *[(204, "")] * 3) as (vmm, asked):
        vmm.started()
    assert [path for _, path, _ in asked] == ["/machine-config", "/boot-source", "/actions"]
    assert asked[1][2]["kernel_image_path"] == str(vmm.kernel)


def test_crosvm_says_its_version_at_another_word(tmp_path):
    program = tmp_path / "crosvm"
    program.write_text('#!/bin/sh\n[ "$*" = version ] && echo crosvm 0.1.0\n')
    program.chmod(0o755)
    assert Crosvm(str(program), tmp_path / "guest").version() == "crosvm 0.1.0"


def test_crosvm_is_waited_for_until_it_listens(tmp_path):
    """The file of its socket is there a moment earlier; a command that came then was refused."""
    vmm = Crosvm("crosvm", tmp_path / "guest")
    vmm.folder = tmp_path
    vmm.process = SimpleNamespace(limit=PATIENCE, wait_for=lambda look, *_: _until(look))
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(vmm.api))
        late = threading.Timer(0.1, listener.listen)
        late.start()
        vmm.started()
        assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        late.join()
