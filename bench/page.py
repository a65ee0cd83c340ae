"""Writes the figures into docs/performance.md: the tables between its markers, and the plot beside it."""

import re

from common import ROOT

PAGE = ROOT / "docs/performance.md"
PLOT = ROOT / "docs/performance.svg"
# Endpoints that make no AWS calls.
NO_CALLS = ("jobs", "document", "health")
POLLING, CONDITION, OURS = "Python, every 5 s", "Python, wait_for_condition", "Longhaul sync"


def put(value, digits=3):
    """A number, rounded to its significant digits."""
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    if value == 0 or abs(value) >= 10 ** min(digits - 1, 2):
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def times(value):
    return "–" if value is None else f"{put(value, 2)}×"


def ratio(above, below):
    return above / below if above is not None and below else None


def table(head, rows):
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def note(part, results):
    about = results[part]["about"]
    return (f"{about['processors']} × {about['processor']}, load {about['load_before']} beforehand, commit {about['commit']}, {about['date']}; "
            f"it took {about['took_s']} s.")


def start(results):
    functions = results["start"]["functions"]
    theirs = {"api": "Python sync", "sync": "Python sync", "callback": "Python callback", "reconciler": "Python sync"}
    rows = []
    for name, figures in functions.items():
        other = functions.get(theirs.get(name))
        faster, smaller, lighter = ((ratio(other[it], figures[it]) if other else None) for it in ("processor_ms", "resident_mb", "zip_mb"))
        rows.append([f"`{name}`" if other else name, times(faster), times(smaller), times(lighter), put(figures["fastest_ms"]), put(figures["init_ms"]), put(figures["init_p99_ms"]),
                     put(figures["processor_ms"]), put(figures["resident_mb"]), f"{figures['zip_mb']:.2f}"])
    return table(["", "faster", "smaller", "lighter", "ms, fastest", "ms, p50", "ms, p99", "ms of CPU time", "MB resident", "MB zipped"], rows)


def lived(bill):
    """How long the execution lived, if it ended before its job."""
    if bill["status"].upper() == "SUCCEEDED" or bill["lived_s"] >= bill["job_s"]:
        return ""
    hours, why = bill["lived_s"] / 3600, bill["error"] or ""
    after = f"{put(hours, 2)} h" if hours < 48 else f"{put(hours / 24, 2)} d"
    return f"**ends after {after}**: {'no operations left' if 'maximum of 3000 operations' in why else why}"


def bill(results):
    rows = []
    for label in results["bill"]["jobs"]:
        for variant, bills in results["bill"]["variants"].items():
            if label not in bills:
                continue
            it = bills[label]
            ours = results["bill"]["variants"]["Longhaul callback" if "callback" in variant else OURS][label]
            fair = it["status"].upper() == "SUCCEEDED" or it is ours
            more = lambda what: "" if it is ours else times(ratio(it[what], ours[what])) if fair else "–"
            rows.append([label, variant, more("billed_ms"), more("operations"), put(it["billed_ms"]), put(it["processor_ms"]), put(it["invocations"]),
                         put(it["operations"]), put(it["written"] / 1000), put(it["calls_total"]), put(it["calls"].get("ecs:DescribeTasks", 0)),
                         put(it["at_once"]), lived(it)])
    return table(["job", "", "billed", "operations", "ms billed", "ms of CPU time", "invocations", "operations", "KB checkpointed", "AWS calls",
                  "`DescribeTasks`", "at once", ""], rows)


def calls(results):
    kinds = {}
    for bills in results["bill"]["variants"].values():
        for it in bills.values():
            kinds |= dict.fromkeys(it["calls"])
    kinds = [kind for kind in kinds if kind != "other"] + ["other"]
    rows = []
    for variant, bills in results["bill"]["variants"].items():
        for label, it in bills.items():
            if "same_as" not in it:
                rows.append([f"{variant}, {label}", *[put(it["calls"].get(kind, 0)) for kind in kinds]])
    return table(["", *[f"`{kind.split(':')[-1]}`" for kind in kinds]], rows)


def api(results):
    rows = []
    for way, title in (("local", "`local`"), ("lambda", "`lambda_http`")):
        for endpoint, figures in results["api"][way].items():
            for connections, sides in figures.items():
                ours, inside, limit, fastapi = (sides.get(side) for side in ("Longhaul", "inside", "limit", "FastAPI"))
                rows.append([title, endpoint, connections, times(ratio(limit["rate"], ours["rate"])), times(ratio(ours["rate"], fastapi and fastapi["rate"])),
                             *[put(side and side["rate"]) for side in (ours, inside, limit, fastapi)],
                             *[f"{put(side['p50'])} / {put(side['p99'])}" if side else "–" for side in (ours, limit, fastapi)],
                             *[put(side and side["own_us"]) for side in (ours, limit, fastapi)]])
    return table(["through", "endpoint", "connections", "limit ÷ Longhaul", "Longhaul ÷ FastAPI", "Longhaul /s", "in the stack /s", "limit /s", "FastAPI /s",
                  "Longhaul ms, p50 / p99", "limit", "FastAPI", "Longhaul µs of CPU time", "limit", "FastAPI"], rows)


