"""pip's way to the same build: run CMakeLists.txt, then pack the messages that it installed.

Everything else about the distribution stands in pyproject.toml.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from setuptools import Distribution, setup
from setuptools.command.build_py import build_py

from distutils.command.install_data import install_data  # isort: skip  (setuptools provides distutils once it is imported)

PACKAGE = "ros_pointata"
ROOT = Path(__file__).resolve().parent


def ros_prefix() -> Path:
    """Installation prefix of the ROS that pip put into the build environment."""
    generator = find_spec("rosidl_generator_py")
    if generator is None or generator.origin is None:
        raise SystemExit("rosidl_generator_py is missing: install with build isolation, so that pip fetches it.")
    return Path(generator.origin).parents[4]  # <prefix>/lib/pythonX.Y/site-packages/rosidl_generator_py/__init__.py


@functools.cache
def build_messages() -> Path:
    """Run CMake once for this process; returns the prefix it installed to, which is removed at exit.

    The build folder is a new one every time: a kept one names the build environment that pip has since deleted.
    """
    work = Path(tempfile.mkdtemp(prefix="ros_pointata_build_"))
    atexit.register(shutil.rmtree, work, ignore_errors=True)
    build, prefix = work / "build", work / "install"
    ros = str(ros_prefix())
    environment = {**os.environ, "AMENT_PREFIX_PATH": ros, "CMAKE_PREFIX_PATH": ros}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    configure = [
        "cmake", "-S", str(ROOT), "-B", str(build), "-G", "Ninja",
        "-DBUILD_TESTING=OFF", "-DCMAKE_BUILD_TYPE=Release", f"-DCMAKE_INSTALL_PREFIX={prefix}",
        f"-DPython3_EXECUTABLE={sys.executable}", f"-DPython3_ROOT_DIR={sys.base_prefix}",
        "-DEXECUTABLES_PYTHON=/usr/bin/env python3",
    ]  # fmt: skip
    subprocess.run(configure, env=environment, check=True)
    subprocess.run(["cmake", "--build", str(build), "--target", "install"], env=environment, check=True)
    return prefix


class BuildPython(build_py):
    """Adds the generated Python of the messages: into the wheel, or for an editable install into the checkout."""

    def run(self) -> None:
        super().run()
        (generated,) = build_messages().glob(f"lib/python*/site-packages/{PACKAGE}")
        package = ROOT / PACKAGE if self.editable_mode else Path(self.build_lib) / PACKAGE
        for interfaces in ("msg", "srv"):
            shutil.rmtree(package / interfaces, ignore_errors=True)
            if (generated / interfaces).is_dir():
                shutil.copytree(generated / interfaces, package / interfaces, ignore=shutil.ignore_patterns("*.c"))
        for library in [*package.glob("*.so")]:
            library.unlink()
        for library in generated.glob("*.so"):
            shutil.copy2(library, package / library.name)


class InstallData(install_data):
    """Installs what lies outside of the Python package: shared libraries, executables and the share folder.

    Takes the place of the inherited command, which copies the data files that a setup() call lists: none here.
    """

    FOLDERS: ClassVar[tuple[str, ...]] = (f"lib/{PACKAGE}", f"share/{PACKAGE}", "share/ament_index")

    def run(self) -> None:
        prefix = build_messages()
        sources = list(prefix.glob("lib/*.so"))
        for folder in self.FOLDERS:
            sources += [path for path in (prefix / folder).rglob("*") if path.is_file()]
        for source in sources:
            target = Path(self.install_dir) / source.relative_to(prefix)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
            self.outfiles.append(str(target))


class BinaryDistribution(Distribution):
    """A platform wheel with data files, although setuptools itself compiles nothing and lists no data."""

    def has_ext_modules(self) -> bool:
        return True

    def has_data_files(self) -> bool:  # asked by a wheel build
        return True

    def has_data(self) -> bool:  # asked by an editable install
        return True


setup(distclass=BinaryDistribution, cmdclass={"build_py": BuildPython, "install_data": InstallData})
