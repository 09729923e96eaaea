"""Mitogen's search for what a module imports: every file is compiled once."""

import importlib.util
from pathlib import Path

import pytest
from ansible_mitogen import module_finder

import ansible

PLUGIN = Path(__file__).parents[2] / "ansible/plugins/callback/compile_modules_once.py"
ANSIBLE = Path(ansible.__file__).parent


def test_a_file_that_two_modules_import_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []

    def recorded(source: bytes, name: str, mode: str) -> object:
        compiled.append(name)
        return compile(source, name, mode)

    spec = importlib.util.spec_from_file_location("compile_modules_once", PLUGIN)
    plugin = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(plugin)
    monkeypatch.setattr(module_finder, "compile", None, raising=False)
    monkeypatch.setattr(plugin, "compile", recorded, raising=False)
    plugin.CallbackModule().v2_playbook_on_start(None)
    for module in ("file", "slurp"):
        path = ANSIBLE / "modules" / f"{module}.py"
        module_finder.scan(f"ansible_module_{module}", str(path), [str(ANSIBLE / "module_utils")])
    assert compiled.count("ansible.module_utils.basic") == 1
    assert {"ansible_module_file", "ansible_module_slurp"} <= set(compiled)
