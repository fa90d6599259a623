"""Switches that several subcommands share: which machine, which kernel."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from kvmexit.commands.terminal import awaited
from kvmexit.errors import KvmExitError
from kvmexit.guest.driver import PROGRAMS
from kvmexit.kernel.protocol import Kernel
from kvmexit.packet.experiment import Phase, Scenario, response_of
from kvmexit.vmm.devices import DEVICES
from kvmexit.vmm.machine import COMPENSATIONS, POLICIES, RESTORES, SAVED

KERNELS = ("simulated", "real", "recorded")


def add_json(parser: argparse._ActionsContainer) -> None:
    """``--json``."""
    parser.add_argument(
        "--json", action="store_true", help="everything, for programs: one JSON document"
    )


def add_kernel(parser: argparse.ArgumentParser) -> None:
    """``--kernel``, and the recording to read."""
    parser.add_argument(
        "--kernel", choices=KERNELS, default="simulated", help="who answers (default: simulated)"
    )
    parser.add_argument("--recording", metavar="FILE", help="replay FILE (with --kernel recorded)")


def add_scenario(parser: argparse.ArgumentParser, *, policy: str | None) -> None:
    """The switches that make a scenario. ``policy`` is the default."""
    parser.add_argument(
        "--device",
        choices=tuple(DEVICES),
        default="tis-2011",
        help="what the guest reads (default: tis-2011)",
    )
    parser.add_argument(
        "--program",
        choices=PROGRAMS,
        default="driver",
        help="how the guest reads it (default: driver, a byte at a time)",
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--length", type=int, metavar="N", help="a response of N bytes (default: 64)"
    )
    source.add_argument("--response", metavar="HEX", help="this response, as hex digits")
    parser.add_argument(
        "--policy",
        choices=tuple(POLICIES),
        default=policy,
        help=f"how the VMM stops its vCPU (default: {policy or 'all of them'})",
    )
    parser.add_argument(
        "--compensation",
        choices=tuple(COMPENSATIONS),
        default="none",
        help="how the device corrects what it loads (default: none)",
    )
    parser.add_argument(
        "--restore",
        choices=RESTORES,
        default="new-vm",
        help="where what was saved goes (default: new-vm)",
    )
    add_saved(parser)


def add_phase(parser: argparse.ArgumentParser) -> None:
    """``--phase``: where, around the exit that ``--at-exit`` counts to."""
    parser.add_argument(
        "--phase",
        choices=[phase.value for phase in Phase],
        help="of that exit: before the device has answered, after that, or at the entry behind it"
        " (default: served)",
    )


def phase_of_args(args: argparse.Namespace) -> Phase:
    """The phase that ``--phase`` asks for. KvmExitError where there is no exit that it is of."""
    if args.phase is not None and args.at_exit is None:
        raise KvmExitError("--phase is of the exit that --at-exit counts to: give both")
    return Phase(args.phase or Phase.SERVED)


def add_saved(parser: argparse.ArgumentParser) -> None:
    """``--saved``: how much of a vCPU's state is saved."""
    parser.add_argument(
        "--saved",
        choices=tuple(SAVED),
        default="whole",
        help="how much of the vCPU is saved: all of it, or its registers without events (default:"
        " whole)",
    )


def parse_hex(text: str) -> bytes:
    """Hex digits, spaces allowed, to bytes."""
    try:
        return bytes.fromhex(text)
    except ValueError as problem:
        raise KvmExitError(
            f"not hex bytes: {text[:40]!r} ({problem}); give two digits a byte, as in 8001"
        ) from None


def make_scenario(args: argparse.Namespace, **changes: Any) -> Scenario:
    """The scenario that the switches describe."""
    if args.response is not None:
        response = parse_hex(args.response)
    else:
        response = response_of(64 if args.length is None else args.length)
    settings: dict[str, Any] = {
        "response": response,
        "device": args.device,
        "policy": args.policy or "save-at-once",
        "compensation": args.compensation,
        "restore": args.restore,
        "program": args.program,
        "saved": args.saved,
    }
    return Scenario(**{**settings, **changes})


def make_kernel(args: argparse.Namespace) -> Kernel:
    """The kernel that the switches name. The real one is opened only if it is asked for."""
    if args.recording is not None and args.kernel != "recorded":
        raise KvmExitError("--recording goes with --kernel recorded")
    if args.kernel == "real":
        from kvmexit.kernel.real import RealKernel

        return RealKernel()
    if args.kernel == "recorded":
        return replayed(args.recording, "driver")
    from kvmexit.kernel.simulated import SimulatedKernel

    return SimulatedKernel()


def replayed(recording: str | None, otherwise: str) -> Kernel:
    """The recording that was named, or the one of the name ``otherwise`` that the library has."""
    from kvmexit.kernel.recorded import RecordedKernel, shipped

    path = shipped(otherwise) if recording is None else Path(recording)
    with awaited(path):
        return RecordedKernel(path)


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    print(json.dumps(value, indent=1))
