"""What mkdocs does not do by itself (a hook of mkdocs.yml).

README.md is the site's first page. Files outside of docs/ that a page links to (results, recipes,
CONTRIBUTING.md) come along under project/. The page of the commands is written from their help.
llms.txt lists the pages, with their Markdown beside them. After the build, every local link of the
HTML is followed, and nothing may be loaded from another host.
"""

import posixpath
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.nav import Navigation
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
# A target in [text](target), in "[name]: target" or in src="target".
MERMAID = re.compile(r"```mermaid\n.*?```\n", re.DOTALL)
LINK = re.compile(r'(\]\(|^\[[^\]\n]+\]: +|src=")([^)\s"#]+)', re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the first page, the page of the commands, and the linked files outside of docs/."""
    files.append(
        File.generated(config, "index.md", content=(ROOT / "README.md").read_text("utf-8"))
    )
    files.append(File.generated(config, "commands.md", content=commands()))
    waiting = [file.src_uri for file in files.documentation_pages()] + [
        f"project/{name}" for name in ("CONTRIBUTING.md", "CHANGELOG.md", "data/README.md")
    ]
    known = {file.src_uri for file in files}
    while waiting:
        uri = waiting.pop()
        if uri not in known:
            path = ROOT / uri.removeprefix("project/")
            files.append(File.generated(config, uri, abs_src_path=str(path)))
            known.add(uri)
        if uri.endswith(".md") and uri != "commands.md":
            text = (ROOT / source(uri)).read_text("utf-8")
            linked = (site_uri(uri, target) for _, target in LINK.findall(text))
            waiting += [to for to in linked if to and to.startswith("project/") and to not in known]
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Links between files of the project become links between files of the site.

    Pictures in Mermaid go, because their script would be loaded from another host. The page has the
    same as a table.
    """
    uri = page.file.src_uri
    markdown = MERMAID.sub("", markdown)

    def moved(match: re.Match[str]) -> str:
        to = site_uri(uri, match[2])
        return match[1] + (posixpath.relpath(to, posixpath.dirname(uri) or ".") if to else match[2])

    return LINK.sub(moved, markdown)


def source(uri: str) -> str:
    """The file of the project from which a page of the site comes."""
    if uri == "index.md":
        return "README.md"
    return uri.removeprefix("project/") if uri.startswith("project/") else f"docs/{uri}"


def site_uri(page: str, target: str) -> str | None:
    """Where the file `target`, as the source of `page` names it, lies in the site.

    None: `target` is an address, or no file of the project.
    """
    if urlsplit(target).scheme:
        return None
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source(page)), target))
    if not (ROOT / path).is_file():
        return None
    if path == "README.md":
        return "index.md"
    return path.removeprefix("docs/") if path.startswith("docs/") else f"project/{path}"


def commands() -> str:
    """The help of every verb, as Markdown."""
    from ulmfit.base.cli import command_parser
    from ulmfit.command import VERBS

    parts = [
        "# Commands\n",
        "`ulmfit VERB --help` prints the same. `python -m ulmfit.MODULE` runs a verb, too.\n",
    ]
    for name, verb in VERBS.items():
        function = import_module(f"ulmfit.{verb.module}").main
        parser = command_parser(function, f"ulmfit {name}", verb.positional)
        module = verb.module.removesuffix(".__main__")
        of = "ulmfit" if module == "__main__" else f"ulmfit.{module}"
        parts.append(f"## {name}\n\n{verb.about.capitalize()}: `python -m {of}`.\n")
        parts.append(f"```text\n{parser.format_help().rstrip()}\n```\n")
    return "\n".join(parts)


_pages: list[Page] = []


def on_nav(nav: Navigation, **_: object) -> None:
    """Keep the order of the pages for llms.txt."""
    _pages[:] = nav.pages


def on_post_build(config: MkDocsConfig) -> None:
    """Write llms.txt and the Markdown that it names; then check the site."""
    site = Path(config.site_dir)
    lines = [f"# {config.site_name}", "", f"> {config.site_description}", ""]
    for page in _pages:
        text = page.markdown or ""
        path = site / page.file.src_uri
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        lines.append(f"- [{page.title}]({page.file.src_uri}): {first_sentence(text)}")
    (site / "llms.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    faults = sorted(set(check(site)))
    if faults:
        raise PluginError("the site has faults:\n" + "\n".join(faults))


def first_sentence(markdown: str) -> str:
    """The first sentence below the title, without its links."""
    blocks = re.sub(r"^```.*?^```$", "", markdown, flags=re.MULTILINE | re.DOTALL).split("\n\n")
    paragraphs = [block.strip() for block in blocks if re.match(r"\s*[\w*`]", block)]
    text = " ".join(paragraphs[0].split()) if paragraphs else ""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text).replace("**", "")
    return re.split(r"(?<=[.?!:]) ", plain)[0]


class _Addresses(HTMLParser):
    """Collects what a page links to (`links`), what it loads (`loads`), and its anchors."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.anchors |= {value for key in ("id", "name") if (value := found.get(key))}
        if tag == "a" and (href := found.get("href")):
            self.links.append(href)
        loads = found.get("href") if tag == "link" else found.get("src")
        if loads and found.get("rel") not in ("canonical", "prev", "next"):
            self.loads.append(loads)


def check(site: Path) -> Iterator[str]:
    """A line for each local target that is missing, and for each file of another host."""
    pages = {
        path: _Addresses(path.read_text("utf-8"))
        for path in site.rglob("*.html")
        if path.name != "404.html"
    }
    for path, page in pages.items():
        name = path.relative_to(site)
        for address in page.loads:
            if urlsplit(address).netloc:
                yield f"{name} loads {address}"
        for address in (*page.links, *page.loads):
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            to = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if to.is_dir():
                to = to / "index.html"
            if not to.is_file():
                yield f"{name} links to {address}, which is missing"
            elif (
                parts.fragment and to in pages and unquote(parts.fragment) not in pages[to].anchors
            ):
                yield f"{name} links to {address}; there is no such anchor"