def latency(results):
    rows = [[way, *[put(figures[what][which]) for what in ("start_ms", "end_ms") for which in ("p50", "p99")]]
            for way, figures in results["latency"]["ways"].items()]
    return table(["", "start to task, p50 ms", "p99", "task's end to final state, p50 ms", "p99"], rows)


def growth(results):
    columns = [("start_ms", "start, ms"), ("get_ms", "get, ms"), ("list_ms", "first page of 100, ms"),
               ("middle_ms", "page in the middle, ms"), ("first_sweep_ms", "first sweep, ms"), ("sweep_ms", "next sweeps, ms"), ("memory_mb", "stack, MB")]
    def rows(of, first):
        return [[put(row[first], 9), *[put(row.get(name)) for name, _ in columns]] for row in results["growth"][of]]
    titles = [title for _, title in columns]
    return "\n\n".join([table(["sync executions at once", *titles], rows("sync", "at_once")), table(["items in the table", *titles], rows("items", "items"))])


def aims(results):
    """Compares the figures with the aims."""
    rows = []

    def aim(what, wanted, is_now, met):
        rows.append([what, wanted, is_now, "met" if met else "**missed**"])

    if "start" in results:
        functions = results["start"]["functions"]
        ours = {name: it for name, it in functions.items() if not name.startswith("Python")}
        python = functions["Python sync"]
        span = lambda what: f"{put(min(it[what] for it in ours.values()))} to {put(max(it[what] for it in ours.values()))}"
        worst = lambda what: max(it[what] for it in ours.values())
        faster, smaller = python["processor_ms"] / worst("processor_ms"), python["resident_mb"] / worst("resident_mb")
        aim("function start vs. Python", "30×", f"{times(python['processor_ms'] / min(it['processor_ms'] for it in ours.values()))} to {times(faster)}", faster >= 30)
        aim("memory vs. Python", "5×", f"{times(python['resident_mb'] / min(it['resident_mb'] for it in ours.values()))} to {times(smaller)}", smaller >= 5)
        aim("fastest function start", "8 ms", f"{span('fastest_ms')} ms", worst("fastest_ms") <= 8)
        aim("resident memory at start", "10 MB", f"{span('resident_mb')} MB", worst("resident_mb") <= 10)
        aim("zip size", "5 MB", f"{span('zip_mb')} MB", worst("zip_mb") < 5)
    if "bill" in results:
        variants = results["bill"]["variants"]
        for label in ("10 min", "10 h", "365 d"):
            ours = variants[OURS].get(label)
            for other in (POLLING, CONDITION):
                it = variants[other].get(label)
                if not ours or not it:
                    continue
                if it["status"].upper() != "SUCCEEDED":
                    rows.append([f"bill for {label} vs. {other}", "10×", f"Python {lived(it).replace('*', '')}", "no ratio"])
                    continue
                billed, operations = it["billed_ms"] / ours["billed_ms"], it["operations"] / ours["operations"]
                aim(f"billed time for {label} vs. {other}", "10×", times(billed), billed >= 10)
                aim(f"operations for {label} vs. {other}", "10×", times(operations), operations >= 10)
        it = variants[POLLING].get("10 min")
        at_once = {label: variants[OURS][label]["at_once"] for label in variants[OURS]}
        text = ", ".join(f"{put(value) if value else 'any number'} for jobs of {label}" for label, value in at_once.items())
        aim("concurrent executions before a quota is used up", "10,000", f"{text}; {POLLING}: {put(it and it['at_once'])}",
            all(value is None or value >= 10_000 for value in at_once.values()))
    if "api" in results:
        for way in ("local", "lambda"):
            ratios = {(name, connections): sides["limit"]["rate"] / sides["Longhaul"]["rate"]
                      for name, figures in results["api"][way].items() for connections, sides in figures.items()}
            calling = sorted(value for (name, _), value in ratios.items() if name not in NO_CALLS)
            within = sum(value <= 1.2 for value in calling)
            aim(f"API through {way}, requests per second vs. the limit", "1.2×",
                f"{times(calling[len(calling) // 2])} (median), {times(calling[-1])} (worst), {within} of {len(calling)} within", calling[-1] <= 1.2)
            takes = sorted(sides["Longhaul"]["own_us"] / sides["limit"]["own_us"] for name, figures in results["api"][way].items()
                           for sides in figures.values() if name not in NO_CALLS and sides["limit"]["own_us"])
            aim(f"API through {way}, CPU time vs. the limit", "1.2×", f"{times(takes[len(takes) // 2])} (median), {times(takes[-1])} (worst)", takes[-1] <= 1.2)
        beside = [sides["Longhaul"]["rate"] / sides["FastAPI"]["rate"] for figures in results["api"]["local"].values() for sides in figures.values() if "FastAPI" in sides]
        processor = [sides["FastAPI"]["own_us"] / sides["Longhaul"]["own_us"] for figures in results["api"]["local"].values()
                     for sides in figures.values() if "FastAPI" in sides and sides["Longhaul"]["own_us"]]
        if processor:
            aim("the API's own CPU time vs. FastAPI", "10×", f"{times(min(processor))} to {times(max(processor))}", min(processor) >= 10)
        aim("API vs. FastAPI, requests per second", "10×", f"{times(min(beside))} to {times(max(beside))}", min(beside) >= 10)
    longest = results["growth"]["items"][-1] if "growth" in results else {}
    if "middle_ms" in longest:
        slower = max(longest["list_ms"], longest["middle_ms"])
        aim(f"a page of 100 of {put(longest['items'], 9)} executions, the first and one in the middle", "50 ms",
            f"{put(longest['list_ms'])} and {put(longest['middle_ms'])} ms", slower <= 50)
    return table(["", "aim", "measured", "result"], rows)


