"""The atlas: its rules, and that simulated, real and recorded agree row by row."""

import pytest
from kvmexit.exits import EINTR, MmioRead, MmioWrite, PioIn, PioOut, Rdmsr, Wrmsr
from kvmexit.kernel.recorded import RecordedKernel, shipped
from kvmexit.kernel.retirement import MACHINES
from kvmexit.kernel.simulated import SimulatedKernel
from kvmexit.probe.as_data import as_data
from kvmexit.probe.atlas import atlas_cases
from kvmexit.probe.cases import Case, case
from kvmexit.probe.report import Report, probe, retirement_of
from kvmexit.probe.saves import RESTORES
from kvmexit.probe.verdict import Verdict, begin

FINE, REPEATED, LOST, STALE = Verdict.FINE, Verdict.REPEATED, Verdict.LOST, Verdict.STALE
CASES = {one.name: one for one in atlas_cases()}
REPORTS = {name: probe(SimulatedKernel(), one) for name, one in CASES.items()}
ROWS = [(report, row) for report in REPORTS.values() for row in report.rows]

KNOWN_DIFFERENCES: dict[str, str] = {}
"""Accesses in which simulated and real kernel differ, with the reason. There are none left."""


def comparable(report: Report) -> dict:
    """All of a report but whose it is."""
    return {name: value for name, value in as_data(report).items() if name != "kernel"}


@pytest.mark.parametrize("restore", RESTORES)
def test_the_real_kernel_agrees_row_by_row(kernel, restore: str) -> None:
    mine = SimulatedKernel(retirement_of(kernel))
    for one in atlas_cases():
        if one.name not in KNOWN_DIFFERENCES:
            real, simulated = probe(kernel, one, restore), probe(mine, one, restore)
            assert comparable(real) == comparable(simulated), one.name


@pytest.mark.parametrize("restore", RESTORES)
def test_the_recording_agrees_row_by_row(restore: str) -> None:
    recorded = RecordedKernel(shipped("atlas"))
    mine = SimulatedKernel(retirement_of(recorded))
    for one in atlas_cases():
        played, simulated = probe(recorded, one, restore), probe(mine, one, restore)
        assert comparable(played) == comparable(simulated), one.name


def test_no_read_survives_a_served_save() -> None:
    reads = [row for _, row in ROWS if isinstance(row.exit, MmioRead | PioIn | Rdmsr)]
    assert len(reads) > 100
    assert {row.save["served"] for row in reads} == {REPEATED}


def test_a_single_read_survives_an_unserved_save() -> None:
    for report in REPORTS.values():
        if len(report.rows) == 1 and isinstance(report.rows[0].exit, MmioRead | PioIn | Rdmsr):
            assert report.rows[0].save["unserved"] is FINE, report.case.name


def test_the_last_piece_of_a_write_survives_served_and_is_lost_unserved() -> None:
    writes = [
        row for _, row in ROWS if isinstance(row.exit, MmioWrite | PioOut) and row.drain_runs == 1
    ]
    assert {(row.save["served"], row.save["unserved"]) for row in writes} == {(FINE, LOST)}


def test_a_write_that_has_more_pieces_loses_them() -> None:
    rows = [row for _, row in ROWS if isinstance(row.exit, MmioWrite) and row.drain_runs > 1]
    assert len(rows) >= 10
    assert {(row.save["served"], row.save["kick-once"]) for row in rows} == {(LOST, LOST)}


def test_an_msr_write_is_repeated() -> None:
    rows = [row for _, row in ROWS if isinstance(row.exit, Wrmsr)]
    assert rows
    assert {(row.save["served"], row.save["unserved"]) for row in rows} == {(REPEATED, FINE)}


def test_one_kick_is_not_enough_for_read_modify_write() -> None:
    (read, write) = REPORTS["inc [MMIO]"].rows
    assert (read.save["kick-once"], read.save["serve-once"]) == (LOST, FINE)
    assert write.save["kick-once"] is FINE


def test_a_drain_is_fine_in_every_row() -> None:
    assert {row.save["drain"] for _, row in ROWS} == {FINE}


def test_registers_can_have_moved_while_rip_has_not() -> None:
    row = REPORTS["rep movsb 8 MMIO->RAM"].rows[7]
    assert row.rip == 0x1000
    assert row.changed == {"ecx": 1, "esi": 0xD002B, "edi": 0x2007}


def test_the_drain_writes_ram() -> None:
    written = {name: REPORTS[name].rows[0].ram_written for name in REPORTS if REPORTS[name].rows}
    assert written["movsb MMIO->RAM"] == 1
    assert written["push [MMIO]"] == 4
    assert written["rep insb 3000"] == 1020  # four of 1024 bytes are 0, as the RAM was


def test_the_entries_that_a_drain_takes() -> None:
    runs = {name: report.rows[0].drain_runs for name, report in REPORTS.items() if report.rows}
    assert runs["MMIO read 1"] == 1
    assert runs["MMIO read 16 across a page"] == 3
    assert runs["add dword [MMIO] across a page"] == 4
    breaks = [row.drain_runs for row in REPORTS["rep movsb 1027, 6 of MMIO"].rows]
    assert breaks == [3, 2, 1, 3, 2, 1]
    assert runs["rep movsb 8 RAM->MMIO"] == 1


