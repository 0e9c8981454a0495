"""What the executables call: Ctrl-C is one line also while the program is imported, seconds on a small machine."""

import sys
from importlib import import_module


def node() -> int:
    """The executable `pointata_node`; returns its exit status."""
    return _run("pointata_node", "ros_pointata.node")


def replay() -> int:
    """The executable `replay`; returns its exit status."""
    return _run("replay", "ros_pointata.replay.cli")


def _run(program: str, module: str) -> int:
    try:
        return int(import_module(module).main())
    except KeyboardInterrupt:
        print(f"{program}: stopped by Ctrl-C", file=sys.stderr)
        return 130
