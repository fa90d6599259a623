"""The simulator's rows held against what real kernels answered, and the wrong rows against the
same."""

import gzip
import json
from functools import cache

import pytest
from kvmexit.commands import main
from kvmexit.elsewhere import compare, observe, recordings
from kvmexit.elsewhere.facts import x86_facts
from kvmexit.elsewhere.guests.isa import FIFO
from kvmexit.elsewhere.machines import MACHINES as BROUGHT
from kvmexit.elsewhere.observe import ISAS, ROWS
from kvmexit.elsewhere.pending import NOPS
from kvmexit.errors import KvmExitError
from kvmexit.guest.cpu import INVALID_OPCODE
from kvmexit.kernel.retirement import MACHINES
from kvmexit.kernel.simulated import SimulatedKernel
from kvmexit.probe.atlas import atlas_cases
from kvmexit.probe.cases import ORIGIN
from patience import some
from sources import read_registry

simulation_of = cache(observe.simulation_of)
"""A simulation is made once a test run: that of x86 takes two seconds."""
RF, ONE = 1 << 16, 2
"""Flags: RF, and the bit that is always set."""
X86 = [name for name in ROWS if name not in ISAS]


def rules(machine: str) -> dict[compare.Key, object]:
    return compare.rules(recordings.recording_of(machine))


def test_every_machine_has_a_recording_that_says_where_it_was_made():
    for name in ROWS:
        document = recordings.recording_of(name)
        about = document["provenance"]
        assert about["machine"] == name
        assert about["kernel"].startswith("Linux 6.") and " of Debian " in about["kernel"]
        assert about["emulator"].split()[0] == ("Bochs" if name == "vmx" else "QEMU")
        machine = BROUGHT[name]
        under = f", {machine.beneath}" if machine.beneath else ""
        assert about["emulator"].endswith(f", as {machine.processor}{under}")
        assert document["varies"]["date"] >= "2026"
        assert recordings.path_of(name).stat().st_size < 20_000


@pytest.mark.parametrize("machine", list(ROWS))
def test_the_simulator_says_what_the_kernel_said(machine):
    """SVM and VMX by one row: they part in what SHUTDOWN leaves, which no save at an exit meets."""
    mine = compare.rules(simulation_of("vmx" if machine == "svm" else machine))
    assert compare.differences(rules(machine), mine) == []
    assert len(mine) > 100


@pytest.mark.parametrize("machine", list(ROWS))
def test_the_evidence_of_a_row_names_the_kernel_that_was_recorded(machine):
    release = recordings.recording_of(machine)["provenance"]["kernel"].split()[1]
    major = "Linux " + ".".join(release.split(".")[:2])
    evidence = MACHINES[ROWS[machine]].evidence
    assert evidence.startswith("ran: ") and major in evidence
    assert ("Bochs" if machine == "vmx" else "QEMU's TCG") in evidence


def test_the_matrix_of_sources_names_the_kernels_that_were_recorded():
    """A column for each: the kernel's release, the emulator, and what tells it from the others."""
    columns = {m for s in read_registry().values() for m in s.on if ", in " in m}
    marks = {"svm": "kvm_amd", "vmx": "kvm_intel", "riscv64": "of riscv"}
    for name in ROWS:
        about = recordings.recording_of(name)["provenance"]
        major = ".".join(about["kernel"].split()[1].split(".")[:2])
        mark, emulator = marks.get(name, f"of {name}"), about["emulator"].split()[0]
        (column,) = (c for c in columns if mark in c)
        assert column.startswith(f"Linux {major} ") and column.endswith(f", in {emulator}")
    assert len(columns) == len(ROWS)


def test_a_machine_whose_kernel_is_itself_a_guest_says_so():
    assert "cap-nested-hv=on" in " ".join(BROUGHT["powerpc"].arguments)
    assert ", nested" in recordings.recording_of("powerpc")["provenance"]["emulator"]


def test_what_only_one_of_two_documents_has_is_a_difference():
    for pair in (({("a",): 1}, {}), ({}, {("a",): 1})):
        assert [one.key for one in compare.differences(*pair)] == [("a",)]


def one_piece(found: dict[compare.Key, object]) -> set[compare.Key]:
    """The exits of accesses that take one, restored into a new VM: where the row alone decides."""
    return {key for key in found if key[:2] == ("atlas", "new-vm") and key[-1] == "exit 0"}


