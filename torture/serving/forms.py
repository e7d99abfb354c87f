"""The page's forms: endless parts, expensive encodings, markup that must stay text."""

from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import urlencode

from torture.common import Row
from torture.serving.target import FORM, Answer, Target, judge

_BOUNDARY = "torture"
MULTIPART = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
TEXT = 'Content-Disposition: form-data; name="text"'
# Texts that become elements of a page, unless they are escaped.
MARKUP = (
    "<script>alert(1)</script>",
    "</textarea><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'\"><svg/onload=alert(1)>",
    "</style></title><script>alert(1)</script>",
    "<!--<script>alert(1)</script>",
    "<![CDATA[<script>alert(1)</script>]]>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "javascript:alert(1)",
    "{{7*7}}${7*7}<%= 7*7 %>",
    "\u2028<script>\u2029alert(1)</script>",
    "<a href='http://127.0.0.1:9/'>x</a><base href='http://127.0.0.1:9/'>",
)


def part(data: bytes, *lines: str) -> bytes:
    """One part of a form, with the lines above its data."""
    head = "".join(f"{line}\r\n" for line in (f"--{_BOUNDARY}", *lines, ""))
    return head.encode() + data + b"\r\n"


def whole(*parts: bytes) -> bytes:
    """A form of these parts."""
    return b"".join(parts) + f"--{_BOUNDARY}--\r\n".encode()


def file_part(name: str, data: bytes) -> bytes:
    """A file as browsers send it, but without their escapes in names."""
    return part(data, f'Content-Disposition: form-data; name="file"; filename="{name}"')


def forms(target: Target) -> Row:
    """Malformed forms and bombs, to all addresses that take a form."""
    row = Row("server: malformed forms, multipart bombs")
    before = target.memory("VmHWM")
    for what, body, headers, allowed in _bombs():
        for path in ("/", "/score", "/files", "/next"):
            answer = target.ask("POST", path, body, headers)
            judge(row, f"{what} to {path}", answer, allowed)
    grown = target.memory("VmHWM") - before
    # One form is taken at a time here, of 10 MB at most: its bytes, the text, the page around it.
    if grown > 150:
        row.fail("let_in", f"memory grew by {grown:.0f} MB, expected 150 at most")
    target.settle(row)
    return row


def _bombs() -> Iterator[tuple[str, bytes, dict[str, str], tuple[int, ...]]]:
    bad, either = (400, 415), (200, 400, 413, 415)
    yield "5,000 parts", whole(*[part(b"a", TEXT)] * 5_000), MULTIPART, bad
    yield "5,000 files", whole(*[file_part("a.csv", b"a")] * 5_000), MULTIPART, bad
    yield "10,000 headers of a part", whole(part(b"a", TEXT, *["X: y"] * 10_000)), MULTIPART, bad
    yield "a header of 1 MB", whole(part(b"a", TEXT, "X: " + "y" * 1_000_000)), MULTIPART, bad
    yield "a header's name of 1 MB", whole(part(b"a", TEXT, "X" * 1_000_000)), MULTIPART, bad
    yield (
        "a header without end",
        f"--{_BOUNDARY}\r\nX: ".encode() + b"y" * 5_000_000,
        MULTIPART,
        bad,
    )
    options = TEXT + ";" * 100_000
    yield "100,000 semicolons", whole(part(b"a", options)), MULTIPART, bad
    yield "quotes without end", whole(part(b"a", TEXT + '; x="' * 50_000)), MULTIPART, bad
    yield "no name", whole(part(b"a", "Content-Disposition: form-data")), MULTIPART, bad
    yield "no headers", whole(part(b"a")), MULTIPART, bad
    yield "no end", part(b"a", TEXT), MULTIPART, either
    yield "11 MB of boundaries", f"--{_BOUNDARY}\r\n".encode() * 1_000_000, MULTIPART, (400, 413)
    yield (
        "11 MB after the end",
        whole(part(b"a", TEXT)) + b"\r\n" * 6_000_000,
        MULTIPART,
        (400, 413),
    )
    yield "11 MB of a file", whole(file_part("a.csv", b"a" * 11_000_000)), MULTIPART, (400, 413)
    for kind in ("multipart/form-data", "multipart/form-data; boundary=", "multipart/mixed"):
        yield kind, whole(part(b"a", TEXT)), {"Content-Type": kind}, bad
    long = {"Content-Type": "multipart/form-data; boundary=" + "b" * 10_000}
    yield "a boundary of 10,000 characters", whole(part(b"a", TEXT)), long, bad
    for charset in ("punycode", "undefined", "unicode_escape", "idna", "zip", "..", "utf-16"):
        kind = f"{MULTIPART['Content-Type']}; charset={charset}"
        yield f"charset {charset}", whole(part(b"a" * 100_000, TEXT)), {"Content-Type": kind}, bad
    yield "100,000 fields", b"a=b&" * 100_000, FORM, bad
    yield "3 million separators", b"&" * 3_000_000, FORM, either
    yield "percent signs", b"text=" + b"%" * 50_000 + b"%ff%zz%0", FORM, either
    yield "a name of 2 MB", b"n" * 2_000_000 + b"=", FORM, either


def markup(target: Target) -> Row:
    """Markup in texts, columns, file names and labels adds no element and no attribute."""
    row = Row("server: markup in texts, labels, file names")
    plain = Elements.of(target.ask("POST", "/", "text=a+great+film", FORM))
    plain |= Elements.of(target.ask("POST", "/", "text=zzqx+qxzz", FORM))  # with a note
    error = Elements.of(target.ask("POST", "/score", whole(), MULTIPART))
    for text in MARKUP:
        found = target.ask("POST", "/", urlencode({"text": text}), FORM)
        same_elements(row, f"the text {text!r}", found, plain)
        name = file_part(f"{text.replace(chr(34), '%22')}.csv", b"body\nx\n")
        same_elements(
            row, f"the file {text!r}", target.ask("POST", "/score", whole(name), MULTIPART), error
        )
        column = part(text.encode(), 'Content-Disposition: form-data; name="text_col"')
        sent = whole(file_part("a.csv", f"{text.replace(',', ' ')}\nx\n".encode()), column)
        same_elements(
            row, f"the column {text!r}", target.ask("POST", "/score", sent, MULTIPART), error
        )
        path = target.ask("GET", "/" + urlencode({text: ""}))
        judge(row, f"the path {text!r}", path, (404,))
    target.settle(row)
    return row


class Elements(HTMLParser):
    """The kinds of elements and their attributes on a page."""

    def __init__(self) -> None:
        super().__init__()
        self.kinds: set[tuple[str, ...]] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.kinds.add((tag, *sorted(name for name, _ in attrs)))

    @classmethod
    def of(cls, answer: Answer | None) -> set[tuple[str, ...]]:
        """The elements of a reply."""
        parser = cls()
        parser.feed(answer.body.decode() if answer else "")
        return parser.kinds


def same_elements(
    row: Row, what: str, answer: Answer | None, allowed: set[tuple[str, ...]]
) -> None:
    """Fail if the page in `answer` has elements that it lacks for plain text."""
    row.tried += 1
    if answer is None or answer.status >= 500:
        row.fail("crashed", f"{what}: {answer}")
        return
    more = Elements.of(answer) - allowed
    if more and answer.headers["content-type"].startswith("text/html"):
        row.fail("let_in", f"{what}: the page has {more}")
    policy = answer.headers.get("content-security-policy", "")
    if "default-src 'none'" not in policy or "script-src" in policy:
        row.fail("let_in", f"{what}: the policy is {policy!r}")
