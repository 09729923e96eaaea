import re

import yaml
from lab import PROJECT

STAGING_TEST = "where customer_id is null"
DAILY_SALES = "create or replace .*table .*daily_sales"


def test_a_complete_run_reports_its_steps(runs, loaded, undisturbed):
    flow_run = runs.new()
    state = runs.run(flow_run)
    assert state.is_completed(), state.message
    assert loaded.rows() == undisturbed
    assert sum(orders for _, orders, _ in loaded.sales()) == undisturbed[1][1]
    assert not runs.dbt_folder(flow_run).exists()

    count = undisturbed[1][1]
    logs = runs.logs(flow_run)
    for line in ("export finished", "files copied", "rows replaced"):
        assert re.search(rf"{line} .*\brows={count} ", logs), logs
    artifacts = runs.artifacts(flow_run)
    assert (
        f"| COPY INTO | {count} rows in {loaded.table}, 0 rejected; [file by file](/artifacts/" in artifacts["summary"]
    )
    assert sorted(artifacts) == ["files", "results", "summary"]

    assert runs.task_runs(flow_run, at_least=3 + 16) >= {
        "model stg_orders",
        "model daily_sales",
        "test marts_keep_every_order",
    }

    documented = {
        model["name"]: [column["name"] for column in model["columns"]]
        for file in (PROJECT / "dbt" / "models").rglob("*.yml")
        for model in yaml.safe_load(file.read_text()).get("models", [])
    }
    described = {
        model: [row[0].lower() for row in loaded.sql(f"describe table {loaded.schema}.{model}")] for model in documented
    }
    assert documented == described


def test_a_retry_runs_failed_and_skipped_nodes(runs, proxy, loaded, undisturbed):
    def built():
        """How many models were built, or tried to be, since the last look."""
        count = sum("create or replace" in statement for statement in proxy.statements)
        copied = any(statement.startswith("copy into") for statement in proxy.statements)
        proxy.statements.clear()
        return count, copied

    flow_run = runs.new()
    proxy.refuse(STAGING_TEST, "Statement was cancelled")
    state = runs.run(flow_run)
    assert re.search(
        r"test\.shop\.not_null_stg_orders_customer_id\S*: Database Error .* Statement was cancelled", state.message
    )
    assert built() == (1, True), "a failed test of a model stops what is built on it"

    proxy.refuse(DAILY_SALES, "Statement was cancelled")
    state = runs.run(flow_run)
    assert re.search(r"model\.shop\.daily_sales: Database Error .* Statement was cancelled", state.message)
    assert built() == (2, False)

    assert runs.run(flow_run).is_completed()
    assert built() == (1, False)
    assert "already loaded" in runs.logs(flow_run)
    assert "loaded by an earlier attempt" in runs.artifacts(flow_run)["summary"]
    assert loaded.rows() == undisturbed
    assert sum(orders for _, orders, _ in loaded.sales()) == undisturbed[1][1]
    assert not runs.dbt_folder(flow_run).exists()
