"""Runs that an analysis asks for one at a time: each once, by children that may die; those of `validate`
among them.
"""

import threading
import tomllib
from concurrent.futures import ThreadPoolExecutor

import pytest

from rdsolver.errors import InputError, RunError
from rdsolver.sweep import on_demand as module
from rdsolver.sweep import store as disk
from rdsolver.sweep.on_demand import on_demand
from rdsolver.sweep.worker_pool import WorkerDied
from tests.support.sweeps import BASE


def tables(end="10 d", **rest):
    found = tomllib.loads(BASE)
    return found | {"time": {"end": end}} | rest


@pytest.fixture
def children(monkeypatch):
    """What would be their tasks; their answers, by the length of the run."""

    class Children:
        def __init__(self):
            self.tasks, self.answers, self.lock = [], {}, threading.Lock()

        def __call__(self, task):
            with self.lock:
                self.tasks.append(dict(task))
                answers = self.answers.get(task["tables"]["time"]["end"], [])
                answer = answers.pop(0) if answers else {"status": "finished", "error": ""}
            if isinstance(answer, Exception):
                raise answer
            return answer

    made = Children()
    monkeypatch.setattr(module, "in_worker", made)
    return made


def test_what_is_asked_for_twice_is_computed_once(children, tmp_path):
    asked = [tables(), tables("9 d"), tables(), tables(title="another")]
    with on_demand(tmp_path / "out", 2) as compute, ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(compute, asked * 3))
    assert len({*paths}) == len(children.tasks) == 3
    assert paths[0] == paths[2] == tmp_path / "out" / "runs" / paths[0].parent.name / "run.h5"
    assert all(task["folder"].endswith(task["row"][:16]) for task in children.tasks)


def test_its_name_holds_defaults_and_the_code(children, tmp_path, monkeypatch):
    """So that a folder that is kept is no answer to another rdsolver."""
    with on_demand(tmp_path) as compute:
        written_out = compute(tables(solver={"tolerance": 1e-3}))
        assert compute(tables()) == written_out
        monkeypatch.setattr(module, "git_state", lambda: ("another commit", False))
        assert compute(tables()) != written_out


def test_a_run_whose_process_dies_or_is_stopped_is_tried_again(children, tmp_path):
    stopped = {"status": "stopped", "error": "stopped by SIGTERM"}
    children.answers = {
        "10 d": [WorkerDied("its process was killed by SIGKILL"), stopped],
        "9 d": [WorkerDied("killed")] * 3,
    }
    with on_demand(tmp_path, 1) as compute:
        assert compute(tables()).name == "run.h5"
        assert [t["attempt"] for t in children.tasks] == [1, 2, 3]
        with pytest.raises(RunError, match="killed, 3 times in a row"):
            compute(tables("9 d"))
    failed = disk.status_of(tmp_path / "runs" / children.tasks[-1]["row"][:16])
    assert (failed["status"], failed["attempts"]) == ("failed", 3)
    with on_demand(tmp_path, 1) as compute:  # and begun anew the next time
        compute(tables("9 d"))
    assert children.tasks[-1]["anew"]


def test_a_run_that_fails_says_why_to_all_who_asked(children, tmp_path):
    children.answers = {"10 d": [{"status": "failed", "error": "no baseline"}]}
    with on_demand(tmp_path, 1) as compute:
        for _ in range(2):
            with pytest.raises(RunError, match="no baseline"):
                compute(tables())
    assert len(children.tasks) == 1


def test_one_analysis_in_a_folder(children, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    with on_demand(tmp_path), pytest.raises(InputError, match="is running here"), on_demand(tmp_path):
        pass
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"), on_demand(tmp_path / "file"):
        pass
