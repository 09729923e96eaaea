"""What stands behind `deploy.py`: from the files under `flows/` to what a Prefect server holds.

document ─ fields                       YAML with line numbers, held against Prefect's own models
project ─ declaration ─ schedules       `flows/<project>/prefect.yaml`
resources ─ targets ─ inventory         what else the server holds, what differs by environment, what the vault has
environment ─ inspection                what the flows themselves say, asked in their own environments
dates ─ passwords                       when schedules fire, by the server's own code; what belongs into the vault
check                                   the rules, over all of them
desired ─ state                         what the server should hold
kinds ─ differences ─ plan ─ apply ─ held   what it does hold, and the way from one to the other
archive ─ report ─ server               releases, words, and the connection
"""
