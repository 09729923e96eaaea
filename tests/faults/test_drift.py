"""What somebody changed on a host by hand, the next provision finds and puts right."""

import re

import pytest
from programs import PROGRAMS
from restoring import failed, make
from testinfra.host import Host

UNIT = "/etc/systemd/system"
QUERY = "runuser -u postgres -- psql -qtA prefect -c"
GRANTED = "SELECT has_column_privilege('prometheus', 'flow_run', 'state_name', 'SELECT')"
# By the kind of change: how it is made, and what shows it
CHANGES = {
    "content of a file": ("echo '# by hand' >> /etc/nginx/conf.d/prefect.conf", "cat /etc/nginx/conf.d/prefect.conf"),
    "mode of a file": ("chmod 0644 /etc/prefect/server.env", "stat -c %a /etc/prefect/server.env"),
    "owner of a file": ("chown nobody /etc/pgbackrest.conf", "stat -c %U /etc/pgbackrest.conf"),
    "a removed file": (f"rm {PROGRAMS}/backup.py", f"stat -c %a {PROGRAMS}/backup.py"),
    "content of a program": (f"echo '# by hand' >> {PROGRAMS}/prune.py", f"cat {PROGRAMS}/prune.py"),
    "mode of a program": (f"chmod 0600 {PROGRAMS}/logs/prefect_text.py", f"stat -c %a {PROGRAMS}/logs/prefect_text.py"),
    "a link to elsewhere": ("ln -sf /usr/share/zoneinfo/Asia/Tokyo /etc/localtime", "readlink /etc/localtime"),
    "mode of a folder": ("chmod 0777 /opt/prefect", "stat -c %a /opt/prefect"),
    "a stopped service": ("systemctl stop nginx", "systemctl is-active nginx"),
    "a stopped exporter": ("systemctl stop prometheus-node-exporter", "systemctl is-active prometheus-node-exporter"),
    "a stopped timer": ("systemctl stop disk-space.timer", "systemctl is-active disk-space.timer"),
    "a disabled service": ("systemctl disable prefect-server", "systemctl is-enabled prefect-server"),
    "a disabled timer": ("systemctl disable certbot.timer", "systemctl is-enabled certbot.timer"),
    "a unit that systemd has not read again": (
        f"sed -i 's/OnCalendar=daily/OnCalendar=weekly/' {UNIT}/prefect-prune.timer && systemctl daemon-reload",
        "systemctl show --property TimersCalendar prefect-prune.timer | sed 's/;.*//'",
    ),
    "a removed package": ("apt-get -qq remove apprise", "dpkg-query --show --showformat '${db:Status-Status}' apprise"),
    "a right in the database": (
        f"{QUERY} 'REVOKE SELECT (state_name) ON flow_run FROM prometheus'",  # noqa: S608
        f'{QUERY} "{GRANTED}"',
    ),
}


@pytest.fixture(scope="module")
def looks(host: Host) -> dict[str, list[str]]:
    """What shows each change: before it, after it, and after the next provision."""
    before = {kind: host.run(look).stdout for kind, (_, look) in CHANGES.items()}
    for kind, (change, _) in CHANGES.items():
        assert host.run(change).rc == 0, kind
    changed = {kind: host.run(look).stdout for kind, (_, look) in CHANGES.items()}
    make("provision")
    after = {kind: host.run(look).stdout for kind, (_, look) in CHANGES.items()}
    return {kind: [before[kind], changed[kind], after[kind]] for kind in CHANGES}


@pytest.mark.parametrize("kind", CHANGES)
def test_a_change_by_hand_is_put_right(looks: dict[str, list[str]], kind: str) -> None:
    before, changed, after = looks[kind]
    assert changed != before
    assert after == before


def test_nothing_is_left_to_change(looks: dict[str, list[str]]) -> None:
    assert re.search(r"changed=0 ", make("provision"))


def test_a_tag_is_one_role_and_leaves_the_others_alone(looks: dict[str, list[str]], host: Host) -> None:
    host.check_output("chmod 0644 /etc/prefect/server.env")
    host.check_output("sh -c 'echo >> /etc/nginx/conf.d/prefect.conf'")
    said = make("provision", "TAGS=proxy")
    assert re.search(r"changed=2 ", said), "the file, and nginx that is reloaded"
    assert host.file("/etc/prefect/server.env").mode == 0o644
    make("provision", "TAGS=prefect_server")
    assert host.file("/etc/prefect/server.env").mode == 0o600


def test_a_repository_that_is_gone_is_named_and_prepared_anew(host: Host) -> None:
    host.check_output("mv /var/lib/pgbackrest /var/lib/pgbackrest-away")
    said = " ".join(failed("status").split())
    assert "repository 1: missing stanza path; mount its disk again, or make provision ENV=lab prepares it anew" in said
    assert "no backup in repository 1" in failed("backup")
    make("provision")
    make("backup")
    make("status")
