"""Problems from a seed, their answers, and the check that a student calls."""

import json

import pytest
from kvmexit.commands import main
from kvmexit.elsewhere import recording_of
from kvmexit.elsewhere.observe import ROWS
from kvmexit.kernel import MACHINES
from kvmexit.lab import answer, catalogue, check, grade, mark, problem, real
from kvmexit.lab.log import THEMES, logs
from kvmexit.lab.machines import outcome
from kvmexit.lab.predict import THEMES as PREDICT_THEMES, cases
from kvmexit.lab.submission import submissions
from kvmexit.lab.words import Moment
from kvmexit.vmm.machine import drain, kick_once
from wrong_answers import FOLDER


@pytest.fixture(params=["as it is", "without KVM"])
def machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine, and one that has no KVM."""
    if request.param == "without KVM":
        monkeypatch.setattr(real, "has_kvm", lambda: False)


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("lab", catalogue.TITLES)
def test_a_seed_is_one_problem_everywhere(
    lab: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)  # some library in this process sets it
    for seed in (1, 2, 99):
        assert main(["lab", str(lab), "--seed", str(seed)]) == 0
        assert capsys.readouterr().out == f"{problem(lab, seed)}\n"
        assert main(["lab", str(lab), "--seed", str(seed), "-c", "--json"]) == 0
        said = json.loads(capsys.readouterr().out)
        assert said["answer"] == json.loads(json.dumps(answer(lab, seed).answer))
    assert len({str(problem(lab, seed)) for seed in range(8)}) > 3


@pytest.mark.parametrize("arguments", [["7"], ["2", "--seed", "-1"], ["x"]])
def test_no_such_problem(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", *arguments]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("theme", PREDICT_THEMES)
def test_a_situation_has_one_outcome_whatever_the_packet(theme: str) -> None:
    known = [{case[0]: case[3] for case in cases(theme, seed)} for seed in (1, 2)]
    assert known[0] == known[1]
    assert len(set(known[0].values())) > 1


@pytest.mark.parametrize("theme", THEMES)
def test_the_linter_agrees_on_every_log(theme: str) -> None:
    """Written apart from this lab, it reads the same lines and finds the same saves."""
    from kvmexit.commands import main as command

    for number, log in enumerate(logs(theme, 5)):
        path = f"{theme.replace(' ', '-')}-{number}.strace"
        with open(path, "w") as file:
            file.write("\n".join(log.lines) + "\n")
        assert command(["lint", path]) == (0 if log.bad is None else 1), path


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)


def stop_badly(vcpu, bus):
    vcpu.kvm_run.immediate_exit = 1
    vcpu.run()
    vcpu.kvm_run.immediate_exit = 0


stop_badly.__module__ = "__main__"  # as in a notebook


def test_a_check_names_the_landing_and_shows_its_film() -> None:
    checked = check("2.1", stop_badly)
    verdict = checked.verdict
    assert (verdict.points, verdict.out_of) == (2, 6)
    assert "landing" in repr(checked) and "KVM_GET_REGS" in repr(checked)
    strips, film = checked.seen
    assert f"{'driver':<13} ....." in repr(strips) and "landings are not ok" in repr(strips)
    assert "missing" in repr(film)
    assert "drain" not in repr(checked).lower()
    assert float(mark("2.1", {"stop": stop_badly}, 5)) == 2
    assert float(mark("2.1", {}, 5)) == 0


def in_a_notebook(code: str) -> dict:
    """The names that ``code`` defines, as a kernel would know them."""
    names = {"__name__": "__main__"}
    exec(code, names)
    return names


def test_what_a_check_says_fits_the_page_and_belongs_to_the_failure() -> None:
    code = "def predict(situation):\n    print(situation.access)\n    return 'ok'"
    said = repr(check("1.1", in_a_notebook(code)["predict"]))
    assert max(map(len, said.splitlines())) < 78
    assert "for a data read" in " ".join(said.split())
    assert said.endswith("In that try your code printed:\ndata read")
    code = "def stop(vcpu, bus):\n    print(vcpu.kvm_run.exit())\n    while vcpu.run(): pass"
    names = in_a_notebook(
        code.replace("    while", "    vcpu.kvm_run.immediate_exit = 1\n    while")
    )
    said = repr(check("2.1", names["stop"]))
    assert "landing at exit 1 " in said and "KVM_RUN = -1 EINTR, 40 times" in said
    assert said.endswith("MmioRead(gpa=0xfed40018, size=1)")


@pytest.mark.parametrize(
    "code",
    [
        "import pytest\ndef predict(situation): return pytest.ok",
        "def helper(): return pytest\nimport pytest\ndef predict(situation): helper()",
        "def predict(situation):\n    import pytest\n    return pytest.ok",
        "import pytest\nclass Any:\n    def f(self): pytest\ndef predict(situation): Any()",
    ],
)
def test_a_check_refuses_what_the_grader_has_not(code: str) -> None:
    reason = check("1.1", in_a_notebook(code)["predict"]).verdict.reason
    assert "pytest" in reason and "not there when answers are graded" in reason


def test_a_name_of_the_notebook_is_no_attribute() -> None:
    """``answer`` is the notebook's, and the student means the page's."""
    code = "from kvmexit.lab import answer\ndef stop(vcpu, bus): vcpu.kvm_run.answer(bytes(8))"
    assert "be your own" not in check("2.1", in_a_notebook(code)["stop"]).verdict.reason


def test_a_right_answer_on_the_real_kernel_hears_which_one_it_was() -> None:
    code = (FOLDER.parent / "source" / "5-real" / "5-real.ipynb").read_text()
    cell = next(c for c in json.loads(code)["cells"] if "def stop" in "".join(c["source"]))
    names = in_a_notebook("from kvmexit.exits import EINTR\n" + "".join(cell["source"]))
    verdict = check("5.1", names["stop"]).verdict
    assert verdict.reason == f"right everywhere, on the {real.kernel_name()} kernel"


def test_one_entry_more_is_right_on_a_recording_too(monkeypatch) -> None:
    monkeypatch.setattr(real, "has_kvm", lambda: False)
    code = """
