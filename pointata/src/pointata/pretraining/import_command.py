"""`pointata import-point-mae`: a backbone bundle of somebody else's training."""

import logging
from collections.abc import Sequence
from pathlib import Path

from pointata.bundles.backbone import save_backbone
from pointata.bundles.metadata import check_file_name
from pointata.model.point_mae import import_checkpoint
from pointata.paths import check_output_folder
from pointata.system.arguments import Parser

_log = logging.getLogger(__name__)


def import_point_mae(arguments: Sequence[str]) -> Path:
    """Write the backbone bundle of an official checkpoint; returns its path."""
    parser = Parser(
        "import-point-mae",
        "Make a backbone bundle of an official Point-MAE checkpoint.",
        "pointata import-point-mae pretrain.pth --name point_mae",
    )
    parser.add_argument("file", type=Path, help="checkpoint (.pth), from pre-training or fine-tuned")
    parser.add_argument("--name", default="point_mae", help="name of the bundle (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("build/backbones"), help="folder (default: %(default)s)")
    given = parser.parse_args(list(arguments))
    check_file_name(given.name)
    check_output_folder(given.out)
    path = save_backbone(given.out, given.name, import_checkpoint(given.file), {"imported": given.file.name})
    _log.info("the backbone is %s", path)
    return path
