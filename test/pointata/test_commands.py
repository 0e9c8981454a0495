"""The `pointata` command: its help, wrong arguments and libraries that are not installed."""

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from threading import Timer
from typing import Any

import numpy as np
import pytest
from own_folder import write_clip, write_set

import pointata
from pointata.cli import COMMANDS, main
from pointata.system.cores import torch_threads

ROOT = Path(__file__).parents[2]
#: What only the extras install, by the name of import.
OPTIONAL = {
    "recordings": ("rosbags", "h5py", "PIL"),
    "training": ("lightning", "jsonargparse", "ot", "open3d", "torchmetrics", "matplotlib", "tensorboard"),
}


class _ParserReached(BaseException):
    pass


def parser_of(command: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The parser that a command makes: the command is run up to the moment in which it parses."""
    if COMMANDS[command].extra:
        for name in ("lightning", "jsonargparse"):
            pytest.importorskip(name, reason=f"training needs {name} (pip install {name})")
    caught: list[argparse.ArgumentParser] = []

    def parse_args(parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        caught.append(parser)
        raise _ParserReached

    module = import_module(COMMANDS[command].module)
    owners = [argparse.ArgumentParser]
    if COMMANDS[command].extra:
        owners.append(import_module("jsonargparse").ArgumentParser)
    with monkeypatch.context() as patch:
        for owner in owners:
            patch.setattr(owner, "parse_args", parse_args)
        with pytest.raises(_ParserReached):
            getattr(module, COMMANDS[command].function)([])
    return caught[0]


def settings(parser: Any) -> Iterator[argparse.Action]:
    """All that a parser takes, but --help and the like, which print something else and exit.

    Of Lightning's trainer: what the help shows; it says that there are more.
    """
    for action in parser._actions:
        hidden = action.dest.startswith("trainer.") and action.help == argparse.SUPPRESS
        if not isinstance(action, argparse._HelpAction) and not action.dest.endswith(".help") and not hidden:
            yield action


@pytest.mark.parametrize("command", COMMANDS)
def test_every_setting_has_a_sentence_of_help(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    parser = parser_of(command, monkeypatch)
    found = {"/".join(a.option_strings) or a.dest: a.help for a in settings(parser)}
    assert found
    bare = [name for name, text in found.items() if not text or text == argparse.SUPPRESS or len(text.split()) < 2]
    assert bare == []


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_names_the_command_and_ends_with_an_example_that_it_takes(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = parser_of(command, monkeypatch)
    text = parser.format_help()
    assert text.startswith(f"usage: pointata {command} ")
    *_, heading, example = text.strip().splitlines()
    assert heading == "example:"
    words = shlex.split(example)
    assert words[:2] == ["pointata", command]
    monkeypatch.chdir(ROOT)
    parser.parse_args(words[2:])


WRONG = [
    (["adapt", "--settings.nme=x"], "adapt"),
    (["adapt", "--threads=-1"], "adapt"),
    (["adapt", "--seed=-1"], "adapt"),
    (["pretrain", "--threads=-1"], "pretrain"),
    (["align", "--seed=4294967296"], "align"),
    (["evaluate", "sim_room", "x", "--threads", "-1"], "evaluate"),
    (["pretrain", "--data.points=many"], "pretrain"),
    (["classify"], "classify"),
    (["align", "--settings.method=magic"], "align"),
    (["frame-heads", "--settings.views=1.5"], "frame-heads"),
    (["evaluate"], "evaluate"),
    (["evaluate", "sim_room", "x", "--split", "most"], "evaluate"),
    (["import-point-mae"], "import-point-mae"),
    (["info", "--loud"], "info"),
    (["evaluate", "sim_room", "x", "--thread", "2"], "evaluate"),  # no abbreviations
    (["adapt", "--settings.nam=x"], "adapt"),
]


@pytest.mark.parametrize(("arguments", "command"), WRONG)
def test_wrong_arguments_are_one_sentence(
    arguments: list[str], command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if COMMANDS[command].extra:
        pytest.importorskip("lightning", reason="training needs lightning (pip install lightning)")
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert len(shown.err.splitlines()) == 1
    assert shown.err.startswith(f"pointata {command}: ")
    assert shown.err.endswith(f"; see pointata {command} --help\n")


def test_an_unknown_command_is_named_with_its_neighbour(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["adpt"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("pointata: there is no command 'adpt': did you mean adapt?\nusage: pointata COMMAND")
    assert all(f"\n  {name} " in error for name in COMMANDS)


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"pointata {pointata.__version__}\n"


#: As a user's shell has it.
ENVIRONMENT = {**os.environ, "PYTHONWARNINGS": ""}


def command_line(libraries: tuple[str, ...], *arguments: str) -> list[str]:
    """`pointata` in a Python that cannot import some libraries."""
    blocked = "".join(f"sys.modules[{name!r}] = None\n" for name in libraries)
    # tests that run in the background of a shell inherit from it that Ctrl-C is ignored
    code = (
        f"import signal, sys\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n{blocked}"
        "from pointata.cli import main\nsys.exit(main(sys.argv[1:]))"
    )
    return [sys.executable, "-c", code, *arguments]


def without(libraries: tuple[str, ...], *arguments: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run `pointata` in a process of its own that cannot import some libraries."""
    command = command_line(libraries, *arguments)
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=ENVIRONMENT)


