"""The command line: what a person types, what comes back, and what is said when it is wrong."""

import json

import pytest
from kvmexit.commands import main, parser_of, subcommands
from kvmexit.packet.experiment import response_of

RUN_KEYS = set(
    "kernel policy compensation restore device landing outcome guest expected device_reads"
    " left_over driver ioctls pattern".split()
)


def call(capsys, *words: str) -> tuple[int, str, str]:
    status = main(words)
    out, err = capsys.readouterr()
    return status, out, err


def test_run_as_json(capsys):
    status, out, _ = call(capsys, "run", "--at-exit", "13", "--json")
    document = json.loads(out)
    assert RUN_KEYS <= set(document)
    assert status == 1
    assert document["outcome"] == {"kind": "missing", "index": 12}
    assert document["expected"] == response_of(64).hex()
    assert document["driver"] == {"return": 64, "message": None}


def test_run_undisturbed(capsys):
    status, out, _ = call(capsys, "run", "--length", "20", "--json")
    document = json.loads(out)
    assert status == 0
    assert document["landing"] is None and document["pattern"] is None


def test_run_for_a_person(capsys):
    status, out, _ = call(capsys, "run", "--at-exit", "13")
    assert status == 1
    assert "missing at 12" in out and "KVM_GET_REGS" in out and "bad" in out


def test_run_with_a_response_of_ones_own(capsys):
    _, out, _ = call(capsys, "run", "--response", "80 01 0000000c 00000000 abcd", "--json")
    assert json.loads(out)["guest"] == "80010000000c00000000abcd"


def test_sweep_as_json(capsys):
    status, out, _ = call(capsys, "sweep", "--length", "20", "--json")
    document = json.loads(out)
    assert status == 1
    assert set(document["policies"]["drain"]) == {"."}
    assert {len(s) for s in document["policies"].values()} == {document["landings"]}
    assert document["distinct"] > 1


def test_sweep_of_one_policy_for_a_person(capsys):
    status, out, _ = call(capsys, "sweep", "--policy", "drain")
    assert status == 0
    assert "drain: none of" in out and "kick-once" not in out


LONG = "x" * 300
"""No file system takes such a name."""


@pytest.mark.parametrize(
    "words, says",
    [
        ("run --policy nonsense", "invalid choice: 'nonsense'"),
        ("run --device tpm", "invalid choice: 'tpm'"),
        ("run --response 123", "not hex bytes: '123'"),
        ("run --response zz", "not hex bytes: 'zz'"),
        ("run --response 8001 --length 3", "not allowed with"),
        ("run --length 0", "1 to 4096 bytes, not 0"),
        ("run --length 5000", "1 to 4096 bytes, not 5000"),
        ("run --length many", "invalid int value"),
        ("run --at-exit 65", "landing 65 lies past the end: the run has 64 reads"),
        ("run --at-exit 0", "count from 1"),
        ("run --device tis-indexed --program wide", "has a driver of its own"),
        ("run --recording x", "--recording goes with --kernel recorded"),
        ("run --kernel recorded --recording missing.json", "missing.json"),
        ("sweep --phase x", "unrecognized arguments"),
        ("run --phase entered", "--phase is of the exit that --at-exit counts to: give both"),
        ("film --landing 9 --phase served", "--phase is of the exit that --at-exit counts to"),
        (f"run --kernel recorded --recording {LONG}", "File name too long"),
        (f"record {LONG}", "File name too long"),
        (
            "record nowhere/x.json",
            "nowhere/x.json: cannot be written: No such file or directory; make its folder first",
        ),
        ("record /", "/: cannot be written: Is a directory"),
        (
            "atlas --only hlt --record nowhere/x.json",
            "nowhere/x.json: cannot be written: No such file or directory; make its folder first",
        ),
        (
            "race --record nowhere/x.json",
            "nowhere/x.json: cannot be written: No such file or directory; make its folder first",
        ),
        ("race --record /", "/: cannot be written: Is a directory"),
        ("nonsense", "invalid choice"),
        ("", "required"),
    ],
)
def test_bad_input_is_one_line_and_status_2(capsys, words, says):
    status, out, err = call(capsys, *words.split())
    assert status == 2
    assert out == ""
    assert err.startswith("kvmexit: ") and err.count("\n") == 1
    assert says in err


def test_an_empty_response_is_refused(capsys):
    status, _, err = call(capsys, "run", "--response", "")
    assert status == 2 and "1 to 4096 bytes" in err


def test_help_names_every_subcommand(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    out = capsys.readouterr().out
    for name in ("doctor", "run", "sweep", "race"):
        assert f"    {name} " in out


def test_every_option_says_what_it_is_for():
    for module in subcommands():
        name = module.__name__.rpartition(".")[2]
        actions = parser_of([module]).commands.choices[name]._actions
        assert not [one.dest for one in actions if not one.help], name


@pytest.mark.parametrize(
    "words",
    ["record {}", "race --record {}", "atlas --record {}", "film --html {}"],
)
@pytest.mark.parametrize("place", ["", "none/here"])
def test_what_cannot_be_written_is_said_at_once(capsys, monkeypatch, tmp_path, words, place):
    """Before anything is recorded, which may take long."""
    monkeypatch.setattr("kvmexit.kernel.real.RealKernel", lambda: pytest.fail("it has begun"))
    path = tmp_path / place
    status, _, err = call(capsys, *words.format(path).split())
    assert status == 2 and err.count("\n") == 1, err
    assert f"{path}: cannot be written" in err and err.endswith("or write elsewhere\n")
    assert list(tmp_path.iterdir()) == []
