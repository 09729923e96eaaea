"""What people may read of an address or of a library's words. The same file stands in each project that needs it."""

import json
import re
from urllib.parse import quote

ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/+[^\s\"'<>]+")
# Parts of an address, where they stand alone
PARAMETER = re.compile(r"(?i)\b(code|sig|password|pwd|token|accountkey|sharedaccesskey)=[^&\s\"';]+")
# What becomes of white space
GAP = r"(?:\s|\+|%[0-9A-F]{2}|\\+(?:[abfnrtv]|x[0-9A-F]{2}|u[0-9A-F]{4}))+"


def shown(address: str) -> str:
    """The address in one line, without login, query and fragment, whatever its scheme and however it is misspelt."""
    scheme, rest = re.fullmatch(r"(?s)([A-Za-z][A-Za-z0-9+.-]*:/+|)(.*)", address).groups()
    plain, _, query = re.sub(r"[?#;]", "?", rest, count=1).partition("?")
    # Where neither sign is before the path, there is no login
    if set("@:") & set(plain.partition("/")[0]):
        # a password may hold what begins a query: then nobody can tell one from the other
        plain = "…" if "@" in query else plain.rpartition("@")[2]
    return " ".join((scheme + plain).split())


def redacted(text: str, *secrets: str) -> str:
    """The text in one line, its addresses as `shown`, and without the secrets, however they are written there."""
    for words in sorted(filter(None, map(str.split, secrets)), key=lambda words: len("".join(words)), reverse=True):
        pattern = GAP.join("".join(map(_spellings, word)) for word in words)
        text = re.sub(pattern, "***", text, flags=re.IGNORECASE)
    text = ADDRESS.sub(lambda address: shown(address[0]), text)
    return " ".join(PARAMETER.sub(r"\1=***", text).split())


def _spellings(character: str) -> str:
    """All that may stand for a character: itself, percent-encoded, or as literals of Python and JSON have it."""
    encoded = character.encode(errors="surrogatepass")
    forms = {character, quote(encoded, safe=""), "".join(f"%{byte:02X}" for byte in encoded)}
    forms |= {literal[1:-1] for literal in (repr(character), ascii(character), json.dumps(character))}
    forms.add(repr(encoded)[2:-1])
    # a literal of a literal has more backslashes
    parts = [re.split(r"\\+", form.lstrip("\\")) for form in sorted(forms, key=len, reverse=True) if form.strip("\\")]
    written = "|".join(r"\\+".join(map(re.escape, form)) for form in parts)
    return rf"(?:\\+|{written})" if character == "\\" else rf"\\*(?:{written})"
