"""Keep Python's garbage collector from searching all of Ansible's memory in the process of every task."""

from __future__ import annotations

import gc

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: collect_garbage_rarely
type: aggregate
short_description: Run Python's garbage collector rarely
description: Objects that exist when a play begins are never searched, later ones only when there are many.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "collect_garbage_rarely"

    def v2_playbook_on_play_start(self, _play: object) -> None:
        """Freeze here: the processes of tasks are forked from this one and inherit both settings."""
        gc.freeze()
        gc.set_threshold(100_000, 50, 100)
