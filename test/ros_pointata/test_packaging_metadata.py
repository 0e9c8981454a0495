"""The descriptions of the packages agree with each other and with the files they name."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import zipfile
from email import message_from_bytes
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import pointata

tomllib = pytest.importorskip("tomllib" if sys.version_info >= (3, 11) else "tomli")

ROOT = Path(__file__).resolve().parents[2]
EXECUTABLES = sorted(path for path in (ROOT / "scripts").iterdir() if path.is_file())
PACKAGE_XML = ElementTree.parse(ROOT / "package.xml").getroot()
CMAKE = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")

#: Python modules that come from a ROS package, and the name that package.xml must give it.
ROS_MODULES = {
    *("ament_index_python", "builtin_interfaces", "diagnostic_msgs", "geometry_msgs", "launch", "launch_ros"),
    *("lifecycle_msgs", "nav_msgs", "rcl_interfaces", "rclpy", "rosgraph_msgs", "sensor_msgs", "sensor_msgs_py"),
    *("std_msgs", "std_srvs", "message_filters", "tf2_geometry_msgs", "tf2_msgs", "tf2_ros", "visualization_msgs"),
}
ROSDEP_NAMES = {"tf2_ros": "tf2_ros_py"}


def toml(path: str) -> dict[str, Any]:
    content: dict[str, Any] = tomllib.loads((ROOT / path).read_text(encoding="utf-8"))
    return content


CONSOLE_SCRIPTS = toml("pyproject.toml")["project"]["scripts"] | toml("pointata/pyproject.toml")["project"]["scripts"]


def imported_modules(folder: Path) -> set[str]:
    """First names of all absolute imports below `folder`, generated messages left out."""
    names: set[str] = set()
    for path in folder.rglob("*.py"):
        if path.parent.name in ("msg", "srv"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names.update(alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                names.add(node.module.split(".")[0])
    return names


def test_one_version_everywhere() -> None:
    versions = {
        "package.xml": PACKAGE_XML.findtext("version"),
        "pyproject.toml": toml("pyproject.toml")["project"]["version"],
        "pointata/pyproject.toml": toml("pointata/pyproject.toml")["project"]["version"],
        "pointata.__version__": pointata.__version__,
    }
    assert len(set(versions.values())) == 1, versions
    version = versions["package.xml"]
    assert f"pointata=={version}" in toml("pyproject.toml")["project"]["dependencies"]
    changes = (ROOT / "CHANGELOG.rst").read_text(encoding="utf-8")
    assert re.search(rf"^{re.escape(str(version))} \(", changes, re.MULTILINE)


def test_one_name_and_one_licence() -> None:
    project, offline = toml("pyproject.toml")["project"], toml("pointata/pyproject.toml")["project"]
    assert PACKAGE_XML.findtext("name") == project["name"] == "ros_pointata"
    assert f"project({project['name']})" in CMAKE
    assert PACKAGE_XML.findtext("license") == project["license"] == offline["license"]
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")


def test_every_ros_import_is_a_dependency() -> None:
    declared = {element.text for element in PACKAGE_XML if element.tag in ("depend", "exec_depend")}
    used = (imported_modules(ROOT / "ros_pointata") | imported_modules(ROOT / "launch")) & ROS_MODULES
    missing = {ROSDEP_NAMES.get(name, name) for name in used} - declared
    assert "rclpy" in used
    assert not missing, f"package.xml lacks <exec_depend> for {sorted(missing)}"


def test_launch_files_load_without_what_pip_installs() -> None:
    """`ros2 launch` runs by the system's Python, which sees nothing of the workspace's venv."""
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "launch").glob("*.py")]
    pattern = re.compile(r"^from ((?:ros_)?pointata[\w.]*) import", re.MULTILINE)
    own = sorted({name for source in sources for name in pattern.findall(source)})
    assert own
    wheels = ("torch", "fpsample", "pynanoflann", "safetensors", "rich", "rosbags", "open3d", "matplotlib")
    hidden = f"import sys; sys.modules.update(dict.fromkeys({wheels})); import {', '.join(own)}"
    done = subprocess.run([sys.executable, "-c", hidden], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr


def test_interfaces_depend_on_what_they_name() -> None:
    named = set()
    for path in (ROOT / "msg").glob("*.msg"):
        named |= set(re.findall(r"^(\w+)/\w+", path.read_text(encoding="utf-8"), re.MULTILINE))
    declared = {element.text for element in PACKAGE_XML if element.tag == "depend"}
    generated = re.search(r"rosidl_generate_interfaces\(.* DEPENDENCIES ([\w ]+)\)", CMAKE)
    assert generated is not None
    assert named == declared == set(generated[1].split())


def test_the_offline_package_never_imports_ros() -> None:
    assert not imported_modules(ROOT / "pointata" / "src") & (ROS_MODULES | {"ros_pointata"})


def test_ros_wheels_are_pinned_exactly_and_the_same() -> None:
    configuration = toml("pyproject.toml")
    wheels = [
        requirement
        for requirement in (*configuration["build-system"]["requires"], *configuration["project"]["dependencies"])
        if requirement.startswith("ros-")
    ]
    assert len(wheels) > 10
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert [wheel for wheel in wheels if wheel not in pins] == []


def test_constraints_are_exact() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    exact = re.compile(r"[a-z0-9.-]+==[\w.]+( ; python_version (<|>=) '3\.\d+'.*)?")
    assert [line for line in pins if not exact.fullmatch(line)] == []
    assert "torch==2.13.0" in pins


@pytest.mark.parametrize("script", EXECUTABLES, ids=lambda path: path.name)
def test_executable_runs_the_same_function_as_its_console_script(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    assert text.startswith("#!/usr/bin/env python3\n"), "CMakeLists.txt puts the build's Python in place of this line"
    assert os.access(script, os.X_OK)
    installed = re.search(r"foreach\(script ([\w ]+)\)", CMAKE)
    assert installed is not None
    assert installed[1].split() == [path.name for path in EXECUTABLES]
    ((module, function),) = re.findall(r"^from ((?:ros_)?pointata\.[\w.]+) import (\w+)$", text, re.MULTILINE)
    assert f"sys.exit({function}())" in text
    package = "" if module.startswith("ros_") else "pointata/src/"
    source = ROOT / (package + module.replace(".", "/") + ".py")
    statements = ast.parse(source.read_text(encoding="utf-8")).body
    assert function in {node.name for node in statements if isinstance(node, ast.FunctionDef)}
    console = "pointata" if package else "pointata_" + script.name.removeprefix("pointata_")
    assert CONSOLE_SCRIPTS[console] == f"{module}:{function}"


def test_console_scripts_have_an_executable_each() -> None:
    assert len(EXECUTABLES) == len(CONSOLE_SCRIPTS) == 3


def test_one_address_everywhere() -> None:
    clone = re.search(r"git clone (https://\S+)\.git", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert clone is not None
    urls = {element.get("type"): element.text for element in PACKAGE_XML if element.tag == "url"}
    assert urls == {"repository": clone[1], "bugtracker": f"{clone[1]}/issues"}
    for path in ("pyproject.toml", "pointata/pyproject.toml"):
        assert toml(path)["project"]["urls"] == {"Repository": clone[1], "Issues": f"{clone[1]}/issues"}


def test_both_packages_say_whose_they_are_and_carry_the_licence() -> None:
    project, offline = toml("pyproject.toml")["project"], toml("pointata/pyproject.toml")["project"]
    for name in ("authors", "classifiers", "license-files", "readme"):
        assert project[name] == offline[name]
    assert project["authors"][0]["name"] == PACKAGE_XML.findtext("author") == PACKAGE_XML.findtext("maintainer")
    assert (ROOT / "pointata" / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_the_wheel_holds_licence_authors_addresses_and_bundles(tmp_path: Path) -> None:
    source = tmp_path / "pointata"
    shutil.copytree(ROOT / "pointata", source, ignore=shutil.ignore_patterns("*.egg-info", "build", "__pycache__"))
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--wheel-dir", str(tmp_path), str(source)], check=True, timeout=300)
    (wheel,) = tmp_path.glob("pointata-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        (licence,) = (name for name in names if name.endswith("/LICENSE"))
        said = message_from_bytes(archive.read(metadata))
        assert archive.read(licence) == (ROOT / "LICENSE").read_bytes()
    assert "ros_pointata maintainers" in said["Author-email"]
    assert said["License-Expression"] == "Apache-2.0"
    assert {line.split(",")[0] for line in said.get_all("Project-URL", [])} == {"Repository", "Issues"}
    assert "Programming Language :: Python :: 3" in said.get_all("Classifier", [])
    assert "# pointata" in said.get_payload()
    bundles = {path.name for path in (ROOT / "pointata/src/pointata/bundles/files").glob("*.safetensors")}
    assert len(bundles) >= 3
    assert {Path(name).name for name in names if name.endswith(".safetensors")} == bundles
