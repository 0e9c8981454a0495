"""What whoever reads the figures of a measurement must know: whether they are of unseen data, at the right rate."""

from collections.abc import Sequence

from pointata.bundles.metadata import NetworkMetadata
from pointata.data.recording import Recording
from pointata.evaluation.training_overlap import TrainedOn
from pointata.preprocessing.picking import TOLERANCE
from pointata.text import some


def caveats(bundle: NetworkMetadata, recordings: Sequence[Recording], rates_hz: dict[str, float]) -> list[str]:
    """A sentence for each.

    Args:
        bundle: what was measured.
        recordings: on what.
        rates_hz: frames a second that the network saw of each of them.
    """
    return [*_simulated(bundle, recordings), *_trained_on(bundle, recordings), *_other_rate(bundle, rates_hz)]


def _simulated(bundle: NetworkMetadata, recordings: Sequence[Recording]) -> list[str]:
    real = [one.name for one in recordings if one.origin is None or not one.origin.simulated]
    if not bundle.simulated or not real:
        return []
    return [f"the bundle was trained on simulated data only: do not rely on its results for {some(real)}"]


def _trained_on(bundle: NetworkMetadata, recordings: Sequence[Recording]) -> list[str]:
    known = TrainedOn.of(bundle.training)
    seen = {recording.name: what for recording in recordings if (what := known.overlap(recording))}
    if not seen:
        return []
    kinds = ", ".join(dict.fromkeys(seen.values()))
    which = "all" if len(seen) == len(recordings) else f"{len(seen)} of {len(recordings)}"
    return [f"{which} recordings ({some(list(seen))}) show what the bundle was trained on ({kinds}): no test of it"]


def _other_rate(bundle: NetworkMetadata, rates_hz: dict[str, float]) -> list[str]:
    wanted_s = bundle.frame_period_s
    if wanted_s <= 0:
        return []
    off = {name: rate for name, rate in rates_hz.items() if abs(1 / rate - wanted_s) > TOLERANCE * wanted_s}
    if not off:
        return []
    rates = f"{min(off.values()):.3g}" + ("" if len(off) == 1 else f" to {max(off.values()):.3g}")
    return [
        f"{some(list(off))} came at {rates} frames a second, the bundle was trained at {1 / wanted_s:.3g}: "
        "motions look faster or slower to it than those that it learned"
    ]
