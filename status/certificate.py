"""The certificate that clients see."""

import ssl
from datetime import UTC, datetime
from socket import create_connection
from typing import Any
from urllib.parse import urlsplit

from deployer.commands import make_command
from status.report import NOW, Report

# It is renewed 30 days before its end, by certbot or by a provision.
DAYS_MIN = 14
SECONDS = 5
BY_HAND = 'docs/operations.md, "The certificate fails"'


def look(url: str, ca: str) -> dict[str, Any] | str | None:
    """The certificate, or why none holds; None for a site without one."""
    site = urlsplit(url)
    if site.scheme != "https":
        return None
    try:
        context = ssl.create_default_context(cafile=ca)
    except OSError as error:
        return f"{ca} cannot be read: {error.strerror or error}"
    try:
        with (
            create_connection((site.hostname, site.port or 443), SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=site.hostname) as connection,
        ):
            return connection.getpeercert()
    except OSError as error:
        return str(getattr(error, "verify_message", error))


def tell(report: Report, url: str, seen: dict[str, Any] | str | None, tls_mode: str | None) -> None:
    """How long it lasts, who issued it, and how it is renewed."""
    name = urlsplit(url).hostname
    if seen is None:
        return
    if isinstance(seen, str):
        problem = f"no certificate of {name} holds ({seen}): {make_command('logs UNIT=nginx')}"
        report.line(f"Certificate: {seen}", problem)
        return
    days = (datetime.fromtimestamp(ssl.cert_time_to_seconds(seen["notAfter"]), UTC) - NOW).days
    issuer = dict(pair for part in seen["issuer"] for pair in part).get("commonName", "unknown")
    late = f"the certificate of {name} ends in {days} days: {renewal(tls_mode)}"
    report.line(f"Certificate: {days} days left (issued by {issuer})", late if days < DAYS_MIN else None)


def renewal(tls_mode: str | None) -> str:
    """What renews a certificate, or says why it is not renewed."""
    return {
        "letsencrypt": make_command("logs UNIT=certbot"),
        "self_signed": make_command("provision TAGS=proxy"),
        "provided": f"put a new one in the place of proxy_certificate, then {make_command('provision TAGS=proxy')}",
    }.get(tls_mode or "", BY_HAND)
