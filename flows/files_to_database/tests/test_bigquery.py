"""Google's own client against the stand-in; what only BigQuery itself does is not shown here."""

import pytest
from bigquery_stand_in import BigQuery
from google.auth.credentials import AnonymousCredentials
from google.cloud.bigquery import Client
from web import serving

from bigquery import connect, replace
from errors import LoadError
from months import months_to_load

TABLE = "project.taxis.yellow_trips"


@pytest.fixture
def google():
    with serving(BigQuery()) as server:
        yield server


@pytest.fixture
def client(google):
    return Client("project", AnonymousCredentials(), client_options={"api_endpoint": google.address})


def months(*numbers, ending="parquet"):
    address = "gs://bucket/{colour}_{year}-{month:02}." + ending
    return months_to_load("yellow", 2024, list(numbers), address, None)


def test_a_month_replaces_its_own_partition_and_no_other(google, client):
    google.buckets = {"gs://bucket/yellow_2024-01.parquet": 10, "gs://bucket/yellow_2024-02.parquet": 20}
    assert [replace(client, TABLE, month) for month in months(1, 2, 1)] == [10, 20]
    google.buckets["gs://bucket/yellow_2024-01.parquet"] = 7
    assert replace(client, TABLE, *months(1)) == 7
    assert google.partitions == {"yellow_trips$202401": 7, "yellow_trips$202402": 20}


def test_the_job_makes_a_table_with_a_partition_per_month(google, client):
    google.buckets = {"gs://bucket/yellow_2024-01.csv.gz": 1}
    replace(client, TABLE, *months(1, ending="csv.gz"))
    [job] = google.jobs.values()
    load = job["configuration"]["load"]
    assert load["timePartitioning"] == {"type": "MONTH"}
    assert (load["sourceFormat"], load["autodetect"]) == ("CSV", True)
    assert load["createDisposition"] == "CREATE_IF_NEEDED"


def test_a_missing_file_is_named_in_one_line(google, client):
    with pytest.raises(LoadError, match=r"^gs://bucket/yellow_2024-01\.parquet into .*Not found: URI gs://.*$"):
        replace(client, TABLE, *months(1))
    assert google.partitions == {}


def test_no_access(google, client):
    google.status = 403
    with pytest.raises(LoadError, match=r"^gs://bucket/.* into project\.taxis\.yellow_trips: .*Access Denied.*$"):
        replace(client, TABLE, *months(1))


def test_an_invalid_key():
    with pytest.raises(LoadError, match=r"^the secret is not a key of a Google service account$"):
        connect({"project_id": "project", "private_key": "topsecret"})
