"""The program behind `deploy.py`: from the files under `flows/` to the resources of a Prefect server.

model      errors, differences, the manifest of a release, references in automations: knows nothing else
server     the connection, the kinds of resources, plan, deploy lock, apply, report
flows      projects, their environments, the flows in them, releases
files      prefect.yaml, resources.yml, targets.yml, the inventory: YAML with line numbers, checked by Prefect's models
check      the rules over all files, a module a subject
desired    the manifest of a release, from the checked files

`server` and `flows` use `model`; `files` uses `model` and `server`; `check` uses those four, and `desired` all. Nothing
points the other way. `options` is the command line; `commands` words the commands in messages, for `status/` too.
"""
