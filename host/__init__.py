"""Every program that runs on a host. The host has this folder as it is: `/opt/prefect/platform/current/host`.

Programs of the server and of the workers run in their environments, with Prefect; all others, `readable.py` and
`logs/` need the standard library alone.
"""
