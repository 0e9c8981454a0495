"""What networks score. A task is one module of this package, `TASK` in it, and its line in `TASKS`.

Names, scopes and classes are known without torch; `get` imports the rest.
"""

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from pointata.classes import class_list
from pointata.tasks.scope import Kind, Scope

if TYPE_CHECKING:
    from pointata.tasks.task import Task

#: By name, in the order in which results are reported.
TASKS: Mapping[str, Kind] = {
    "action": Kind(Scope.WINDOW),
    "segments": Kind(Scope.FRAME),
    "semantic": Kind(Scope.POINT),
    "moving": Kind(Scope.POINT, class_list(("static", (120, 120, 120)), ("moving", (255, 80, 0)))),
}


def get(name: str) -> "Task":
    """A task by name."""
    task: Task = import_module(f"pointata.tasks.{name}").TASK
    return task


def of_scope(tasks: Iterable[str], *scopes: Scope) -> tuple[str, ...]:
    """Those of some tasks that score windows, frames or points."""
    return tuple(task for task in tasks if TASKS[task].scope in scopes)
