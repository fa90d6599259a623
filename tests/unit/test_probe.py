"""`kvmexit probe` and `kvmexit atlas`: their JSON, their text, and what they refuse."""

import json
from itertools import cycle

import pytest
from kvmexit.commands import main
from kvmexit.errors import KvmExitError
from kvmexit.kernel.simulated import SimulatedKernel, SimulatedVm
from kvmexit.probe.cases import Case, case
from kvmexit.probe.report import probe
from kvmexit.probe.saves import SAVES

READ = ["--code", "8a0524000d00f4"]


def ask(capsys, *args: str) -> dict:
    assert main([*args, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_read(capsys) -> None:
    answer = ask(capsys, "probe", *READ)
    assert answer["exits"] == [
        {
            "k": 0,
            "kind": "mmio-read",
            "gpa": "0xd0024",
            "size": 1,
            "count": 1,
            "rip": "0x1000",
            "rip_after": "0x1006",
            "changed": {},
            "drain_runs": 1,
            "ram_written": 0,
            "save": {
                "served": "repeated",
                "unserved": "fine",
                "kick-once": "fine",
                "serve-once": "fine",
                "drain": "fine",
            },
            "registers_alone": {},
        }
    ]
    assert answer["log"] == [
        {"kind": "mmio-read", "gpa": "0xd0024", "size": 1, "count": 1, "data": "11"}
    ]
    assert (answer["end"], answer["code"]) == ("hlt", READ[1])


def test_what_a_save_of_the_registers_alone_loses_is_in_brackets(capsys) -> None:
    code = ("--code", "f63524000d00f4", "--reg", "eax=0xffff")  # div byte [0xd0024]
    (row,) = ask(capsys, "probe", *code)["exits"]
    assert row["save"]["drain"] == "fine"
    assert row["registers_alone"] == dict.fromkeys(("kick-once", "serve-once", "drain"), "repeated")
    main(["probe", *code])
    said = capsys.readouterr().out
    assert "fine (repeated)" in said and "leaves out the events" in said
    main(["probe", *code, "--saved", "registers"])
    assert "(" not in capsys.readouterr().out.split("exit  access")[1]


def test_ports_and_msrs_are_named_as_such(capsys) -> None:
    port = ask(capsys, "probe", "--code", "ecf4", "--reg", "edx=0x5a")["exits"][0]
    msr = ask(capsys, "probe", "--code", "0f32f4", "--reg", "ecx=0xdead0000")["exits"][0]
    assert (port["kind"], port["port"]) == ("pio-in", "0x5a")
    assert (msr["kind"], msr["msr"], msr["size"]) == ("rdmsr", "0xdead0000", 8)


def test_reads_are_fed_one_count_over_the_run(capsys) -> None:
    """in al, dx; mov ax, [0xd0024]; rdmsr"""
    code = "ec66a124000d00b90000adde0f32f4"
    log = ask(capsys, "probe", "--code", code)["log"]
    assert [entry["data"] for entry in log] == ["11", "1213", "1415161718191a1b"]


def test_registers_and_ram_are_as_given(capsys) -> None:
    """outsb: one byte from RAM."""
    args = ["--reg", "esi=0x3000", "--reg", "edx=7", "--ram", "0x3000=abcd"]
    assert ask(capsys, "probe", "--code", "6ef4", *args)["log"][0]["data"] == "ab"


def test_the_same_vcpu_drops_the_answer(capsys) -> None:
    row = ask(capsys, "probe", *READ, "--same-vcpu")["exits"][0]
    assert (row["save"]["served"], row["save"]["drain"]) == ("stale", "fine")


def test_long_repeats_are_probed_at_every_exit(capsys) -> None:
    args = ["--reg", "ecx=1100", "--reg", "esi=0xd0024", "--reg", "edi=0x2000"]
    exits = ask(capsys, "probe", "--code", "f3a4f4", *args)["exits"]
    assert [row["drain_runs"] for row in exits] == [*range(76, 0, -1), *range(1024, 0, -1)]
    assert {row["save"]["drain"] for row in exits} == {"fine"}
    assert {row["save"]["served"] for row in exits} == {"repeated"}


@pytest.mark.parametrize(
    "args, words",
    [
        (["--code", "0fc7c8f4"], "no instruction of the subset at 0x1000: bytes 0f c7 c8 f4"),
        (["--code", "xyz"], "not hex bytes"),
        (["--code", ""], "there is no code"),
        (["--code", "f4", "--reg", "foo=1"], "no register 'foo'"),
        (["--code", "f4", "--reg", "eax=0x100000000"], "eax cannot hold"),
        (["--code", "f4", "--reg", "eax"], "give NAME=VALUE"),
        (["--code", "f4", "--reg", "eax=z"], "is no number"),
        (["--code", "f4", "--ram", "0xffff=0102"], "do not fit into the RAM"),
        (["--code", "f4", "--ram", "0xffff"], "give ADDRESS=HEX"),
        (["--code", "ff1df4"], "no instruction of the subset"),
        (["--code", "f4", "--kernel", "real", "--machine", "arm64"], "--machine goes with"),
    ],
)
def test_what_it_refuses(capsys, args: list[str], words: str) -> None:
    assert main(["probe", *args]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


def test_a_guest_that_loops_is_given_up() -> None:
    with pytest.raises(KvmExitError, match="did not leave for 1000 instructions and is at 0x1000"):
        probe(SimulatedKernel(limit=1000), Case("loop", b"\xeb\xfe"))


def test_a_row_for_every_exit_and_a_verdict_for_every_save(capsys) -> None:
    assert main(["atlas", "--json"]) == 0
    atlas = json.loads(capsys.readouterr().out)
    assert len(atlas) > 100
    for entry in atlas:
        assert {"name", "code", "listing", "exits", "log", "end"} <= entry.keys()
        assert len(entry["log"]) == len(entry["exits"])
        for row in entry["exits"]:
            assert list(row["save"]) == list(SAVES)


def test_the_text_shows_the_ends_of_a_long_list(capsys) -> None:
    assert main(["probe", "--code", "f3a4f4", "--reg", "ecx=30", "--reg", "esi=0xd0024"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.split()[0].isdigit() for line in lines if "mmio-read" in line) == 8
    assert "..." in lines


def test_an_atlas_of_nothing_is_an_error(capsys) -> None:
    assert main(["atlas", "--only", "zebra"]) == 2
    assert "zebra" in capsys.readouterr().err


def test_code_outside_the_subset_is_listed_by_its_bytes() -> None:
    assert (
        Case("outside", b"\x0f\xc7\xc8\xf4").listing() == "  1000  0f c7 c8 f4  (not in the subset)"
    )


@pytest.mark.parametrize("rounds", [(0, 1), (1, 0), (0, 0, 0, 1)], ids=str)
def test_code_that_does_something_else_each_time_is_told_so(rounds: tuple[int, ...]) -> None:
    """As code does that reads a clock: here ebx counts the runs, and skips an exit in some."""

    class Clock(SimulatedKernel):
        def create_vm(self, memory_size: int) -> SimulatedVm:
            vm = super().create_vm(memory_size)
            enter, now = vm.vcpu.set_state, next(ticks)
            vm.vcpu.set_state = lambda state: enter(state.replace(ebx=now))
            return vm

    ticks = cycle(rounds)
    clock = case("clock", "out 0x10, al; cmp ebx, 0; je end; out 0x10, al; end:")
    with pytest.raises(KvmExitError, match="does not do the same each time"):
        probe(Clock(), clock)
