"""A piece of guest code with the registers and the RAM that it begins with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kvmexit.errors import KvmExitError, said
from kvmexit.exits import GPR_NAMES, XMM_NAMES, Memory, VcpuState, unknown_register
from kvmexit.guest.assembler import Program, assemble
from kvmexit.kernel.arguments import whole

ORIGIN = 0x1000
"""Where the code is loaded, and where it begins."""
RAM = 0x10000
"""Bytes of RAM, from address 0. Everything above is MMIO."""
STACK = 0x8000
"""The stack pointer, unless a case sets another. All other registers begin as zero."""


@dataclass(frozen=True, slots=True)
class Case:
    """``code`` at :data:`ORIGIN`; ``registers`` by name; ``ram`` as (address, bytes) pairs."""

    name: str
    code: bytes
    registers: dict[str, int] = field(default_factory=dict)
    ram: tuple[tuple[int, bytes], ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.code, bytes):
            raise KvmExitError(f"code is bytes, not {said(self.code)}")
        if not self.code:
            raise KvmExitError("there is no code: give at least f4 (hlt)")
        if not isinstance(self.registers, dict):
            raise KvmExitError(f"registers are a dict of names, not {said(self.registers)}")
        if not _placed(self.ram):
            raise KvmExitError(f"ram has pairs of an address and bytes, not {said(self.ram)}")
        for address, data in ((ORIGIN, self.code), *self.ram):
            if not 0 <= address <= address + len(data) <= RAM:
                raise KvmExitError(
                    f"{len(data)} bytes at {address:#x} do not fit into the RAM,"
                    f" which ends at {RAM:#x}"
                )
        self.state()

    def load(self, memory: Memory) -> None:
        """Put RAM and code into a new VM's memory; the code goes last."""
        for address, data in (*self.ram, (ORIGIN, self.code)):
            memory[address : address + len(data)] = data

    def state(self) -> VcpuState:
        """The registers at the first instruction. Raises KvmExitError for a name or a value
        that no register has."""
        values = {"esp": STACK, "rip": ORIGIN, "rflags": 2} | self.registers
        xmm = [0] * 8
        for name, value in values.items():
            vector = name in XMM_NAMES
            if not vector and name not in (*GPR_NAMES, "rip", "rflags"):
                raise unknown_register(name)
            if not whole(value):
                raise KvmExitError(f"{name} is an integer, not {said(value)}")
            if not 0 <= value < 1 << (128 if vector else 32):
                raise KvmExitError(f"{name} cannot hold {value:#x}")
            if vector:
                xmm[int(name[3:])] = value
        gpr = tuple(values.get(name, 0) for name in GPR_NAMES)
        return VcpuState(gpr, values["rip"], values["rflags"] | 2, tuple(xmm))

    def listing(self) -> str:
        """Address, bytes and text of each instruction; bytes only from where the subset ends."""
        try:
            return Program(ORIGIN, self.code).listing()
        except KvmExitError:
            return f"  {ORIGIN:04x}  {self.code.hex(' ')}  (not in the subset)"


def _placed(ram: Any) -> bool:
    """Are these pairs of an address and bytes?"""
    return isinstance(ram, tuple | list) and all(
        isinstance(pair, tuple | list) and [type(part) for part in pair] == [int, bytes]
        for pair in ram
    )


def case(
    name: str, source: str, ram: tuple[tuple[int, bytes], ...] = (), /, **registers: int
) -> Case:
    """A case from assembler text; instructions separated by ``;`` or lines; ``hlt`` is added."""
    if not isinstance(source, str):
        raise KvmExitError(f"a case takes the text of a program, not {said(source)}")
    text = "\n".join(part.strip() for part in source.split(";")) + "\nhlt"
    return Case(name, assemble(text, ORIGIN).code, registers, ram)
