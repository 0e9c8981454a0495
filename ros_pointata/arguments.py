"""Checked numbers of command lines; what is wrong becomes argparse's usage error."""

import argparse


def positive(text: str) -> float:
    """A finite number above 0."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
    return value


def at_least_zero(text: str) -> int:
    """An integer from 0."""
    return _at_least(0, text)


def at_least_one(text: str) -> int:
    """An integer from 1."""
    return _at_least(1, text)


def _at_least(lowest: int, text: str) -> int:
    value = int(text)
    if value < lowest:
        raise argparse.ArgumentTypeError(f"{text} is below {lowest}")
    return value
