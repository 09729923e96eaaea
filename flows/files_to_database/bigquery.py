"""From Google Cloud Storage into BigQuery, by BigQuery's load jobs. Tested against a stand-in, not against Google.

The table has a partition per month, by the time of loading, not by a column: a file may contain rows of other days.
"""

from google.api_core.exceptions import GoogleAPICallError, RetryError
from google.auth.exceptions import GoogleAuthError
from google.cloud.bigquery import (
    Client,
    CreateDisposition,
    LoadJobConfig,
    SchemaUpdateOption,
    SourceFormat,
    TimePartitioning,
    TimePartitioningType,
    WriteDisposition,
)
from google.oauth2.service_account import Credentials

from errors import LoadError, Unavailable, one_line
from months import Month
from redaction import redacted, shown

TRANSIENT = {408, 429, 500, 502, 503, 504}


def connect(service_account: dict[str, str]) -> Client:
    """A client with the key of a service account, the JSON of Google. Raises LoadError for another JSON."""
    try:
        credentials = Credentials.from_service_account_info(service_account)  # type: ignore[no-untyped-call]
    except ValueError:  # its message may contain a part of the key
        raise LoadError("the secret is not a key of a Google service account") from None
    return Client(service_account["project_id"], credentials)


def replace(client: Client, table: str, month: Month) -> int:
    """Replace the month's partition by the rows of its file, in one step; returns the number of rows."""
    parquet = month.address.endswith(".parquet")
    config = LoadJobConfig(
        source_format=SourceFormat.PARQUET if parquet else SourceFormat.CSV,
        autodetect=None if parquet else True,
        create_disposition=CreateDisposition.CREATE_IF_NEEDED,
        write_disposition=WriteDisposition.WRITE_TRUNCATE,
        schema_update_options=[SchemaUpdateOption.ALLOW_FIELD_ADDITION],
        time_partitioning=TimePartitioning(TimePartitioningType.MONTH),
    )
    try:
        job = client.load_table_from_uri(
            month.address,
            f"{table}${month.year}{month.month:02}",
            job_config=config,
            job_id_prefix="files_to_database-",
        )
        job.result()
        rows: int = job.output_rows
        return rows
    except (GoogleAPICallError, GoogleAuthError, RetryError, ValueError) as error:
        kind = Unavailable if getattr(error, "code", None) in TRANSIENT or isinstance(error, RetryError) else LoadError
        raise kind(f"{shown(month.address)} into {table}: {redacted(one_line(error))}") from None
