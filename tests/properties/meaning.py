"""What an instruction means, whichever of its encodings was used."""

from kvmexit.guest.cpu import Immediate, Memory, Register, Relative, Segment
from kvmexit.guest.forms import Insn


def meaning(insn: Insn, address: int, moved: int = 0) -> tuple:
    """Equal for two encodings of one instruction; ``moved`` is added to a jump's distance."""
    operands = [_operand(operand, insn, address + moved) for operand in insn.operands]
    name = insn.form.name
    if name in ("xchg", "test"):
        operands.sort(key=repr)
    if name == "xchg" and operands[0] == operands[1] == ("register", 0, 4):
        name, operands = "nop", []
    sized = operands and not any(isinstance(operand, Segment) for operand in insn.operands)
    return name, insn.size if sized else 0, insn.rep, insn.lock, tuple(operands)


def _operand(operand, insn: Insn, address: int) -> tuple:
    match operand:
        case Register():
            return "register", operand.number, operand.size
        case Immediate():
            return "number", operand.value, operand.size
        case Relative():
            return "target", address + insn.length + operand.distance & 0xFFFFFFFF
        case Memory():
            parts = [(operand.index, operand.scale)] if operand.index is not None else []
            parts += [(operand.base, 1)] if operand.base is not None else []
            displacement = operand.displacement & 0xFFFFFFFF
            return "memory", displacement, tuple(sorted(parts)), operand.size
    raise AssertionError(operand)
