"""The descriptions of the packages agree with each other and with the files they name."""

from __future__ import annotations

import ast
import os
import re
import sys
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
    assert text.startswith("#!/usr/bin/env python3\n")
    assert os.access(script, os.X_OK), "--symlink-install links the source file, which must be executable itself"
    assert f"scripts/{script.name}" in CMAKE
    modules = re.findall(r"^from (ros_pointata\.[\w.]+) import main$", text, re.MULTILINE)
    assert len(modules) == 1
    source = ROOT / (modules[0].replace(".", "/") + ".py")
    statements = ast.parse(source.read_text(encoding="utf-8")).body
    assert "main" in {node.name for node in statements if isinstance(node, ast.FunctionDef)}
    console = "pointata_" + script.name.removeprefix("pointata_")
    assert toml("pyproject.toml")["project"]["scripts"][console] == f"{modules[0]}:main"


def test_console_scripts_have_an_executable_each() -> None:
    assert len(EXECUTABLES) == len(toml("pyproject.toml")["project"]["scripts"]) == 3