@pytest.mark.parametrize("command", [name for name, command in COMMANDS.items() if command.extra])
def test_a_command_without_its_libraries_names_what_installs_them(command: str, tmp_path: Path) -> None:
    done = without(OPTIONAL["training"] + OPTIONAL["recordings"], command, "--help", folder=tmp_path)
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"pointata {command}: this command needs the Python module ")
    assert 'pip install "pointata[training]"' in done.stderr


@pytest.mark.parametrize("command", [name for name, command in COMMANDS.items() if not command.extra])
def test_the_other_commands_need_no_extra(command: str, tmp_path: Path) -> None:
    done = without(OPTIONAL["training"] + OPTIONAL["recordings"], command, "--help", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: pointata {command} ")


#: Of training commands: the folder that `write_set` writes.
DATA = (
    "--data.set=recordings:set --data.clips.frames=3 --data.clips.dense_frames=1 --data.sampling.points=16 "
    "--data.sampling.point_neighbours=4 --data.augmentation.mirror=false"
)
ADAPT = (
    "adapt --settings.name=own --settings.backbone=pointmae_tiny --network.groups=8 "
    "--network.group_size=2 --network.window=4 --settings.settle_frames=1 "
    f"{DATA} --data.workers=0 --data.clips.per_epoch=8 --threads=1 --accelerator=cpu --out=bundles"
)


def test_only_this_package_speaks_while_commands_run(tmp_path: Path) -> None:
    for module in ("lightning", "jsonargparse", "torchmetrics"):
        pytest.importorskip(module, reason=f"training needs {module} (pip install {module})")
    write_set(tmp_path / "set")
    runs = [
        "align --settings.name=near --settings.backbone=pointmae_tiny --settings.epochs=1 "
        f"--network.groups=8 --network.group_size=2 --source=sim:shapes?count=30 --accelerator=cpu {DATA}",
        f"{ADAPT} --trainer.max_epochs=1",
        "frame-heads --settings.name=heads --settings.bundle=bundles/own.safetensors --settings.views=1 "
        f"--settings.steps=1 --settings.batch=2 --settings.settle_frames=1 {DATA}",
    ]
    for run in runs:
        done = without((), *run.split(), folder=tmp_path)
        assert done.returncode == 0, done.stderr
        assert done.stdout == ""
        foreign = [line for line in done.stderr.splitlines() if not line.startswith("INFO ")]
        assert foreign == []
        words = ("Tip", "litlogger", "GPU", "TPU", "dataloader", "deprecat", "Seed set", "tensorboard")
        assert [word for word in words if word in done.stderr] == []


def test_ctrl_c_ends_a_training_in_a_sentence(tmp_path: Path) -> None:
    for module in ("lightning", "jsonargparse", "torchmetrics"):
        pytest.importorskip(module, reason=f"training needs {module} (pip install {module})")
    write_set(tmp_path / "set")
    command = command_line((), *ADAPT.split(), "--trainer.max_epochs=100000")
    pipes: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True, "env": ENVIRONMENT}
    with subprocess.Popen(command, cwd=tmp_path, start_new_session=True, **pipes) as training:
        guard = Timer(600, training.kill)
        guard.start()
        assert training.stderr is not None
        for line in training.stderr:
            if line.startswith("INFO epoch 1 "):
                training.send_signal(signal.SIGINT)
                break
        lines = [line.strip() for line in training.stderr if line.strip()]
        code = training.wait()
        guard.cancel()
    assert code == 130
    assert lines[-1] == (
        "pointata adapt: stopped by Ctrl-C; pointata goes on from its newest checkpoint with --resume last"
    )
    assert "Traceback" not in "".join(lines)


def test_evaluate_without_its_display_names_what_installs_it(tmp_path: Path) -> None:
    done = without(("rich",), "evaluate", "--help", folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("pointata evaluate: this command needs the Python module rich")
    assert 'pip install "pointata"' in done.stderr


def test_a_plain_installation_measures_recordings_in_numpy_files(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.npz", frames=6, doppler=np.zeros((6, 6), np.float32))
    given = ("evaluate", "mars_actions", "clip.npz", "--device", "cpu", "--json", "figures.json")
    done = without(OPTIONAL["training"] + OPTIONAL["recordings"], *given, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads((tmp_path / "figures.json").read_text())["frames"] == 6


def test_a_reader_whose_library_is_missing_names_it(tmp_path: Path) -> None:
    (tmp_path / "drive.mcap").touch()
    given = ("evaluate", "sim_street", "drive.mcap", "--device", "cpu")
    done = without(OPTIONAL["recordings"], *given, folder=tmp_path)
    assert done.returncode == 1
    sentence = done.stderr.splitlines()[-1]
    assert sentence.startswith("pointata evaluate: reading this recording needs the Python module rosbags")
    assert 'pip install "pointata[recordings]"' in sentence


@pytest.mark.parametrize(
    ("wanted", "stated", "cores", "own", "expected"),
    [
        (0, None, 4, 8, 3),  # one core is left to the rest of the machine
        (0, None, 1, 1, 1),
        (0, None, 64, 32, 32),  # never more than torch itself would take
        (0, "2", 4, 2, 2),
        (3, "2", 4, 2, 3),
    ],
)
def test_torch_leaves_one_core_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, wanted: int, stated: str | None, cores: int, own: int, expected: int
) -> None:
    monkeypatch.setattr("pointata.system.cores.core_count", lambda: cores)
    monkeypatch.setattr("torch.get_num_threads", lambda: own)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if stated is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", stated)
    assert torch_threads(wanted) == expected
