"""Request an address, and print in one line why it does not answer. Standard input holds the CAs of its certificate.

Ends with 1 without the expected answer, with 2 if only the certificate is not trusted. Without CAs, any is trusted.
"""

import ssl
import sys
import urllib.error
import urllib.request


def reason(url, text, cas):
    """The problem with the answer or its certificate; empty if there is none. Without a text, any answer will do."""
    context = ssl.create_default_context(cadata=cas or None)
    if not cas:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with urllib.request.urlopen(url, timeout=10, context=context) as answer:  # noqa: S310 - from the inventory
            return "" if text in answer.read().decode() else f"{text} is not in its answer"
    except urllib.error.HTTPError as error:
        return str(error) if text else ""
    except (OSError, ValueError) as error:
        return getattr(error, "reason", error)


problem = reason(sys.argv[1], sys.argv[2], sys.stdin.read().strip())
print(problem)
sys.exit(0 if not problem else 2 if isinstance(problem, ssl.SSLCertVerificationError) else 1)
