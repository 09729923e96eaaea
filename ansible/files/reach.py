"""Ask for an address, and say in one line why it does not answer. The CAs of its certificate come by standard input.

Ends with 1 where nobody answers as expected, with 2 where only the certificate is not trusted. Without CAs, any is.
"""

import ssl
import sys
import urllib.error
import urllib.request


def reason(url, text, cas):
    """Why the answer, or its certificate, is not as it should be; empty if it is. Without a text, any answer does."""
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


why = reason(sys.argv[1], sys.argv[2], sys.stdin.read().strip())
print(why)
sys.exit(0 if not why else 2 if isinstance(why, ssl.SSLCertVerificationError) else 1)
