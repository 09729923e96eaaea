"""Addresses and messages without secrets. Each project that needs it has an identical copy of this file."""

import json
import re
from urllib.parse import quote

ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/+[^\s\"'<>]+")
# Secret parts of an address, also outside of one
PARAMETER = re.compile(r"(?i)\b(code|sig|password|pwd|token|accountkey|sharedaccesskey)=[^&\s\"';]+")
# White space, in any spelling
GAP = r"(?:\s|\+|%[0-9A-F]{2}|\\+(?:[abfnrtv]|x[0-9A-F]{2}|u[0-9A-F]{4}))+"


def shown(address: str) -> str:
    """The address in one line, without login, query and fragment; works for any scheme and for misspelt addresses."""
    match = re.match(r"[A-Za-z][A-Za-z0-9+.-]*:/+", address)
    scheme = match[0] if match else ""
    plain, _, query = re.sub(r"[?#;]", "?", address[len(scheme) :], count=1).partition("?")
    # without either sign before the path, there is no login
    if set("@:") & set(plain.partition("/")[0]):
        # a password may contain the sign that begins a query: login and query are then indistinguishable
        plain = "…" if "@" in query else plain.rpartition("@")[2]
    return " ".join((scheme + plain).split())


def redacted(text: str, *secrets: str) -> str:
    """The text in one line, with its addresses as `shown`, and without the secrets in any spelling."""
    for words in sorted(filter(None, map(str.split, secrets)), key=lambda words: len("".join(words)), reverse=True):
        pattern = GAP.join("".join(map(_spellings, word)) for word in words)
        text = re.sub(pattern, "***", text, flags=re.IGNORECASE)
    text = ADDRESS.sub(lambda address: shown(address[0]), text)
    return " ".join(PARAMETER.sub(r"\1=***", text).split())


def _spellings(character: str) -> str:
    """A pattern for all spellings of a character: itself, percent-encoded, and in literals of Python and JSON."""
    encoded = character.encode(errors="surrogatepass")
    forms = {character, quote(encoded, safe=""), "".join(f"%{byte:02X}" for byte in encoded)}
    forms |= {literal[1:-1] for literal in (repr(character), ascii(character), json.dumps(character))}
    forms.add(repr(encoded)[2:-1])
    # a literal of a literal has more backslashes
    parts = [re.split(r"\\+", form.lstrip("\\")) for form in sorted(forms, key=len, reverse=True) if form.strip("\\")]
    written = "|".join(r"\\+".join(map(re.escape, form)) for form in parts)
    return rf"(?:\\+|{written})" if character == "\\" else rf"\\*(?:{written})"
