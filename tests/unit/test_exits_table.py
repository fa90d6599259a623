"""The book's table of exits against the library's own tables: there is one truth about an exit."""

import pytest
from kvmexit.exits import Reason
from kvmexit.kernel import MACHINES, Pc
from kvmexit.kernel.exit_table import Exit, names, needs, read_exits
from sources import read_registry

ROWS = read_exits()
MMIO, IO = Reason.MMIO, Reason.IO


def rows(number: int, arch: str = "", kind: str = "") -> list[Exit]:
    """The rows of one exit, on an architecture, of a type that begins with ``kind``."""
    return [
        row
        for row in ROWS
        if row.number == number and row.arch.startswith(arch) and kind in row.type
    ]


def test_no_exit_is_missing_and_none_is_invented() -> None:
    numbers = [row.number for row in ROWS]
    assert numbers == sorted(numbers)
    assert sorted(set(numbers)) == list(range(44))  # linux/kvm.h of 2026: 0 to SNP_REQ_CERTS


@pytest.mark.parametrize("number", range(44))
def test_a_number_has_one_name_and_its_need_is_that_of_its_rows(number: int) -> None:
    assert {f"KVM_EXIT_{row.name}" for row in rows(number)} == {names()[number]}
    completes = {row.completes for row in rows(number)}
    listed = any(row.completes and row.listed for row in rows(number))
    if len(completes) == 1 or listed:
        assert needs(number) is (True in completes)
    else:
        assert needs(number) is None


@pytest.mark.parametrize(
    ("number", "machine", "need"),
    [
        (3, "", True),
        (3, "arm64", False),
        (3, "x86", True),
        (6, "loongarch", True),  # a write has nothing to finish: listed all the same
        (27, "x86 (VMX)", None),
        (33, "", None),
        (33, "x86 (VMX)", False),
        (33, "x86 (SVM)", True),
        (38, "loongarch", None),
        (99, "", None),
    ],
)
def test_what_the_machine_decides(number: int, machine: str, need: bool | None) -> None:
    assert needs(number, machine) is need


@pytest.mark.parametrize("reason", Reason)
def test_the_vocabulary_has_the_same_names(reason: Reason) -> None:
    assert {row.name for row in rows(reason)} == {reason.name}


@pytest.mark.parametrize("machine", ["x86", "arm64", "riscv", "powerpc"])
def test_the_machines_of_the_simulation_retire_where_the_table_says(machine: str) -> None:
    for kind, rule in (
        ("read", MACHINES[machine].mmio_read),
        ("write", MACHINES[machine].mmio_write),
    ):
        (row,) = (r for r in rows(MMIO, machine, kind) if r.arch == machine)
        assert Pc(row.pc) is rule


def test_an_out_is_past_by_the_emulator_and_at_on_the_fast_path() -> None:
    (slow,) = rows(IO, "x86", "out, outs")
    (fast,) = rows(IO, "x86", "out, the fast path")
    assert (Pc(slow.pc), Pc(fast.pc)) == (
        MACHINES["x86"].pio_out,
        MACHINES["x86-fast-out"].pio_out,
    )


def test_a_row_whose_exit_was_recorded_says_that_it_ran() -> None:
    """On the machines of the recordings: MMIO, ports on the fast path, calls, and NISV."""
    recorded = {(6, "arm64"), (6, "riscv"), (6, "powerpc"), (19, "powerpc"), (28, "arm64")}
    recorded |= {(35, "riscv"), (36, "riscv"), (2, "x86 (VMX, SVM)")}
    ran = {(row.number, row.arch) for row in ROWS if "ran-elsewhere" in row.sources}
    assert ran == recorded


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.number}-{row.arch}-{row.type}")
def test_a_row_is_whole(row: Exit) -> None:
    assert row.sources and set(row.sources) <= set(read_registry())
    assert row.completes == bool(row.by)
    assert row.completes or not row.again
