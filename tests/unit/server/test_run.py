"""A run is followed to its end, and says why it did not complete."""

import contextvars
import threading

import pytest
from asking import ask
from prefect.client.schemas.actions import LogCreate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.states import Completed, Failed, Running
from prefect.types._datetime import now
from waiting import until

import deploy


@pytest.fixture
def daily(apply, shop: str) -> str:
    """A deployment that is registered, and that no worker takes."""
    assert apply()[0] == 0
    return f"{shop}-goodbye/by-hand"


@pytest.fixture
def end(daily: str):
    """Does a worker's work: ends the run that is to come in a state, after it has logged some lines."""
    deployment = ask("read_deployment_by_name", daily).id

    def work(state) -> None:
        of_deployment = DeploymentFilter(id=DeploymentFilterId(any_=[deployment]))
        [run] = until(
            lambda: ask("read_flow_runs", deployment_filter=of_deployment), within=60, what="the run is there"
        )
        ask("set_flow_run_state", run.id, Running(), force=True)
        lines = [
            LogCreate(name="flow", level=20, message=f"line {number}", timestamp=now("UTC"), flow_run_id=run.id)
            for number in range(30)
        ]
        ask("create_logs", lines)
        ask("set_flow_run_state", run.id, state, force=True)

    def end(state) -> threading.Thread:
        # The settings of the test are of its context, which a thread does not inherit.
        thread = threading.Thread(target=contextvars.copy_context().run, args=[work, state])
        thread.start()
        return thread

    return end


def test_a_run_that_completes_is_a_success(daily: str, end, capsys) -> None:
    end(Completed())
    assert deploy.main(["run", daily, "--parameters", "{}"]) == 0
    assert capsys.readouterr().out.split()[-1] == "Completed"


def test_a_run_that_fails_says_why(daily: str, end, capsys) -> None:
    end(Failed(message="the warehouse is closed"))
    assert deploy.main(["run", daily]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].endswith("is Failed: the warehouse is closed")
    assert [line.split()[-1] for line in lines if "line " in line] == [str(number) for number in range(10, 30)]


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize("name", ["nothing/daily", "nothing"])
def test_a_deployment_that_is_not_there_is_named(name: str, capsys) -> None:
    assert deploy.main(["run", name]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"there is no deployment '{name}': ")


@pytest.mark.parametrize("text", ["{", "[1]", "1"])
def test_parameters_are_a_json_object(text: str, capsys) -> None:
    with pytest.raises(SystemExit):
        deploy.main(["run", "a/b", "--parameters", text])
    assert f"{text} is not" in capsys.readouterr().err
