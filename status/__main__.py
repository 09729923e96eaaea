"""Prints the report; exits with 1 when something is wrong: `python -m status FILE COMMAND …`.

The command looks at the hosts, and leaves what it saw in the file. PREFECT_API_URL and its companions say where the
server is, as for every client of Prefect.
"""

import os
import sys
from pathlib import Path

from deployer.commands import make_command
from status import certificate, hosts, server
from status.report import NOW, Report

URL, LOGIN, CA = (os.environ[f"PREFECT_API_{name}"] for name in ("URL", "AUTH_STRING", "SSL_CERT_FILE"))

report = Report()
print(f"{URL.removesuffix('/api')}  {NOW:%Y-%m-%d %H:%M} UTC", flush=True)
# Both at once, so that one that hangs does not keep you from the other.
looking = hosts.Looking(Path(sys.argv[1]), sys.argv[2:])
platform = report.part()
served = certificate.look(URL, CA)
server.tell(platform, URL, LOGIN, CA)
seen = looking.seen()
if seen is None:
    why = make_command("plan-provision")
    report.line("Ansible could not look", f"Ansible could not look at the hosts: {why} says why")
for name, of_host in (seen or {}).items():
    hosts.tell(report, name, of_host)
report.title("Platform")
certificate.tell(report, URL, served, hosts.tls_mode(seen or {}))
report.add(platform)
sys.exit(report.end())
