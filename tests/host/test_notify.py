"""Whatever service fails, the operator hears of it once; and of a disk before it is full."""

import re
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from testinfra.host import Host
from waiting import until

Told = Callable[[str], list[dict]]


def test_a_service_that_fails_is_told_of_once(host: Host, told: Told, fail: Callable[[str], None]) -> None:
    again, after = f"probe-{uuid4().hex}.service", f"probe-{uuid4().hex}.service"
    fail(again)
    (message,) = until(lambda: told(again), within=30, what="the failure is told of")
    assert message["message"] == f"Result: exit-code. What it said: journalctl --unit {again}"
    fail(again)
    fail(after)
    assert until(lambda: told(after), within=30, what="another one is told of")
    assert len(told(again)) == 1


def test_no_unit_of_the_platform_fails_silently(host: Host) -> None:
    ours = {"prefect-server.service", "prefect-worker@default.service"}
    shown = host.check_output(
        f"systemctl show --property Id,OnFailure {' '.join(ours)} 'postgresql@*.service' nginx certbot disk-space"
    )
    on_failure = dict(re.findall(r"^Id=(.+)\nOnFailure=(.*)$", shown, re.MULTILINE))
    assert ours < set(on_failure)
    assert any(unit.startswith("postgresql@") for unit in on_failure)
    assert on_failure == {unit: f"notify@{unit}.service" for unit in on_failure}


def test_the_addresses_are_for_root_alone(host: Host) -> None:
    file = host.file("/etc/prefect/notify.env")
    assert (file.user, file.mode) == ("root", 0o600)
    (address,) = re.findall(r'^APPRISE_URLS="(\S+)"$', file.content_string)
    assert address not in host.check_output("systemctl cat notify@.service")


def test_nothing_tells_of_what_tells(host: Host) -> None:
    assert host.check_output("systemctl show --property OnFailure --value notify@probe.service") == ""


@pytest.fixture(params=["/srv", "/tmp"])  # noqa: S108, the place is what is tested
def small_disk(host: Host, request: pytest.FixtureRequest) -> Iterator[str]:
    """A disk of 1 MB, where the check looks."""
    host.check_output("systemctl reset-failed disk-space")  # systemd counts how often a unit starts
    host.check_output("mount -t tmpfs -o size=1m,mode=1777 small-disk %s", request.param)
    yield request.param
    # What has started meanwhile has a /tmp of its own on it.
    host.check_output("umount --lazy %s", request.param)
    host.check_output("systemctl reset-failed disk-space")
    host.check_output("systemctl start disk-space")


def test_a_disk_that_fills_up_is_told_of_until_there_is_room_again(host: Host, told: Told, small_disk: str) -> None:
    alarm = "notify@disk-space.service.service"
    before = len(told("disk-space.service"))
    host.check_output("systemctl start disk-space")
    host.check_output("head --bytes 1000k /dev/zero > %s/filling", small_disk)
    for _ in range(2):
        assert host.run("systemctl start disk-space").rc == 1
    assert until(lambda: len(told("disk-space.service")) > before, within=30, what="the full disk is told of")
    journal = host.check_output("journalctl --unit disk-space --output cat --since -1min")
    assert f"{small_disk}: 98% of its bytes used, over 85%" in journal

    host.check_output("rm %s/filling", small_disk)
    host.check_output("systemctl start disk-space")
    assert host.run("systemctl is-active %s", alarm).stdout.strip() == "inactive"
    assert len(told("disk-space.service")) == before + 1


def test_the_check_comes_by_itself(host: Host) -> None:
    assert host.service("disk-space.timer").is_running
    assert host.service("disk-space.timer").is_enabled
