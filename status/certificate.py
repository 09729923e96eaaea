"""The certificate that clients see."""

import ssl
from datetime import UTC, datetime
from socket import create_connection
from urllib.parse import urlsplit

from status.report import NOW, Report

# certbot renews 30 days before the end.
DAYS_MIN = 14


def tell(report: Report, url: str, ca: str) -> None:
    """How long it lasts, and who issued it."""
    site = urlsplit(url)
    if site.scheme != "https":
        return
    context = ssl.create_default_context(cafile=ca)
    try:
        with (
            create_connection((site.hostname, site.port or 443), 5) as plain,
            context.wrap_socket(plain, server_hostname=site.hostname) as connection,
        ):
            found = connection.getpeercert()
    except OSError as error:
        reason = getattr(error, "verify_message", error)
        report.line(
            f"Certificate: {reason}", f"no certificate of {site.hostname} holds ({reason}): make logs UNIT=nginx"
        )
        return
    days = (datetime.fromtimestamp(ssl.cert_time_to_seconds(found["notAfter"]), UTC) - NOW).days
    issuer = dict(pair for part in found["issuer"] for pair in part).get("commonName", "unknown")
    late = f"the certificate of {site.hostname} ends in {days} days: make logs UNIT=certbot"
    report.line(f"Certificate: {days} days left (issued by {issuer})", late if days < DAYS_MIN else None)
