"""Mitogen's search for what a module imports: every file is compiled once."""

import subprocess
import sys
from pathlib import Path

PLUGIN = Path(__file__).parents[2] / "ansible/plugins/callback/compile_modules_once.py"

# In a process of its own: Ansible's import hooks stay in the process that imports one of its plugins.
PROGRAM = """
import importlib.util, pathlib, sys, ansible
from ansible_mitogen import module_finder
compiled = []
def recorded(source, name, mode):
    compiled.append(name)
    return compile(source, name, mode)
spec = importlib.util.spec_from_file_location("plugin", sys.argv[1])
plugin = importlib.util.module_from_spec(spec)
spec.loader.exec_module(plugin)
plugin.compile = recorded
plugin.CallbackModule().v2_playbook_on_start(None)
folder = pathlib.Path(ansible.__file__).parent
for name in ("file", "slurp"):
    module_finder.scan("ansible_module_" + name, f"{folder}/modules/{name}.py", [f"{folder}/module_utils"])
print(*compiled)
"""


def test_a_file_that_two_modules_import_is_compiled_once() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(PLUGIN)], capture_output=True, text=True, timeout=600, check=True
    )
    compiled = done.stdout.split()
    assert compiled.count("ansible.module_utils.basic") == 1
    assert {"ansible_module_file", "ansible_module_slurp"} <= set(compiled)