def headline(results):
    """The aims as text for a terminal."""
    rows = [[cell.strip().replace("**", "") for cell in line.strip("|").split("|")] for line in aims(results).splitlines()]
    rows = [row for number, row in enumerate(rows) if number != 1]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


def plot(results):
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams |= {"svg.hashsalt": "longhaul", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    import matplotlib.pyplot as pyplot

    figure, axes = pyplot.subplots(2, 2, figsize=(11, 8))
    ours, theirs, limit = "#1b6ca8", "#d98c21", "#9aa5ad"
    if "start" in results:
        functions = results["start"]["functions"]
        area, names = axes[0][0], list(functions)
        area.barh(names, [functions[name]["fastest_ms"] for name in names], color=[theirs if name.startswith("Python") else ours for name in names])
        area.set(xscale="log", title="From process start to the first request for work, ms")
        area.invert_yaxis()
    if "bill" in results:
        area = axes[0][1]
        for variant, colour in ((OURS, ours), (POLLING, theirs), (CONDITION, "#8a5a83")):
            bills = [it for it in results["bill"]["variants"][variant].values() if it["status"].upper() == "SUCCEEDED"]
            area.plot([it["job_s"] for it in bills], [it["operations"] for it in bills], marker="o", color=colour, label=variant)
            for it in results["bill"]["variants"][variant].values():
                if it["status"].upper() != "SUCCEEDED" and "same_as" not in it:
                    area.plot([bills[-1]["job_s"], it["lived_s"]], [bills[-1]["operations"], it["operations"]], linestyle=":", color=colour)
                    area.plot([it["lived_s"]], [it["operations"]], marker="x", markersize=9, color=colour)
        area.axhline(3000, color=limit, linewidth=1)
        area.set(xscale="log", yscale="log", title="Operations of one execution, of 3,000 (×: it ends there)", xlabel="duration of the job, seconds")
        area.legend()
    if "api" in results:
        area = axes[1][0]
        names = [name for name in results["api"]["local"] if "FastAPI" in next(iter(results["api"]["local"][name].values()))]
        for number, (side, colour) in enumerate((("limit", limit), ("Longhaul", ours), ("FastAPI", theirs))):
            rates = [results["api"]["local"][name].get("32", {}).get(side, {}).get("rate", 0) for name in names]
            area.bar([place + 0.27 * (number - 1) for place in range(len(names))], rates, 0.25, label=side, color=colour)
        area.set(yscale="log", title="Requests per second, 32 connections, through local", xticks=range(len(names)), xticklabels=names)
        area.legend()
    if "growth" in results:
        area = axes[1][1]
        for of, first, style in (("sync", "at_once", "-"), ("items", "items", "--")):
            for what, colour in (("start_ms", ours), ("get_ms", theirs), ("list_ms", "#8a5a83"), ("sweep_ms", limit)):
                rows = results["growth"][of]
                area.plot([row[first] for row in rows], [row[what] for row in rows], style, marker=".", color=colour, label=f"{what[:-3]}, {of}")
        area.set(xscale="log", yscale="log", title="ms, with executions at once (—) and items in the table (- -)")
        area.legend(fontsize=7, ncols=2)
    figure.tight_layout()
    figure.savefig(PLOT, metadata={"Date": None})


def write(results):
    """Writes each table between its markers; a part that was never run keeps its old table."""
    text = PAGE.read_text()
    tables = {"aims": aims, "start": start, "bill": bill, "calls": calls, "api": api, "latency": latency, "growth": growth}
    for name, make in tables.items():
        part = {"aims": None, "calls": "bill"}.get(name, name)
        if part in results or part is None:
            content = make(results) + ("" if name in ("aims", "calls") else f"\n\n{note(part, results)}")
            text = re.sub(f"(<!-- {name} -->\n).*?(<!-- end -->)", lambda found: f"{found[1]}\n{content}\n\n{found[2]}", text, flags=re.DOTALL)
    PAGE.write_text(text)
    plot(results)
