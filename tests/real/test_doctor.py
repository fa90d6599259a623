"""`kvmexit doctor`: a verdict for every kind of machine, found by looking."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from kvmexit.commands import main
from kvmexit.kernel.doctor import DEVICE, _permitted, kvm_status, tool_checks
from kvmexit.kernel.real import RealKernel


def test_an_absent_device_has_a_next_step() -> None:
    status = kvm_status("/dev/no-kvm")
    assert not status.works
    assert status.reason.startswith("no /dev/no-kvm: ")
    assert [check.next_step for check in status.checks if not check.ok][0]


def test_a_device_that_is_not_kvm_is_found_out() -> None:
    status = kvm_status("/dev/null")
    assert not status.works
    assert "ENOTTY" in status.reason


def test_a_forbidden_device_names_the_group(tmp_path: Path) -> None:
    device = tmp_path / "kvm"
    device.touch(mode=0)
    me = os.geteuid()
    if me == 0:
        os.seteuid(65534)  # root may open everything: be nobody for a moment
    try:
        check = _permitted(str(device))
    finally:
        os.seteuid(me)
    assert not check.ok
    assert "Permission denied" in check.found
    assert "usermod -aG kvm" in check.next_step


def test_a_working_device_ran_a_guest(kernel: RealKernel) -> None:
    status = kvm_status(DEVICE)
    assert status.works
    guest = status.checks[-1]
    assert guest.name == "guest"
    assert "retires" in guest.found


def test_every_missing_tool_has_a_next_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    tools = [check for check in tool_checks() if check.name != "tracefs"]
    assert not any(check.ok for check in tools)
    assert all("sudo apt install" in check.next_step for check in tools)


def test_the_command_says_the_same_in_json_and_text(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["doctor", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert status == (0 if found["kvm"]["works"] else 1)
    assert main(["doctor"]) == status
    text = capsys.readouterr().out
    for check in (*found["kvm"]["checks"], *found["tools"]):
        assert check["name"] in text
