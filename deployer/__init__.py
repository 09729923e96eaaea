"""What stands behind `deploy.py`: from `flows/*/prefect.yaml` to deployments registered on a Prefect server.

document ─ project ─ declaration        what the files say, with line numbers
environment ─ inspection                what the flows themselves say, asked in their own environment
check                                   the rules, over both
desired ─ register ─ server             what the server should hold, and the way there
secret_blocks                           the values flows read at run time
"""
