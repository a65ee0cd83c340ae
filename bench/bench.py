"""Measures Longhaul and its alternatives: `bench.py [PART…]`, by default all parts. Prints a table of the results, and writes
the figures, the plot and the tables of the performance page to docs/. Parts that are not run keep their old figures."""

import importlib
import json
import os
import platform
import subprocess
import sys
import time

import page
from common import RELEASE, ROOT, say

PARTS = ("start", "bill", "api", "latency", "growth")
RESULTS = ROOT / "docs/performance.json"


def git(*arguments):
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True).stdout.strip()


def machine():
    models = [line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
    return {"processor": models[0] if models else platform.machine(), "processors": os.cpu_count(), "python": platform.python_version()}


def main():
    parts = sys.argv[1:] or PARTS
    unknown = [part for part in parts if part not in (*PARTS, "page")]
    if unknown:
        sys.exit(f"unknown part {', '.join(unknown)}: use {', '.join(PARTS)}, or page, which only writes the page")
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for part in parts:
        if part == "page":
            continue
        began, load = time.monotonic(), os.getloadavg()[0]
        figures = importlib.import_module(part).measure()
        about = {"commit": git("rev-parse", "--short", "HEAD"), "date": time.strftime("%Y-%m-%d"), "took_s": round(time.monotonic() - began),
                 "load_before": round(load, 1), "binaries": RELEASE.name, **machine()}
        results[part] = {"about": about, **figures}
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
        say(f"{part} took {about['took_s']} s")
    page.write(results)
    print(page.headline(results))


if __name__ == "__main__":
    main()
