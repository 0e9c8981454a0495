"""The tables of docs/performance.md, from build/bench/results.json."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pages import replace_section, table

Results = Mapping[str, Any]
_STAGES = ("decode", "sample", "model", "restore", "pack", "total")


#: Stands first on a page of another machine than the one that the text was written about.
_ELSEWHERE = "> The tables and the picture are of this run, the text around them was written about another machine.\n\n"


def write_page(template: Path, path: Path, results: Results) -> None:
    """Fill the section of every part that has results into a page like `template`, which may be `path` itself.

    Of the others, that page keeps what it says; another one says that they were not measured.
    """
    text = template.read_text()
    if path != template:
        text = _ELSEWHERE + text
        for name in SECTIONS:
            text = replace_section(text, f"bench: {name}", ["Not measured in this run."])
    for name, (needed, section) in SECTIONS.items():
        if needed in results:
            text = replace_section(text, f"bench: {name}", section(results))
    path.write_text(text)


def thousands(points: str) -> str:
    """20000 as 20k."""
    return f"{int(points) // 1000}k"


def _machine(results: Results) -> list[str]:
    m = results["machine"]
    loads = ", ".join(f"{part} {run['load_before'][0]:.1f}" for part, run in results["runs"].items())
    return [
        f"Measured {m['date']} UTC on {m['cpu']}, {m['cores']} cores, {m['memory_gib']} GiB; torch {m['torch']}, "
        f"{m['threads']} threads, Python {m['python']}, `net.core.rmem_max` {m['receive_buffer_limit']}. One-minute "
        f"load average when each part began: {loads}. Without this benchmark a quiet machine shows about 0; parts that "
        "follow others begin with the load of their predecessors."
    ]  # fmt: skip


def _streaming(results: Results) -> list[str]:
    rows = []
    for title, key in (
        ("action, segments, semantic", "stream_speedup"),
        ("action, segments", "stream_speedup_actions"),
    ):
        for name, windows in results[key].items():
            for window, ratio in windows.items():
                d = results[f"{key}_details"][name][window]
                rows.append([
                    title, name, window, f"{d['recompute_ms']:.1f}", f"{d['step_ms']:.2f}", f"**{ratio:.1f}**",
                    f"{d['max_difference']:.1e}", f"{d['effect_of_past']:.1e}", d["pairs"],
                ])  # fmt: skip
    header = ["heads", "preset", "window", "recompute ms", "step ms", "ratio", "largest difference",
              "effect of the past", "pairs"]  # fmt: skip
    return table(header, rows)


def _stages(results: Results) -> list[str]:
    rows = [
        [name, window, thousands(points), tokens, *(f"{stages[stage]:.1f}" for stage in _STAGES)]
        for name, windows in results["stages_ms"].items()
        for window, by_points in windows.items()
        for points, by_tokens in by_points.items()
        for tokens, stages in by_tokens.items()
    ]
    return table(["preset", "window", "points", "tokens", *_STAGES], rows)


def _preprocessing(results: Results) -> list[str]:
    stages = results["preprocess_stages_ms"]
    names = list(dict.fromkeys(name for by_name in stages.values() for name in by_name))
    rows = [
        [thousands(count), f"**{total:.1f}**", *(f"{stages[count].get(name, float('nan')):.1f}" for name in names)]
        for count, total in results["preprocess_restore_ms"].items()
    ]
    return table(["points", "decode + sample + restore", *names], rows)


def _shapeless(results: Results) -> list[str]:
    rows = [
        [name, f"{case['ms']:.1f}", "answered" if case["answered"] else "refused"]
        for name, case in results["shapeless_ms"].items()
    ]
    return table(["points", "ms", ""], rows)


def _coverage(results: Results) -> list[str]:
    titles = {"exact": "exact farthest points", "product": "as sampled here", "random": "random"}
    rows = [
        [thousands(count), titles[way], *(f"{d[key]:.3f}" for key in ("mean_m", "p99_m", "max_m"))]
        for count, ways in results["coverage"].items()
        for way, d in ways.items()
    ]
    return table(["points", "2,048 picks", "mean m", "99th percentile m", "largest m"], rows)


def _node(results: Results) -> list[str]:
    keys = ("p50_ms", "p99_ms", "max_ms")
    stages = list(dict.fromkeys(stage for case in results["node"].values() for stage in case["stages_p50_ms"]))
    rows, inside = [], []
    for name, case in results["node"].items():
        counters = ", ".join(f"{key} {value}" for key, value in case["counters"].items() if value)
        rows.append([
            name, " ".join(case["parameters"]) or "defaults", *(f"{case[key]:.1f}" for key in keys), case["sent"],
            case["answered"], case["dropped"], case["sent_late"],
            f"{case['load_before'][0]:.1f}", f"{case['warm_up']} more; {counters}",
        ])  # fmt: skip
        inside.append([name, *(f"{case['stages_p50_ms'].get(stage, float('nan')):.1f}" for stage in stages)])
    header = ["case", "node parameters", "p50 ms", "p99 ms", "max ms", "sent", "answered", "dropped", "sent late",
              "load before", "warm-up, and the node's own counters over all"]  # fmt: skip
    return [
        *table(header, rows),
        "",
        "Medians of the stages inside the node, ms:",
        "",
        *table(["case", *stages], inside),
    ]


def _sizes(results: Results) -> list[str]:
    rows = [
        [name, f"{kib:.1f}", *(f"{results['parameters'][name][key]:,}" for key in ("total", "adapter"))]
        for name, kib in results["state_kib"].items()
    ]
    return table(["preset", "state of a stream, KiB", "parameters", "of these in the adapter bundle"], rows)


def _memory(results: Results) -> list[str]:
    m = results["memory"]
    rss, first, last = m["rss_mib"], m["first_thousand"], m["last_thousand"]
    shown = sorted({min(rss, key=int), max(rss, key=int)}, key=int)
    rows = [
        [f"{int(number):,}", f"{rss[number]:.1f}", *(f"{part[key]:.2f}" for key in ("p50_ms", "p99_ms", "max_ms"))]
        for number, part in zip(shown, (first, last) if len(shown) > 1 else (last,), strict=True)
    ]
    return [
        *table(["after frames", "resident MiB", "p50 ms of the last thousand", "p99 ms", "max ms"], rows),
        "", f"Growth over the run: {m['growth_percent']:+.2f} %.",
    ]  # fmt: skip


def _streams(results: Results) -> list[str]:
    rows = [
        [count, d["preset"], f"{d['ms_per_frame']:.1f}", f"{d['model_ms_per_frame']:.1f}"]
        for count, d in results["streams"].items()
    ]
    return table(["streams", "preset", "ms per frame", "of it the network"], rows)


def _gpu(results: Results) -> list[str]:
    gpu = results["gpu"]
    if "device" not in gpu:
        return [gpu["skipped"]]
    rows = [
        [
            name, mode.split("_")[0], "CUDA graph" if d["captured"] else "eager", d["streams"], f"{d['p50_ms']:.2f}",
            f"{d['p99_ms']:.2f}", f"{d['p50_ms'] / d['streams']:.2f}",
            f"{d['max_difference_to_cpu']:.1e}" if "max_difference_to_cpu" in d else "-",
        ]
        for name, modes in gpu.items() if name not in ("device", "points")
        for mode, d in modes.items()
    ]  # fmt: skip
    header = ["preset", "precision", "launch", "streams", "p50 ms", "p99 ms", "p50 ms per frame",
              "largest difference of a probability to the CPU"]  # fmt: skip
    stages = list(next(iter(gpu["points"].values())))
    points = [[thousands(count), *(f"{ms:.1f}" for ms in d.values())] for count, d in gpu["points"].items()]
    return [
        f"On {gpu['device']}:", "", *table(header, rows), "", "Before and after the network, ms:", "",
        *table(["points", *stages], points),
    ]  # fmt: skip


#: By name of the section: the key of the results that it needs, and what makes its lines.
SECTIONS: Mapping[str, tuple[str, Callable[[Results], list[str]]]] = {
    "machine": ("machine", _machine),
    "streaming": ("stream_speedup", _streaming),
    "node": ("node", _node),
    "stages": ("stages_ms", _stages),
    "preprocessing": ("preprocess_restore_ms", _preprocessing),
    "shapeless": ("shapeless_ms", _shapeless),
    "coverage": ("coverage", _coverage),
    "streams": ("streams", _streams),
    "sizes": ("state_kib", _sizes),
    "memory": ("memory", _memory),
    "gpu": ("gpu", _gpu),
}
