"""What a student's process can do: compute, and ask."""

import pytest
from kvmexit.lab import players
from kvmexit.lab.starting import spawn
from kvmexit.lab.words import StudentError

REFUSED = {
    "open": "open('/etc/passwd')",
    "write": "open('/tmp/written', 'w')",
    "os.open": "os.open('/tmp', 0)",
    "list": "os.listdir('/')",
    "remove": "os.remove('/tmp/there-is-none')",
    "rename": "os.rename('/tmp/a', '/tmp/b')",
    "chmod": "os.chmod('/tmp', 0)",
    "fork": "os.fork()",
    "spawn": "os.posix_spawn('/bin/true', ['true'], {})",
    "exec": "os.execv('/bin/true', ['true'])",
    "kill": "os.kill(os.getppid(), 9)",
    "socket": "__import__('socket').socket()",
    "_socket": "__import__('_socket').socket()",
    "threads": "__import__('_thread').start_new_thread(print, ())",
    "affinity": "os.sched_setaffinity(0, {0})",
    "answers": "__import__('kvmexit.vmm.machine').vmm.machine.drain()",
    "files": "__import__('pathlib').Path('/etc/passwd').read_text()",
    "devices": "os.open('/dev/kvm', os.O_RDWR)",
    "limits": "__import__('resource').setrlimit(0, (-1, -1))",
}


@pytest.fixture(scope="module")
def player():
    cells = ["import os", *(f"def f{n}(): {act}" for n, act in enumerate(REFUSED.values()))]
    with spawn([*cells, "def fine(): return sum(range(10))"]) as player:
        yield player


@pytest.mark.parametrize("what", REFUSED)
def test_refused(player, what: str) -> None:
    with pytest.raises(StudentError) as problem:
        player.call(f"f{list(REFUSED).index(what)}")
    text = str(problem.value)
    words = ("not permitted", "not there when", "be your own", "can't start", "not allowed")
    assert any(one in text for one in words), text
    assert player.call("fine") == 45


def test_who_waits_is_told_and_who_lacks_a_processor_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both have answered nothing when their time is up; only one of them has had its chance."""
    wait = "import time\ndef wait():\n    time.sleep(1000)"
    count = "def count():\n    x = 0\n    while x < 10_000_000: x += 1\n    return 'done'"
    with spawn([count, wait]) as player:
        monkeypatch.setattr(players, "CALL_SECONDS", 0.001)
        assert player.call("count") == "done"
        with pytest.raises(StudentError, match="does it wait or loop for ever"):
            player.call("wait")


def test_it_is_locked_before_the_answer_is_loaded() -> None:
    with spawn(["open('/etc/passwd')"]) as player:
        assert player.is_locked
        assert "Operation not permitted" in player.problems[0]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("return object()", "cannot be handed over"),
        ("return 'x' * (1 << 20)", "larger than"),
        ("return 1 << 100_000", "more than 4096 bits"),
        ("x = []; x.append(x); return x", "nested too deeply"),
        ("print('\\x1b[2J'); raise ValueError('\\x1b[2J')", "?[2J"),
        ("raise KeyboardInterrupt", "raised KeyboardInterrupt"),
        ("def g(): g()\n    g()", "raised RecursionError"),
        ("import ctypes; ctypes.string_at(0)", "ended by SIGSEGV"),
    ],
)
def test_what_comes_back_is_data_or_a_sentence(code: str, words: str) -> None:
    with spawn([f"def f():\n    {code}"]) as player, pytest.raises(StudentError) as problem:
        player.call("f")
    assert words in str(problem.value)
    assert "\x1b" not in player.printed