from kvmexit.exits import EINTR
def stop(vcpu, bus):
    vcpu.kvm_run.immediate_exit = 1
    while vcpu.run() is not EINTR:
        bus.serve(vcpu.kvm_run)
    vcpu.run()
    vcpu.kvm_run.immediate_exit = 0
"""
    verdict = check("5.1", in_a_notebook(code)["stop"]).verdict
    assert verdict.reason == "right everywhere, on the recorded kernel"


@pytest.mark.parametrize("seed", range(1, 30))
def test_only_x86_is_asked_about_ports(seed: int) -> None:
    text = problem(6, seed).text
    assert ("pio out" in text) == ("machine is x86" in text)


SEEN = {
    "mmio read": ("load 1", "MMIO read 1"),
    "mmio write": ("store 1", "MMIO write 1"),
    "pio out": ("out dx, al",),
}
"""Accesses of the bonus lab, and their names in the recordings of other machines."""


@pytest.mark.parametrize("machine", ROWS)
def test_the_bonus_lab_has_the_words_of_the_recordings(machine: str) -> None:
    row = MACHINES[ROWS[machine]]
    columns = (row.mmio_read.value, row.mmio_write.value, row.pio_out.value)
    atlas = {one["name"]: one["exits"] for one in recording_of(machine)["atlas"]["new-vm"]}
    seen, said = {}, {}
    for access, names in SEEN.items():
        for (exit,) in (atlas[name] for name in names if name in atlas):
            for phase in ("served", "unserved"):
                seen[access, phase] = exit["save"][phase]
                said[access, phase] = outcome(Moment(access, phase == "served", *columns))
    assert said == seen and len(seen) >= 4


@pytest.mark.parametrize("stop", [drain, kick_once])
def test_a_check_does_not_take_the_books_own_answer(stop) -> None:
    checked = check("2.1", stop)
    assert checked.verdict.points == 0
    assert "the answer must be your own" in checked.verdict.reason


def test_the_recording_gives_the_same_marks_as_the_real_kernel(kvm, monkeypatch) -> None:
    folder = FOLDER.parent / "source" / "5-real"
    answers = submissions(folder) + submissions(FOLDER / "5_ignores_the_result.py")
    on_kvm = [one.points for one in grade.grade(answers, real.RECORDED_SEED)]
    monkeypatch.setattr(real, "has_kvm", lambda: False)
    recorded = [one.points for one in grade.grade(answers, real.RECORDED_SEED)]
    assert on_kvm == recorded == [4, 2]
