"""Compile the files of module_utils once: Mitogen compiles them for every module, to see its imports."""

from __future__ import annotations

import functools

from ansible_mitogen import module_finder

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: compile_modules_once
type: aggregate
short_description: Compile every file of module_utils once
description: Mitogen's process is forked from this one, and inherits the cache.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "compile_modules_once"

    def v2_playbook_on_start(self, _playbook: object) -> None:
        module_finder.compile = functools.cache(compile)
