"""Fast DDS settings for clouds of megabytes: buffers that hold one, given to the middleware before it starts."""

import os
from contextlib import suppress
from pathlib import Path

FILE_NAME = "fastdds_large_clouds.xml"
#: The variable of Fast DDS 2 (jazzy) and of Fast DDS 3 (kilted and later).
VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")


def profile_path() -> Path | None:
    """The packaged profile: in the share folder of the installed package, else in the source tree; None if absent."""
    candidates = [Path(__file__).resolve().parents[1] / "config" / FILE_NAME]
    try:
        from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
    except ImportError:
        pass
    else:
        with suppress(PackageNotFoundError, LookupError):  # LookupError: AMENT_PREFIX_PATH is not set
            candidates.insert(0, Path(get_package_share_directory("ros_pointata")) / "config" / FILE_NAME)
    return next((path for path in candidates if path.is_file()), None)


def use_large_cloud_profile() -> None:
    """Point Fast DDS to the packaged profile, unless the user chose one. To be called before rclpy.init."""
    path = profile_path()
    if path is not None and not any(os.environ.get(name) for name in VARIABLES):
        os.environ.update(dict.fromkeys(VARIABLES, str(path)))
