"""Python's garbage collector, kept from searching all of Ansible's memory in the process of every task."""

from __future__ import annotations

import gc

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: collect_garbage_rarely
type: aggregate
short_description: Run Python's garbage collector rarely
description: What is there when a play begins is never searched, and what comes later only when it is much.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "collect_garbage_rarely"

    def v2_playbook_on_play_start(self, _play: object) -> None:
        """The processes of tasks are forked from this one, and inherit both."""
        gc.freeze()
        gc.set_threshold(100_000, 50, 100)