@pytest.mark.parametrize("wrong", ["arm64", "riscv"])
def test_after_the_rules_of_another_machine_every_access_of_powerpc_fails(wrong):
    here = rules("powerpc")
    there = compare.rules(simulation_of("powerpc", MACHINES[wrong]))
    failed = {one.key for one in compare.differences(here, there)}
    assert one_piece(here) <= failed
    assert ("packet", "served") in failed


def test_arm64_after_the_rules_of_powerpc():
    failed = {
        one.key
        for one in compare.differences(
            rules("arm64"), compare.rules(simulation_of("arm64", MACHINES["powerpc"]))
        )
    }
    assert one_piece(rules("arm64")) <= failed


@pytest.mark.parametrize("machine", X86)
def test_after_the_rules_of_the_emulator_four_outs_fail_and_nothing_else(machine):
    """Into a new VM. ``in`` differs too, where state is written under it."""
    mine = compare.rules(simulation_of("vmx", MACHINES["x86"]))
    found = compare.differences(rules(machine), mine)
    new = {one.key[2] for one in found if one.key[:2] == ("atlas", "new-vm")}
    assert new == {"out dx, al", "out dx, ax", "out dx, eax", "out imm8, al"}
    same = {one.key[2] for one in found if one.key[:2] == ("atlas", "same-vcpu")}
    assert same - new == {"in al, dx", "in ax, dx", "in eax, dx", "in al, imm8"}


def test_a_shutdown_resets_the_vcpu_on_svm_and_leaves_it_on_vmx():
    """As it was seen, and as the rows have it."""
    name = "after KVM_EXIT_SHUTDOWN"
    assert recordings.recording_of("svm")["facts"][name] == {"rip": "0xfff0", "edx": "0x600"}
    assert x86_facts(SimulatedKernel())[name]["rip"] == hex(ORIGIN)
    for machine in X86:
        kernel = SimulatedKernel(MACHINES[ROWS[machine]])
        assert x86_facts(kernel)[name] == recordings.recording_of(machine)["facts"][name]


def test_what_cannot_be_emulated_leaves_a_ud_behind_on_svm_and_on_vmx():
    name = "after KVM_EXIT_INTERNAL_ERROR"
    seen = {"rip": "0xd0000", "exception": INVALID_OPCODE, "entered again": "Shutdown()"}
    for machine in X86:
        assert recordings.recording_of(machine)["facts"][name] == seen
        assert x86_facts(SimulatedKernel(MACHINES[ROWS[machine]]))[name] == seen
    alone = x86_facts(SimulatedKernel())[name]
    assert alone == {**seen, "exception": None, "entered again": "InternalError(suberror=1)"}


def test_svm_and_vmx_answer_every_rule_alike_and_part_in_what_the_processor_says():
    svm, vmx = (compare.observations(recordings.recording_of(name)) for name in X86)
    assert {one.key for one in compare.differences(svm, vmx)} == compare.PROCESSORS_OWN | {
        ("fact", "after KVM_EXIT_SHUTDOWN"),
        ("fact", "rflags at the exit of mmio read"),
    }


@pytest.mark.parametrize("machine, goes_on", some([("svm", 1), ("vmx", 2)], usual=1))
def test_what_is_left_to_the_processor_differs_and_nothing_else_is_left_out(machine, goes_on):
    """RIP was put on a nop under a pending MSR: SVM goes on by that nop, as this processor tells no
    length, VMX by the length of the MSR's instruction. The row sets RIP behind the latter."""
    real = compare.observations(recordings.recording_of(machine))
    mine = compare.observations(simulation_of(machine))
    left_out = {key for key in real if key not in rules(machine) and key[0] != "fact"}
    assert left_out == compare.PROCESSORS_OWN
    for key in left_out:
        assert (real[key]["counter"], mine[key]["counter"]) == (goes_on, NOPS + 2)
        assert (real[key]["asked"], mine[key]["asked"]) == (2, 1)


def test_the_flags_show_a_pending_mmio_read_on_vmx_and_nothing_else_anywhere():
    for machine in X86:
        facts = recordings.recording_of(machine)["facts"]
        flags = {name: seen for name, seen in facts.items() if name.startswith("rflags at")}
        shown = {name for name, seen in flags.items() if seen["at the exit"] != hex(ONE)}
        assert shown == ({"rflags at the exit of mmio read"} if machine == "vmx" else set())
        for name, seen in flags.items():
            assert seen["after the entry"] == hex(ONE)
            assert int(seen["at the exit"], 16) == ONE | (RF if name in shown else 0)
        assert len(flags) == 4


