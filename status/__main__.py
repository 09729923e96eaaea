"""Prints the report; exits with 1 when something is wrong: `python -m status .cache/production/status.json`.

PREFECT_API_URL and its companions say where the server is, as for every client of Prefect.
"""

import json
import os
import sys
from pathlib import Path

from status import certificate, hosts, server
from status.report import NOW, Report

URL, LOGIN, CA = (os.environ[f"PREFECT_API_{name}"] for name in ("URL", "AUTH_STRING", "SSL_CERT_FILE"))

report = Report()
print(f"{URL.removesuffix('/api')}  {NOW:%Y-%m-%d %H:%M} UTC")
seen_file = Path(sys.argv[1])
if seen_file.exists():
    for name, seen in json.loads(seen_file.read_text()).items():
        hosts.tell(report, name, seen)
else:
    report.line("Ansible could not look", "Ansible could not look at the hosts: make provision ENV=… says why")
report.title("Platform")
certificate.tell(report, URL, CA)
server.tell(report, URL, LOGIN, CA)
sys.exit(report.end())
