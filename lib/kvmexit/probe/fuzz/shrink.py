"""Make a diverging program small: drop what the divergence does not need."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from kvmexit.probe.fuzz.programs import Program

Fails = Callable[[Program], bool]


def shrink(program: Program, fails: Fails) -> Program:
    """The smallest program, among those met by dropping one thing at a time, that still fails."""
    while True:
        for smaller in _smaller(program):
            if fails(smaller):
                program = smaller
                break
        else:
            return program


def _smaller(program: Program) -> Iterator[Program]:
    """Programs that lack something: a save, instructions, bytes in RAM, a register's value."""
    for i in range(len(program.saves)):
        yield replace(program, saves=program.saves[:i] + program.saves[i + 1 :])
    length = len(program.instructions)
    for size in range(length - 1, 0, -1):  # a jump goes with what it jumps over
        for i in range(length - size + 1):
            rest = program.instructions[:i] + program.instructions[i + size :]
            yield replace(program, instructions=rest)
    if program.again:
        yield replace(program, again=program.again - 1)
    for i in range(len(program.ram)):
        yield replace(program, ram=program.ram[:i] + program.ram[i + 1 :])
    for name in program.registers:
        rest_of = {n: value for n, value in program.registers.items() if n != name}
        yield replace(program, registers=rest_of)
    for i, save in enumerate(program.saves):
        for name in save.registers:
            registers = {n: value for n, value in save.registers.items() if n != name}
            less = replace(save, registers=registers)
            yield replace(program, saves=(*program.saves[:i], less, *program.saves[i + 1 :]))
        if save.exit:
            earlier = replace(save, exit=save.exit - 1)
            yield replace(program, saves=(*program.saves[:i], earlier, *program.saves[i + 1 :]))
