"""The whole stop path in C, as the book prints it, on real KVM at every landing; and without each
of its steps, to see that it is needed."""

import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest
from kvmexit.guest import assemble
from kvmexit.guest.driver import RAM, load
from kvmexit.packet import response_of
from patience import PATIENCE

HERE = Path(__file__).parent
STOP_PATH = HERE.parents[1] / "book" / "code" / "stop_path.c"
WARNINGS = ("-Wall", "-Wextra", "-Werror")
GUESTS = ("driver", "wide", "rmw", "string", "div")
RESPONSE = response_of(20)
LONG, SHORT = f"{PATIENCE:.0f}", "2"
"""Seconds after which a stop is given up: no right one takes so long, no lost one ends at all."""
SPIN = "again:\n inc dword [0x800]\n jmp again"

WITHOUT = {
    "serve first": (
        '\t\t\tHERE("exit");\n\t\t\tint result = serve(v);\n',
        '\t\t\tHERE("exit");\n\t\t\tif (atomic_load(&v->stop))\n\t\t\t\treturn drain(v);\n'
        "\t\t\tint result = serve(v);\n",
    ),
    "drain": (
        "\tint result = 0;\n\n\tv->run->immediate_exit = 1;\n",
        "\tint result = STOPPED;\n\n\tv->run->immediate_exit = 1;\n",
    ),
    "events": ("\t    ioctl(v->fd, KVM_SET_VCPU_EVENTS, &s->events) ||\n", ""),
    "events after registers": (
        "\t    ioctl(v->fd, KVM_SET_REGS, &s->regs) ||\n"
        "\t    ioctl(v->fd, KVM_SET_VCPU_EVENTS, &s->events) ||\n",
        "\t    ioctl(v->fd, KVM_SET_VCPU_EVENTS, &s->events) ||\n"
        "\t    ioctl(v->fd, KVM_SET_REGS, &s->regs) ||\n",
    ),
    "memory last": (
        "\tint failed = 0;\n",
        "\tint failed = 0;\n\tmemcpy(ram, vm->ram, vm->size);\n\tvm->size = 0;\n",
    ),
}
"""A step, the words of the program that take it, and what stands there without it."""
FLAG, SIGNAL = "\tv->run->immediate_exit = 1;\n\tHERE", "\tpthread_kill(v->thread, SIG_KICK);\n"
KICKS = {
    "the signal first": (
        (SIGNAL, ""),
        (FLAG, SIGNAL + '\tHERE("kick");\n\tv->run->immediate_exit = 1;\n\t(void)0; //'),
    ),
    "the signal alone": ((FLAG, "\tHERE"),),
    "the flag alone": ((SIGNAL, ""),),
}


@pytest.fixture(scope="module")
def build(kvm: str, tmp_path_factory: pytest.TempPathFactory):
    """``build(*changes)``: the harness around the program, some of its words replaced."""
    if shutil.which("gcc") is None:
        pytest.skip("no gcc: on Debian, apt-get install gcc libc6-dev")
    folder = tmp_path_factory.mktemp("stop-path")

    @cache
    def built(*changes: tuple[str, str]) -> Path:
        source = STOP_PATH.read_text()
        for old, new in changes:
            assert source.count(old) == 1, f"the program no longer says {old!r}"
            source = source.replace(old, new)
        number = len(list(folder.iterdir()))
        path, program = folder / f"{number}.c", folder / f"{number}.out"
        path.write_text(source)
        switches = [*WARNINGS, "-O2", "-pthread", "-D_GNU_SOURCE", f'-DSTOP_PATH="{path}"']
        subprocess.run(["gcc", *switches, str(HERE / "harness.c"), "-o", str(program)], check=True)
        return program

    return built


def image(guest: str, folder: Path) -> tuple[str, str]:
    """A file with the guest's RAM, and where it starts, in hex."""
    memory = bytearray(RAM)
    start = 0x1000
    if guest == "div":  # eax is 0xffff: divided by a byte of the response, 0x80 first
        memory[start : start + 7] = bytes.fromhex("f6352400d4fe f4")
    elif guest == "spin":
        code = assemble(SPIN, start).code
        memory[start : start + len(code)] = code
    else:
        start = load(memory, guest)
    (folder / guest).write_bytes(memory)
    return str(folder / guest), f"{start:x}"


def landings(program: Path, guest: str, folder: Path) -> list[list[str]]:
    """For each landing, from 0 for none: its number, its place, and how the run ended."""
    done = subprocess.run(
        [program, LONG, *image(guest, folder), RESPONSE.hex()],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [line.split(" ", 2) for line in done.stdout.splitlines()]


def broken(program: Path, guest: str, folder: Path) -> list[str]:
    """The landings whose runs end otherwise than the one that nobody stops."""
    first, *others = landings(program, guest, folder)
    assert len(others) >= 3
    return [f"{number} {place}" for number, place, ending in others if ending != first[2]]


def test_it_compiles_without_a_warning_by_itself(tmp_path):
    if shutil.which("gcc") is None:
        pytest.skip("no gcc: on Debian, apt-get install gcc libc6-dev")
    switches = [*WARNINGS, "-pthread", "-c", str(STOP_PATH), "-o", str(tmp_path / "x.o")]
    subprocess.run(["gcc", *switches], check=True)


@pytest.mark.parametrize("guest", GUESTS)
def test_it_loses_nothing_at_any_landing(build, guest, tmp_path):
    assert broken(build(), guest, tmp_path) == []


@pytest.mark.parametrize(
    ("step", "guest", "places"),
    [
        ("serve first", "driver", {"exit"}),
        ("drain", "driver", {"exit", "served"}),
        ("drain", "wide", {"exit", "served"}),
        ("events", "div", {"exit", "served", "looked"}),
        ("events after registers", "div", {"exit", "served", "looked"}),
        ("memory last", "string", {"exit", "served", "looked"}),
    ],
)
def test_without_a_step_a_landing_breaks(build, step, guest, places, tmp_path):
    found = broken(build(WITHOUT[step]), guest, tmp_path)
    assert {landing.split()[1] for landing in found} == places, (step, found)


def spins(program: Path, seconds: str, where: str, folder: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [program, seconds, *image("spin", folder), where], stdout=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("where", ["looked", "in"])
def test_the_kick_stops_a_guest_that_never_leaves(build, where, tmp_path):
    done = spins(build(), LONG, where, tmp_path)
    assert (done.returncode, done.stdout) == (0, "stopped\n")


@pytest.mark.parametrize(
    ("kick", "where"),
    [("the signal first", "looked"), ("the signal alone", "looked"), ("the flag alone", "in")],
)
def test_half_a_kick_can_be_lost(build, kick, where, tmp_path):
    """The hook between look and entry makes the race certain."""
    done = spins(build(*KICKS[kick]), SHORT, where, tmp_path)
    assert done.returncode == 3
    assert done.stdout.endswith("the stop never ends\n"), done.stdout
