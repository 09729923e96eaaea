"""The host is switched off, and its network is cut, under a steady load."""

import time

from breaking import WORKER, began, crashed_after, main_pid
from docker.models.containers import Container
from load import Load
from testinfra.host import Host

CUT = """
table inet faults {
  chain out {
    type filter hook output priority filter;
    tcp dport 4210 meta skuid "prefect-worker-default" drop
  }
}
"""
CUT_SECONDS = 60


def test_the_host_is_switched_off(host: Host, container: Container, load: Load, ended, healthy, figures) -> None:
    with load.steady():
        victim = load.trigger(seconds=600)
        began(load, victim)
        moment = time.time()
        container.kill()
        container.start()
        figures["detected after s"] = crashed_after(load, victim, moment)
    healthy()
    states = figures["states"] = ended()
    assert states["Crashed"] >= 1
    assert set(states) == {"Crashed", "Completed"}


def test_the_network_to_the_server_is_cut(host: Host, load: Load, ended, healthy, recovered, figures) -> None:
    with load.steady():
        going = load.trigger(seconds=CUT_SECONDS + 20)
        began(load, going)
        before = main_pid(host, WORKER)
        host.run_expect([0], f"nft -f - <<'END'\n{CUT}END")
        try:
            time.sleep(CUT_SECONDS)  # the fault itself
        finally:
            host.check_output("nft delete table inet faults")
        figures["a new run completed after s"] = recovered()
        assert main_pid(host, WORKER) == before
    healthy()
    states = figures["states"] = ended()
    assert set(states) == {"Completed"}
