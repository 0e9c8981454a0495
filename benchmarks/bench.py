"""Real time, measured: writes results.json, and a page with tables and a picture, into build/bench.

    python benchmarks/bench.py [--parts streaming node ...] [--soak 36000] [--gpu] [--quick] [--docs]

All parts together take under ten minutes on two cores (`make bench`). A part that is run alone renews its own figures;
the others keep theirs. --docs renews docs/performance.md and its picture instead of a page in build/bench. --quick
tries the code: one repeat, tiny preset, no node, no page.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from realtime import machine
from realtime.gpu import measure_gpu
from realtime.networks import ACTION_HEADS, PRESETS
from realtime.node import CASES, measure_node
from realtime.page import write_page
from realtime.plot import draw
from realtime.preprocessing import measure_preprocessing, measure_shapeless
from realtime.sizes import measure_sizes
from realtime.soak import measure_soak
from realtime.stages import measure_stages
from realtime.streaming import TOLERANCE, measure_streaming
from realtime.streams import measure_streams

from pointata.system.memory import keep_freed_memory

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "performance.md"
WINDOWS, POINTS, TOKENS = (8, 16, 24), (20_000, 130_000, 260_000), (64, 256, 512)
NO_GPU = "Not measured: torch finds no GPU here. Where there is one: `python benchmarks/bench.py --gpu --parts gpu`."

Part = Callable[[argparse.Namespace], dict[str, Any]]


def streaming(given: argparse.Namespace) -> dict[str, Any]:
    """Streaming against recomputing."""
    presets, pairs = (PRESETS[:1], 1) if given.quick else (PRESETS, 6)
    speedups, details = measure_streaming(presets, WINDOWS, pairs)
    actions, of_actions = measure_streaming(presets, WINDOWS, pairs, ACTION_HEADS)
    return {
        "stream_speedup": speedups, "stream_speedup_details": details,
        "stream_speedup_actions": actions, "stream_speedup_actions_details": of_actions,
    }  # fmt: skip


def preprocessing(given: argparse.Namespace) -> dict[str, Any]:
    """Points before and after the network."""
    return measure_preprocessing(POINTS[:1], 1) if given.quick else measure_preprocessing(POINTS, 15)


def shapeless(given: argparse.Namespace) -> dict[str, Any]:
    """Clouds without much shape."""
    return measure_shapeless(*((2_000, 20_000, 1) if given.quick else (130_000, 3_000_000, 5)))


def stages(given: argparse.Namespace) -> dict[str, Any]:
    """The stage table."""
    if given.quick:
        return {"stages_ms": measure_stages(PRESETS[:1], POINTS[:1], TOKENS[:1], 1)}
    return {"stages_ms": measure_stages(PRESETS, POINTS, TOKENS, 7)}


def node(given: argparse.Namespace) -> dict[str, Any]:
    """The node over DDS."""
    folder = given.out.parent / "node"
    folder.mkdir(parents=True, exist_ok=True)
    return {"node": {} if given.quick else {case.name: measure_node(case, 300, folder) for case in CASES}}


def sizes(given: argparse.Namespace) -> dict[str, Any]:
    """State and parameters."""
    return measure_sizes(PRESETS)


def memory(given: argparse.Namespace) -> dict[str, Any]:
    """The soak run."""
    return {"memory": measure_soak(given.soak)}


def streams(given: argparse.Namespace) -> dict[str, Any]:
    """Several streams."""
    return {"streams": measure_streams("tiny", (1, 4), 1) if given.quick else measure_streams("base", (1, 4, 16), 7)}


def gpu(given: argparse.Namespace) -> dict[str, Any]:
    """The network on a GPU."""
    if not torch.cuda.is_available():
        sys.stdout.write(f"{NO_GPU}\n")
        return {}
    return {"gpu": measure_gpu(*((PRESETS[:1], 1) if given.quick else (PRESETS, 200)))}


#: In the order in which they run: what needs a quiet machine first.
PARTS: Mapping[str, Part] = {
    part.__name__: part for part in (node, streaming, preprocessing, shapeless, stages, streams, sizes, memory, gpu)
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the parts, write what they found after each; 1 where streaming and recomputing disagree."""
    given = parse(argv)
    if not given.quick:  # as in the node; what follows lasts as long as the process
        keep_freed_memory()
        torch.set_num_threads(machine.cores())
    given.out.parent.mkdir(parents=True, exist_ok=True)
    results = json.loads(given.out.read_text()) if given.out.exists() else {"runs": {}}
    for name in given.parts:
        before, began = machine.load(), machine.now()
        sys.stdout.write(f"{name} ...\n")
        sys.stdout.flush()
        results |= PARTS[name](given)
        results["runs"][name] = {"date": began, "load_before": before, "load_after": machine.load()}
        if name != "gpu" or "machine" not in results:  # the GPU part names its own, which may be another
            results["machine"] = machine.describe()
        given.out.write_text(json.dumps(results, indent=1))
    results.setdefault("gpu", {"skipped": NO_GPU})
    given.out.write_text(json.dumps(results, indent=1))
    if not given.quick:
        page = PAGE if given.docs else given.out.parent / PAGE.name
        write_page(PAGE, page, results)
        if "stream_speedup_details" in results:
            draw(page.with_suffix(".png"), results)
        sys.stdout.write(f"{given.out} and {page} are written\n")
    worst = largest_difference(results)
    if worst > TOLERANCE:
        sys.stderr.write(f"streaming and recomputing differ by {worst:.2e}, more than {TOLERANCE}\n")
    return int(worst > TOLERANCE)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=None, help="default: all but gpu")
    parser.add_argument("--gpu", action="store_true", help="also the network on the GPU")
    parser.add_argument("--soak", type=int, default=None, help="frames of the long run, in whole thousands (3000)")
    parser.add_argument("--quick", action="store_true", help="one repeat, tiny preset, no node: does the code run?")
    parser.add_argument("--docs", action="store_true", help="renew docs/performance.md, not a page beside the results")
    parser.add_argument("--out", type=Path, default=None, help="default: build/bench/results.json")
    given = parser.parse_args(argv)
    given.parts = given.parts or [name for name in PARTS if name != "gpu"]
    given.parts += ["gpu"] if given.gpu and "gpu" not in given.parts else []
    given.soak = given.soak or (1000 if given.quick else 3000)
    if given.soak % 1000:
        parser.error("--soak must be a multiple of 1000")
    given.out = given.out or ROOT / "build" / "bench" / ("quick.json" if given.quick else "results.json")
    return given


def largest_difference(results: Mapping[str, Any]) -> float:
    """Between streaming and recomputing, over everything compared; 0 where nothing was. NaN counts as infinite."""
    found = [
        detail["max_difference"]
        for key in ("stream_speedup_details", "stream_speedup_actions_details")
        for windows in results.get(key, {}).values()
        for detail in windows.values()
    ]
    return max((value if value == value else float("inf") for value in found), default=0.0)


if __name__ == "__main__":
    sys.exit(main())