def test_the_same_vcpu_keeps_an_old_value() -> None:
    """Registers read and written back drop the answer; with flags and memory it is not so."""
    rows = {
        name: probe(SimulatedKernel(), CASES[name], "same-vcpu").rows[0].save["served"]
        for name in ("MMIO read 1", "in al, dx", "movsb MMIO->RAM", "rdmsr", "cmp [MMIO], al")
    }
    assert list(rows.values()) == [STALE, STALE, FINE, FINE, FINE]


READ, WRITE = case("read", "mov al, [0xd0024]"), case("write", "mov [0xd0024], al")
OUT, QUIRK = case("out", "out 0x5a, al"), case("quirk", "out 0x7e, al")


@pytest.mark.parametrize(
    "machine, one, served, unserved",
    [
        ("x86", OUT, FINE, LOST),
        ("x86-fast-out", OUT, REPEATED, FINE),
        ("x86-fast-out", QUIRK, FINE, LOST),
        ("x86-fast-out", case("outsb", "outsb"), FINE, LOST),
        ("arm64", READ, REPEATED, FINE),
        ("arm64", WRITE, REPEATED, FINE),
        ("riscv", READ, REPEATED, FINE),
        ("riscv", WRITE, REPEATED, FINE),
        ("powerpc", READ, STALE, LOST),
        ("powerpc", WRITE, FINE, LOST),
    ],
)
def test_other_machines(machine: str, one: Case, served: Verdict, unserved: Verdict) -> None:
    (row,) = probe(SimulatedKernel(MACHINES[machine]), one).rows
    assert (row.save["served"], row.save["unserved"]) == (served, unserved)
    assert row.save["drain"] is FINE


def test_fast_input_survives_the_same_vcpu_and_a_moved_rip_cancels_it() -> None:
    from dataclasses import replace

    from kvmexit.faults.checks import complete
    from kvmexit.probe.verdict import begin

    kernel = SimulatedKernel(MACHINES["x86-fast-out"])
    one = case("in", "in al, 0x5a")
    assert probe(kernel, one, "same-vcpu").rows[0].save["served"] is FINE
    vm = begin(kernel, one)
    vm.vcpu.run()
    vm.vcpu.kvm_run.answer(b"\x11")
    vm.vcpu.set_state(replace(vm.vcpu.get_state(), rip=0x1800))
    complete(vm)
    state = vm.vcpu.get_state()
    assert (state.rip, state["eax"]) == (0x1800, 0)


def test_every_row_has_run() -> None:
    assert all(row.evidence.startswith("ran: ") for row in MACHINES.values())


def test_a_poll_that_lost_a_round_ends_the_same() -> None:
    """A repeated read of a polling loop is the next read of that loop."""
    poll = case("poll", "again:; cmp byte [0xd0024], 0x14; jne again")
    verdicts = [row.save["served"] for row in probe(SimulatedKernel(), poll).rows]
    assert verdicts == [FINE, FINE, FINE, REPEATED]


@pytest.mark.parametrize("restore", RESTORES)
def test_an_exception_is_lost_with_the_events(restore: str) -> None:
    """Where the last entry of a drain raises one, registers alone make the guest ask again."""
    raising = {name: one for name, one in CASES.items() if "#" in name or "refused" in name}
    assert len(raising) >= 8
    for name, one in raising.items():
        report = probe(SimulatedKernel(), one, restore)
        assert report.end == "shutdown", name
        for row in report.rows:
            assert (row.save["drain"], row.alone["drain"]) == (FINE, REPEATED), name
            assert row.verdict("drain") == "fine (repeated)"
        alone = probe(SimulatedKernel(), one, restore, "registers").rows
        assert [row.save["drain"] for row in alone] == [REPEATED] * len(alone)
        assert not any(row.alone for row in alone)


def test_nothing_else_needs_the_events() -> None:
    calm = [
        row for report, row in ROWS if not ("#" in (name := report.case.name) or "refused" in name)
    ]
    assert len(calm) > 200
    assert not any(row.alone for row in calm)


def test_a_drain_is_bounded_in_elements_not_in_entries() -> None:
    """1024 elements at most, each with all its reads and all their pieces."""
    ecx = 1025
    for source, at, entries in (
        ("repne cmpsb", {"esi": 0xD0000, "edi": 0xE0000}, 2),
        ("rep movsb", {"esi": 0xD0000, "edi": 0x2000}, 1),
        ("repne cmpsb", {"esi": 0xD0000, "edi": 0xE0000, "ecx": 1024}, 2048),
        ("repe cmpsd", {"esi": 0xD0002, "edi": 0xE0002, "ecx": 1024}, 2050),
        ("rep movsb", {"esi": 0xD0000, "edi": 0x2000, "ecx": 1024}, 1024),
    ):
        what = case(source, source, **{"ecx": ecx} | at)
        assert _drained(what) == entries, (source, at)


def _drained(what: Case) -> int:
    """Entries of the drain at the first exit; every read is answered with zeros or counts."""
    vm = begin(SimulatedKernel(), what)
    page, entries, same = vm.vcpu.kvm_run, 0, "repe" == what.name.split()[0]
    result = vm.vcpu.run()
    page.immediate_exit = 1
    while result is not EINTR:
        # repne goes on over unequal bytes, repe over equal ones
        value = 0 if same or result.gpa < 0xE0000 else 1
        page.answer(value.to_bytes(1, "little") * result.size)
        result = vm.vcpu.run()
        entries += 1
    return entries
