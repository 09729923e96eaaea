"""Progress and errors in plain lines: a line for each task that changes something, and one for each failure."""

from __future__ import annotations

import re

from ansible.playbook.block import Block
from ansible.playbook.task_include import TaskInclude
from ansible.plugins.callback.default import CallbackModule as Default

DOCUMENTATION = """
name: plain
type: stdout
short_description: One line for a change, one line for a failure
description: Ansible's default output without unchanged and skipped tasks, and with failures cut to their message.
extends_documentation_fragment: [default_callback, result_format_callback]
"""


# The messages of Ansible and Mitogen
SUDO_PASSWORD = re.compile(r"missing sudo password|sudo.*password is (required|incorrect)", re.IGNORECASE)


class CallbackModule(Default):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "plain"

    def __init__(self) -> None:
        super().__init__()
        self._shown: set[tuple[str, str]] = set()

    def get_option(self, option: str, hostvars: object = None) -> object:
        """Hide unchanged and skipped tasks; all else is as configured."""
        if option in ("display_ok_hosts", "display_skipped_hosts"):
            return False
        return super().get_option(option, hostvars)

    def v2_playbook_on_play_start(self, play) -> None:
        self._play, self._heading = play, play

    def _task_start(self, task, prefix=None) -> None:
        """Print the heading of a play with its first task: after a failure, later plays have no hosts left."""
        if self._heading:
            super().v2_playbook_on_play_start(self._heading)
            self._heading = None
        super()._task_start(task, prefix)

    def v2_playbook_on_include(self, included_file) -> None:
        """Do not print the files that tasks come from."""

    def v2_runner_on_ok(self, result) -> None:
        if isinstance(result.task, TaskInclude):
            return None
        if result.task.action.removeprefix("ansible.builtin.") != "debug":
            return super().v2_runner_on_ok(result)
        lines = result.result.get("msg", "")
        for line in [lines] if isinstance(lines, str) else lines:
            self._display.display(line)
        return None

    def v2_runner_on_failed(self, result, ignore_errors: bool = False) -> None:
        if ignore_errors:
            return
        self._failure(result, "failed")

    def v2_runner_item_on_failed(self, result) -> None:
        self._failure(result, "failed")

    def v2_runner_on_unreachable(self, result) -> None:
        message = str(result.result.get("msg"))
        hint = "correct ansible_host, ansible_port or ansible_user in the inventory"
        if SUDO_PASSWORD.search(message):
            hint = ""  # _failure gives it
        elif "host key" in message:
            hint = "sign in by ssh once to accept its key; if the key has changed, ssh-keygen -R forgets the old one"
        self._failure(result, "unreachable", f" ({hint})" if hint else "")

    def v2_runner_retry(self, result) -> None:
        """Print once that a task waits."""
        if result.result["attempts"] == 1:
            self._display.display(f"waiting: {result.host.get_name()}: {result.task.get_name().strip()}")

    def _failure(self, result, what: str, hint: str = "") -> None:
        if _is_rescued(result.task):
            return
        data = result.result
        if data.get("results") and any(item.get("failed") for item in data["results"]):
            return  # each item has printed its own
        message = " ".join(str(data.get("msg") or data.get("censored") or data).split()).removeprefix("Task failed: ")
        for stream in ("stderr", "module_stderr", "stdout"):
            text = str(data.get(stream) or "").strip()
            if text and message in ("non-zero return code", "failed to validate"):
                message = text.splitlines()[-1] if "Traceback (most recent call last)" in text else text
                break
        if len(message) > 1200:  # a build log, whose end has the reason
            message = f"{message[:200]} ... {message[-1000:]}"
        # A problem of the inventory shows on every host: print it once.
        if (result.task._uuid, message) in self._shown:
            return
        self._shown.add((result.task._uuid, message))
        if SUDO_PASSWORD.search(message):
            hint = " (put the password that sudo asks for into the vault, as ansible_become_password)"
        where = f"{result.host.get_name()}: {result.task.get_name().strip()}"
        self._display.display(f"{what}: {where}: {message}{hint}", "red", stderr=True)


def _is_rescued(task) -> bool:
    """Whether a rescue follows when this task fails."""
    node, parent = task, task._parent
    while parent is not None:
        if isinstance(parent, Block) and parent.rescue and any(child._uuid == node._uuid for child in parent.block):
            return True
        node, parent = parent, parent._parent
    return False
