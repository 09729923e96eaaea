"""Import this environment's server; print its version, its schema, and whether it knows a given schema, as JSON."""

import json
import sys
from pathlib import Path

import prefect
import prefect.server.api.server
from alembic.script import ScriptDirectory
from alembic.util import CommandError

migrations = Path(prefect.server.__file__).parent / "database/_migrations"
scripts = ScriptDirectory(str(migrations), version_locations=[str(migrations / "versions/postgresql")])
try:
    scripts.get_revision(sys.argv[1])
    knows = True
except CommandError:
    knows = False
print(json.dumps({"version": prefect.__version__, "schema": scripts.get_current_head(), "knows": knows}))
