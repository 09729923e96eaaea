"""A flow that needs only Prefect: it counts the words of a text.

Alone, without a server: `python -m flow '{"text": "one two"}'`.
"""

import json
import sys
from collections import Counter

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact

NAME = "{{ cookiecutter.__flow }}"


@flow(name=NAME, validate_parameters=True)
def words(text: str = "to be or not to be") -> dict[str, int]:
    """Count the words, and show them as a table.

    Args:
        text: The text, with blanks between its words.
    """
    counts = count(text)
    get_run_logger().info("%s words, %s of them different", sum(counts.values()), len(counts))
    report(counts)
    return counts


@task(retries=2, retry_delay_seconds=10)
def count(text: str) -> dict[str, int]:
    """The number of each word, the most frequent word first."""
    return dict(Counter(text.split()).most_common())


def report(counts: dict[str, int]) -> None:
    """Show the words as a table on the page of the run."""
    lines = [f"| {word} | {number} |" for word, number in counts.items()]
    create_markdown_artifact("\n".join(["| word | times |", "|---|---:|", *lines]), key=NAME)


if __name__ == "__main__":
    words(**json.loads(sys.argv[1] if len(sys.argv) > 1 else "{}"))
