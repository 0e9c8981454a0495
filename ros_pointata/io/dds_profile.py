"""Fast DDS settings for clouds of megabytes: buffers that hold one, given to the middleware before it starts."""

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

FILE_NAME = "fastdds_large_clouds.xml"
#: The variable of Fast DDS 2 (jazzy) and of Fast DDS 3 (kilted and later).
VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")


def profile_path() -> Path | None:
    """The packaged profile: of the sourced workspace, the Python environment or the source tree; None if absent."""
    return next((path for folder in _config_folders() if (path := folder / FILE_NAME).is_file()), None)


def use_large_cloud_profile() -> None:
    """Point Fast DDS to the packaged profile, unless the user chose one. To be called before rclpy.init."""
    path = profile_path()
    if path is not None and not any(os.environ.get(name) for name in VARIABLES):
        os.environ.update(dict.fromkeys(VARIABLES, str(path)))


def _config_folders() -> Iterator[Path]:
    with suppress(ImportError, LookupError, OSError):  # no ament, package not found, AMENT_PREFIX_PATH not set
        from ament_index_python.packages import get_package_share_directory

        yield Path(get_package_share_directory("ros_pointata")) / "config"
    yield Path(sys.prefix) / "share" / "ros_pointata" / "config"
    yield Path(__file__).resolve().parents[2] / "config"
