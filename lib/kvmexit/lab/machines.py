"""Bonus lab: the same save on machines that retire instructions differently."""

from __future__ import annotations

from functools import lru_cache, partial
from itertools import product
from typing import Any

from kvmexit.exits import DATA_EXITS, VcpuState
from kvmexit.guest.assembler import assemble
from kvmexit.guest.tis_registers import DATA_FIFO, STS, TIS_BASE
from kvmexit.kernel.retirement import MACHINES, SVM, Pc, Retirement
from kvmexit.kernel.simulated import SimulatedKernel
from kvmexit.lab.players import Player
from kvmexit.lab.questions import Finding, Part, Question, rng
from kvmexit.lab.words import Moment
from kvmexit.vmm.bus import Bus
from kvmexit.vmm.devices import Tis

RAM, ORIGIN = 0x2000, 0x1000
OLD, BYTE = 0x77, 0xA5
GUESTS = {
    "mmio read": f"mov al, [{TIS_BASE + DATA_FIFO:#x}]",
    "mmio write": f"mov byte [{TIS_BASE + STS:#x}], 2",
    "pio out": "out 0x80, al",
}
WORDS = {
    "fine": "the device saw it once, and the guest has what it asked for",
    "repeated": "the device saw it twice",
    "stale": "the device saw it once, and the guest's register keeps its old value",
    "lost": "the device never saw it",
}


@lru_cache(maxsize=64)
def outcome(moment: Moment) -> str:
    """Run it: one instruction, saved at its exit without a drain, restored into a new VM."""
    kernel = SimulatedKernel(
        Retirement("any", Pc(moment.mmio_read), Pc(moment.mmio_write), Pc(moment.pio_out), "")
    )
    bus = Bus(Tis(bytes([BYTE, BYTE, BYTE])))
    code = assemble(f"{GUESTS[moment.access]}\nhlt", ORIGIN).code
    state = VcpuState(gpr=(OLD, 0, 0, 0, 0, 0, 0, 0), rip=ORIGIN)
    for run in range(2):
        vm = kernel.create_vm(RAM)
        vm.memory[ORIGIN : ORIGIN + len(code)] = code
        vm.vcpu.set_state(state)
        result = vm.vcpu.run()
        while isinstance(result, DATA_EXITS):
            if run == 1 or moment.served:
                bus.serve(vm.vcpu.kvm_run)
            if run == 0:
                break
            result = vm.vcpu.run()
        state = vm.vcpu.get_state()
    if len(bus.log) > 1:
        return "repeated"
    if not bus.log:
        return "lost"
    return "stale" if moment.access == "mmio read" and state["eax"] != BYTE else "fine"


def moments(access: str) -> list[Moment]:
    """Every moment of an access, on every machine that can be thought of."""
    pcs = [pc.value for pc in Pc]
    rows = product(pcs, pcs, pcs)
    return [Moment(access, served, *row) for row in rows for served in (True, False)]


def _test(access: str, player: Player, seed: int) -> Finding:
    for moment in moments(access):
        said = player.call("predict_on", moment)
        if said == outcome(moment):
            continue
        if not isinstance(said, str) or said not in WORDS:
            return f"predict_on() must return one of {', '.join(WORDS)}, not {said!r:.40}"
        return f"{as_text(moment)}: you say {said!r}; that is not what happens"
    return None


def as_text(moment: Moment, has_ports: bool = True) -> str:
    """A moment in words."""
    served = "served" if moment.served else "not served"
    ports = f", {moment.pio_out} it at a pio out" if has_ports else ""
    return (
        f"{moment.access}, {served}; the program counter is {moment.mmio_read} the instruction"
        f" at an mmio read, {moment.mmio_write} it at an mmio write{ports}"
    )


QUESTIONS = (
    Question(
        "6.1",
        "predict_on",
        "the same save on another machine",
        tuple(Part(access, 1, partial(_test, access)) for access in GUESTS),
    ),
)


def _drawn(seed: int) -> tuple[str, Moment]:
    dice = rng("machines problem", seed)
    row = MACHINES[dice.choice([name for name in MACHINES if name != SVM.name])]
    pcs = (row.mmio_read.value, row.mmio_write.value, row.pio_out.value)
    accesses = [access for access in GUESTS if _has_ports(row.name) or access != "pio out"]
    return row.name, Moment(dice.choice(accesses), dice.random() < 0.7, *pcs)


def _has_ports(machine: str) -> bool:
    """Only x86 has instructions for ports."""
    return machine.startswith("x86")


def problem(seed: int) -> str:
    """A machine and a moment."""
    name, moment = _drawn(seed)
    return (
        f"The machine is {name}.\nThe VMM saves without a drain at this exit:"
        f" {as_text(moment, _has_ports(name))}.\nThe state goes into a new VM.\n\n"
        f"What is the outcome: {', '.join(WORDS)}?"
    )


def answer(seed: int) -> dict[str, Any]:
    """The outcome there, run on the simulated kernel with that machine's rules."""
    word = outcome(_drawn(seed)[1])
    return {"outcome": word, "meaning": WORDS[word]}
