"""The platform's programs on a host of the lab."""

PROGRAMS = "/opt/prefect/platform/current/host"
BACKUP_REPORT = f"runuser -u postgres -- /usr/bin/python3 {PROGRAMS} backup_report"
