"""A preprocessor of mdBook. It lets documents be read both in the repository and in the book.

A chapter that includes a file of the repository's root has links that are relative to the root. They become relative to the
chapter. The book does not contain other files, such as source files, so a link to one becomes its text and path.
"""

import json
import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)#:\s]+)(#[^)\s]*)?\)")
# Links in code blocks are not changed.
FENCE = re.compile(r"(^```.*?^```\s*?$)", re.DOTALL | re.MULTILINE)
# Files of the root that are chapters of the book.
CHAPTERS = {"ARCHITECTURE.md": "architecture.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md",
            "SECURITY.md": "security.md", "README.md": "README.md", "docs": "README.md"}


def rewritten(match, folder):
    """The link, for the book."""
    text, target, anchor = match[1], match[2], match[3] or ""
    found = next((there for there in ((folder / target).resolve(), (ROOT / target).resolve()) if there.exists()), None)
    if found is None:
        sys.exit(f"{folder}: there is no {target}")
    name = os.path.relpath(found, ROOT)
    if name in CHAPTERS:
        return f"[{text}]({os.path.relpath(DOCS / CHAPTERS[name], folder)}{anchor})"
    if found.is_relative_to(DOCS):
        return f"[{text}]({os.path.relpath(found, folder)}{anchor})"
    return text if name.startswith(text.strip("`")) else f"{text} (`{name}` in the repository)"


def rewrite(item):
    chapter = item.get("Chapter") if isinstance(item, dict) else None
    if chapter is None:
        return
    folder = (DOCS / (chapter["path"] or "x")).parent
    parts = FENCE.split(chapter["content"])
    parts[::2] = [LINK.sub(lambda match: rewritten(match, folder), part) for part in parts[::2]]
    chapter["content"] = "".join(parts)
    for sub in chapter["sub_items"]:
        rewrite(sub)


def main():
    if sys.argv[1:2] == ["supports"]:
        return
    _, book = json.load(sys.stdin)
    for item in book.get("items", book.get("sections", [])):
        rewrite(item)
    json.dump(book, sys.stdout)


main()
