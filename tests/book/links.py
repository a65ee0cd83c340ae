"""Checks the documents: every relative link in a *.md file of the repository and in the built book leads to an existing
file, and to an existing heading if it names one; every path that a document names exists; and every document in docs/ is a chapter of
the book."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).parents[2]
BOOK = ROOT / "target/book"
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```\s*?$", re.DOTALL | re.MULTILINE)
# A path of the repository in backticks. With braces or asterisks, it stands for several paths.
PATH = re.compile(r"`((?:bench|clients|contract|crates|deploy|dev|docs|emulator|examples|tests)/[\w./{},*-]*)`")
# The changelog may name paths that no longer exist.
HISTORY = ["CHANGELOG.md", "docs/changelog.md"]
CODE = re.compile(r"`[^`\n]*`")


def headings(text):
    """The anchors of a document's headings, which are the same on GitHub and in the book."""
    seen, found = {}, set()
    for heading in re.findall(r"^#+ (.*)$", FENCE.sub("", text), re.MULTILINE):
        bare = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        slug = re.sub(r"[^\w\- ]", "", bare.lower()).strip().replace(" ", "-")
        found.add(slug if slug not in seen else f"{slug}-{seen[slug]}")
        seen[slug] = seen.get(slug, 0) + 1
    return found


def documents():
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True)
    return listed.stdout.split()


def missing_paths():
    for name in documents():
        if name in HISTORY:
            continue
        for path in PATH.findall((ROOT / name).read_text()):
            for one in expanded(path):
                if not list(ROOT.glob(one)):
                    yield f"{name}: `{path}`: there is no {one}"


def expanded(path):
    """A path for each alternative in its braces."""
    braces = re.search(r"\{([^}]*)\}", path)
    if braces is None:
        return [path.rstrip("/")]
    return [one for part in braces[1].split(",") for one in expanded(path.replace(braces[0], part, 1))]


def broken_in_documents():
    for name in documents():
        document = ROOT / name
        for target in LINK.findall(CODE.sub("", FENCE.sub("", document.read_text()))):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            there = document.parent / unquote(path) if path else document
            if not there.exists():
                yield f"{name}: {target}: there is no such file"
            elif anchor and there.suffix == ".md" and anchor not in headings(text_of(there)):
                yield f"{name}: {target}: there is no such heading"


def text_of(document):
    """The text of a document, including the files that it includes."""
    include = r"\{\{#include ([^}]+)\}\}"
    return re.sub(include, lambda match: (document.parent / match[1]).read_text(), document.read_text())


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.links, self.ids = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids.add(attrs.get("id"))
        self.links += [attrs[name] for name in ("href", "src") if attrs.get(name)]


def broken_in_book():
    pages = {path: Page(path.read_text()) for path in BOOK.rglob("*.html")}
    if len(pages) < 10:
        yield f"{BOOK} has {len(pages)} pages"
    for path, page in pages.items():
        for link in page.links:
            if re.match(r"[a-z]+:|//|#$", link) or path.name == "404.html":
                continue
            target, _, anchor = link.partition("#")
            there = (path.parent / unquote(target)).resolve() if target else path
            if not there.exists():
                yield f"{path.relative_to(ROOT)}: {link}: there is no such page"
            elif anchor and there in pages and unquote(anchor) not in pages[there].ids:
                yield f"{path.relative_to(ROOT)}: {link}: there is no such heading"


def missing_chapters():
    summary = (ROOT / "docs/SUMMARY.md").read_text()
    for document in (ROOT / "docs").rglob("*.md"):
        name = str(document.relative_to(ROOT / "docs"))
        if name != "SUMMARY.md" and f"({name})" not in summary:
            yield f"docs/{name} is not in docs/SUMMARY.md"


problems = [*broken_in_documents(), *missing_paths(), *broken_in_book(), *missing_chapters()]
print("\n".join(problems), file=sys.stderr)
sys.exit(bool(problems))
