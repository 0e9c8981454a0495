"""tools/prerequisites on machines that lack something, made of a PATH with stand-ins for the system's commands."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "tools" / "prerequisites"
LIBRARIES = dict(re.findall(r"^ +need (lib\S+) (\S+) loads \1$", SCRIPT.read_text(encoding="utf-8"), re.MULTILINE))


@dataclass
class Machine:
    """A folder that is the whole PATH; `apt` installs into it what it is asked for."""

    folder: Path

    def __post_init__(self) -> None:
        for tool in ("cat", "env", "grep", "mktemp", "rm", "sh", "true"):
            (self.folder / tool).symlink_to(str(shutil.which(tool)))
        self.command("make", "exit 0")
        self.command("g++", "exit 0")
        self.command("python3", f'exec "{sys.executable}" "$@"')
        self.command("ldconfig", f'cat "{self.folder / "libraries"}"')
        self.command("id", "echo 1000")
        self.libraries(*LIBRARIES)

    def command(self, name: str, body: str) -> None:
        path = self.folder / name
        path.write_text(f"#!{shutil.which('sh')}\n{body}\n", encoding="utf-8")
        path.chmod(0o755)

    def libraries(self, *names: str) -> None:
        lines = [f"\t{name} (libc6,x86-64) => /lib/{name}\n" for name in names]
        (self.folder / "libraries").write_text("".join(lines), encoding="utf-8")

    def apt(self, fails: bool = False) -> None:
        """An apt-get that notes its arguments and puts every library into the linker's list."""
        every = " ".join(f"'{name} (x)'" for name in LIBRARIES)
        install = "echo 'noise'; echo 'E: no such package' >&2; exit 100" if fails else (
            f"printf '%s\\n' {every} >{self.folder / 'libraries'}; printf 'exit 0' >{self.folder / 'g++'}; "
            f"/bin/chmod +x {self.folder / 'g++'}"
        )  # fmt: skip
        self.command("apt-get", f'echo "$@" >>{self.folder / "asked"}\n[ "$1" = update ] || {{ {install}; }}')

    def asked(self) -> str:
        path = self.folder / "asked"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def examine(self, python: str = "python3") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.folder / "sh"), str(SCRIPT), python],
            env={"PATH": str(self.folder)}, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def bare(machine: Machine) -> Machine:
    """Without a compiler and without libusb."""
    (machine.folder / "g++").unlink()
    machine.libraries(*(name for name in LIBRARIES if "usb" not in name))
    return machine


def test_a_complete_machine_hears_nothing(machine: Machine) -> None:
    machine.apt()
    done = machine.examine()
    assert (done.returncode, done.stdout, done.stderr, machine.asked()) == (0, "", "", "")


@pytest.mark.parametrize("sudo", [None, "exit 1"], ids=["no sudo", "a sudo that asks"])
def test_one_line_names_everything_that_is_missing(bare: Machine, sudo: str | None) -> None:
    bare.apt()
    if sudo:
        bare.command("sudo", sudo)
    done = bare.examine()
    assert done.returncode == 1
    assert bare.asked() == ""
    lines = [line for line in done.stderr.splitlines() if "apt-get install" in line]
    assert lines == ["    sudo apt-get update && sudo apt-get install g++ libusb-1.0-0"]
    assert "libusb-1.0.so.0" in done.stderr


@pytest.mark.parametrize("way", ["root", "sudo"])
def test_who_may_without_a_question_gets_it_installed(bare: Machine, way: str) -> None:
    bare.apt()
    if way == "root":
        bare.command("id", "echo 0")
    else:
        bare.command("sudo", '[ "$1" = -n ] || exit 1; shift; exec "$@"')
    done = bare.examine()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "Installing by apt-get what is missing here: g++ libusb-1.0-0\n"
    assert re.search(r"^install .* g\+\+ libusb-1\.0-0$", bare.asked(), re.MULTILINE)


def test_a_failed_installation_says_why(bare: Machine) -> None:
    bare.apt(fails=True)
    bare.command("id", "echo 0")
    done = bare.examine()
    assert done.returncode == 1
    assert "E: no such package" in done.stderr
    assert "noise" not in done.stderr
    assert "sudo apt-get install g++ libusb-1.0-0" in done.stderr


def test_a_machine_without_python(machine: Machine) -> None:
    (machine.folder / "python3").unlink()
    done = machine.examine()
    assert done.returncode == 1
    assert "apt-get install python3 python3-venv python3-dev\n" in done.stderr


@pytest.mark.parametrize("python", ["python3.9", "absent"])
def test_another_python_is_asked_for_where_this_one_does_not_fit(machine: Machine, python: str) -> None:
    machine.command("python3.9", "exit 1")
    done = machine.examine(python)
    assert done.returncode == 1
    assert done.stderr == f"{python} is not Python 3.10 to 3.13: name one that is, as in: make PYTHON=python3.12\n"


def test_every_library_that_open3d_loads_is_looked_for() -> None:
    spec = find_spec("open3d")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent
    needed: set[str] = set()
    for library in folder.glob("libOpen3D.so*"):
        read = subprocess.run(["readelf", "-d", str(library)], capture_output=True, text=True, check=True)
        needed |= set(re.findall(r"\(NEEDED\).*\[(.+)\]", read.stdout))
    of_every_machine = re.compile(r"lib(c|m|dl|pthread|rt|stdc\+\+|gcc_s|gomp)\.so|ld-linux")
    system = {name for name in needed if not of_every_machine.match(name) and not (folder / name).exists()}
    assert "libusb-1.0.so.0" in system
    assert system == set(LIBRARIES)


def test_the_readme_names_every_package() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    packages = {"g++", "python3-venv", "python3-dev", *LIBRARIES.values()}
    assert {name for name in packages if f"`{name}`" not in readme} == set()
