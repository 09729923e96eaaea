"""What the flows show of addresses and of libraries' words: the file that stands in several projects."""

import importlib.util
import json
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).parents[2]
COPIES = sorted(ROOT.glob("flows/*/redaction.py"))

spec = importlib.util.spec_from_file_location("redaction", COPIES[0])
redaction = importlib.util.module_from_spec(spec)
spec.loader.exec_module(redaction)
shown, redacted = redaction.shown, redaction.redacted

# Every printable character, with a mark before each: no way of writing texts changes a mark
MARK = "m4rk"
HOSTILE = "".join(MARK + chr(code) for code in range(32, 127)) + f"{MARK}é{MARK}😀{MARK}\n{MARK}\t{MARK}"
WRITTEN = {
    "as it is": str,
    "percent-encoded": lambda text: quote(text, safe=""),
    "percent-encoded in lower case": lambda text: quote(text, safe="").lower(),
    "in a path": quote,
    "in a form": quote_plus,
    "as a literal": repr,
    "as a literal in ASCII": ascii,
    "as bytes": lambda text: repr(text.encode()),
    "as JSON": json.dumps,
    "as JSON in a literal": lambda text: repr(json.dumps(text)),
    "in one line": lambda text: " ".join(text.split()),
}
texts = st.text(st.characters(codec="utf-8"), min_size=4)


@pytest.mark.parametrize("name", ["redaction.py", "tests/hostile.py"])
def test_the_copies_are_the_same(name: str) -> None:
    contents = [copy.read_text() for copy in ROOT.glob(f"flows/*/{name}")]
    assert len(contents) > 1
    assert len(set(contents)) == 1


@pytest.mark.parametrize(
    ("address", "seen"),
    [
        ("https://example.org/a/b.csv", "https://example.org/a/b.csv"),
        ("https://example.org:8443/a.csv?sig=s", "https://example.org:8443/a.csv"),
        ("https://me:pw@example.org/a.csv#s", "https://example.org/a.csv"),
        ("HTTPS://me:p/w@example.org/a.csv", "HTTPS://example.org/a.csv"),
        ("https://me:p?w@example.org/a.csv", "https://…"),
        ("https://example.org:8443/a.csv?to=me@example.com", "https://…"),
        ("https://example.org/a.csv?to=me@example.com", "https://example.org/a.csv"),
        ("https://me:pw@example.org/{color}.csv?sig={s", "https://example.org/{color}.csv"),
        ("https://example.org/@someone/a.csv", "https://example.org/@someone/a.csv"),
        ("https://[::1/a.csv?sig=s", "https://[::1/a.csv"),
        ("https:/me:pw@example.org", "https:/example.org"),
        ("ftp://me:pw@example.org/a.csv?sig=s", "ftp://example.org/a.csv"),
        ("me:pw@example.org/a.csv", "example.org/a.csv"),
        ("jdbc:sqlserver://example.org;password=s", "jdbc:sqlserver://example.org"),
        ("sample/{colour}.csv", "sample/{colour}.csv"),
        ("", ""),
    ],
)
def test_addresses(address: str, seen: str) -> None:
    assert shown(address) == seen


@settings(max_examples=300, deadline=None)
@given(
    scheme=st.sampled_from(["http", "HTTPS", "ftp", "postgresql", "s3", "gs", "x-y", "jdbc:odd"]),
    password=st.text(st.sampled_from("/?#;:@[]%{} \\'\"\n+&=.é")),
    query=st.text(st.sampled_from("/?#;:@[]%{} \\'\"\n+&=.é")),
    host=st.sampled_from(["example.org", "example.org:8080"]),
)
@example(scheme="http", password="".join(map(chr, range(32, 127))), query="".join(map(chr, range(32, 127))), host="h:1")
def test_no_login_and_no_signature_of_any_address_is_shown(scheme: str, password: str, query: str, host: str) -> None:
    password, query = MARK + MARK.join(password) + MARK, MARK + MARK.join(query) + MARK
    for login in ("", f"me:{password}@", f"me:{quote(password, safe='')}@"):
        for signature in ("", f"?sig={query}", f"?sig={quote(query, safe='')}"):
            seen = shown(f"{scheme}://{login}{host}/a.csv{signature}")
            assert MARK not in seen
            assert seen.endswith((f"{host}/a.csv", "…"))
    assert shown(f"{scheme}://me:{quote(password, safe='')}@{host}/a.csv?sig={quote(query, safe='')}").endswith("a.csv")


@pytest.mark.parametrize("written", WRITTEN)
def test_a_secret_of_all_characters_is_hidden_however_it_is_written(written: str) -> None:
    seen = redacted(f"before {WRITTEN[written](HOSTILE)} after", HOSTILE)
    assert MARK not in seen
    assert seen.startswith("before ")
    assert seen.endswith(" after")


@settings(max_examples=500, deadline=None)
@given(secret=texts, written=st.sampled_from(sorted(WRITTEN)))
def test_any_secret_is_hidden_however_it_is_written(secret: str, written: str) -> None:
    text = WRITTEN[written](secret)
    assume(not set(text) <= set("*\"' "))
    assert text not in redacted(f"before {text} after", secret)


def test_addresses_in_a_text_are_shown_as_others_are() -> None:
    text = "GET https://me:pw@example.org/a?code=c0de\n at 'ftp://x:y@z/a?sig=s', then code=c0de&sig=s1g"
    assert redacted(text) == "GET https://example.org/a at 'ftp://z/a', then code=***&sig=***"


def test_no_secret_changes_nothing() -> None:
    assert redacted("no secret, no address", "", "other") == "no secret, no address"