@pytest.mark.parametrize("machine", list(ISAS))
def test_the_report_on_a_real_kernel_of_each_machine(machine):
    """Saved at a served byte: a byte is missing, or one is stale. Drained: all is well."""
    packet = recordings.recording_of(machine)["packet"]
    want = {"s"} if machine == "powerpc" else {"m"}
    body = packet["served"]["strip"][10:]
    assert set(body) == want
    assert set(packet["drain"]["strip"]) == {"."}
    whole = packet["undisturbed"]
    assert whole == packet["packet"] and packet["drain"]["guests"] == [whole] * len(whole[::2])


@pytest.mark.parametrize("machine", list(ISAS))
def test_an_access_is_in_the_machine_s_own_code(machine):
    isa = ISAS[machine]
    names = [case.name for case in isa.cases()]
    assert len(names) == len(set(names)) > 20
    reports = recordings.recording_of(machine)["atlas"]["new-vm"]
    assert [report["name"] for report in reports] == names
    for case, report in zip(isa.cases(), reports, strict=True):
        assert report["code"] == case.code.hex() and case.text in report["listing"]
    first = reports[0]["exits"][0]
    assert first["gpa"] == hex(FIFO) and "pc" in first and "rip" not in first


def test_a_recording_is_written_again_only_when_it_says_something_new(tmp_path):
    document = recordings.recording_of("powerpc")
    assert recordings.save("powerpc", document, tmp_path)
    path = recordings.path_of("powerpc", tmp_path)
    before = path.read_bytes()
    document["varies"]["seconds inside"] = 1e6
    assert not recordings.save("powerpc", document, tmp_path)
    assert path.read_bytes() == before
    document["pending"].pop()
    assert recordings.save("powerpc", document, tmp_path)
    assert json.loads(gzip.decompress(path.read_bytes()))["pending"] == document["pending"]
    assert [p.name for p in tmp_path.iterdir()] == ["powerpc.json.gz"]


def test_a_damaged_recording_says_what_to_do(tmp_path):
    path = recordings.path_of("powerpc", tmp_path)
    path.write_bytes(recordings.path_of("powerpc").read_bytes()[:-100])
    with pytest.raises(KvmExitError, match="damaged.*make it anew"):
        recordings.recording_of("powerpc", tmp_path)
    with pytest.raises(KvmExitError, match="no recording of arm64: make it with"):
        recordings.recording_of("arm64", tmp_path)
    with pytest.raises(KvmExitError, match="known: svm, vmx"):
        recordings.recording_of("s390")


@pytest.mark.parametrize("machine", list(ISAS))
@pytest.mark.parametrize("restore", ["new-vm", "same-vcpu"])
def test_the_atlas_of_the_command_line_is_that_of_the_kernel(machine, restore, capsys):
    argv = ["atlas", "--machine", ROWS[machine], "--json"]
    assert main([*argv, *(["--same-vcpu"] if restore == "same-vcpu" else [])]) == 0
    said = json.loads(capsys.readouterr().out)
    for report in said:
        del report["kernel"], report["restore"]
    assert said == recordings.recording_of(machine)["atlas"][restore]


@pytest.mark.parametrize("restore", ["new-vm", "same-vcpu"])
def test_the_atlas_of_x86_fast_out_is_that_of_svm_and_of_vmx(restore, capsys):
    argv = ["atlas", "--machine", "x86-fast-out", "--json"]
    assert main([*argv, *(["--same-vcpu"] if restore == "same-vcpu" else [])]) == 0
    said = json.loads(capsys.readouterr().out)
    for report in said:
        del report["kernel"], report["restore"]
    assert len(said) == len(atlas_cases()) > 100
    for machine in X86:
        assert said == recordings.recording_of(machine)["atlas"][restore]


def test_a_table_for_a_person_is_in_the_machine_s_own_words(capsys):
    assert main(["atlas", "--machine", "arm64", "--only", "pair"]) == 0
    said = capsys.readouterr().out
    assert "load of a pair" in said and "ends with OtherExit(exit_reason=28)" in said
    assert " pc " in said and "rip" not in said
