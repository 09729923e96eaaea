"""Every program that runs on a host. The host has this folder as it is: `/opt/prefect/platform/current/host`.

Programs of the server and of the workers run in their environments, with Prefect. All others, and
`logs/prefect_journal.py`, need the standard library alone.
"""
