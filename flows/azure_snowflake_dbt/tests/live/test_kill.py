"""A run killed at any point is mended by running again, the same run or a new one."""

import pytest
from lab import DAY, load_undisturbed


@pytest.mark.parametrize(
    ("statement", "lost", "again"),
    [
        ("^copy into", False, "a new run"),
        ("^insert into", True, "the same run"),  # in the middle of the transaction
        ("^commit", False, "the same run"),
        ("create or replace .*table .*daily_sales", True, "the same run"),
    ],
    ids=["copying", "replacing", "committing", "building"],
)
def test_another_run_completes_a_killed_run(warehouse, lab, runs, proxy, loaded, undisturbed, statement, lost, again):
    load_undisturbed(warehouse, lab, loaded.table, DAY)  # by an earlier run, whose rows are replaced
    flow_run = runs.new()
    runs.kill_at(flow_run, proxy.hold(statement, lost=lost))
    proxy.end_sessions()
    assert loaded.rows() == undisturbed, "the day is not whole"

    if again == "a new run":
        flow_run = runs.new()
    assert runs.run(flow_run).is_completed()
    assert loaded.rows() == undisturbed
    assert loaded.exports()[-1][1].startswith(str(flow_run))
    assert sum(orders for _, orders, _ in loaded.sales()) == undisturbed[1][1]
    assert loaded.staging_tables() == []
    assert not runs.dbt_folder(flow_run).exists()
