#!/usr/bin/env bash
# The small network that turns photos into pencil sketches in the page, as the package carries it.
#
#     SKETCHLOSS_DATA=FOLDER scripts/bundled_stylizer.sh RUN
#
# FOLDER holds photos/ and fs2k/. Run it again to resume. An eighth of a megabyte: a quarter of the width, three blocks.
set -euo pipefail
cd "$(dirname "$0")/.."
run=$1
resume=()
if [ -f "$run/config.json" ]; then resume=(--resume); fi
.venv/bin/sketchloss style train --content "$SKETCHLOSS_DATA/photos" --style "fs2k:$SKETCHLOSS_DATA/fs2k?style=3" \
  --image-size 128 --width 0.25 --blocks 3 --channels 1 --steps 3000 --out "$run" "${resume[@]}"
.venv/bin/python - "$run" <<'PYTHON'
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

folder = Path("src/sketchloss/bundled/pencil")
folder.mkdir(exist_ok=True)
tensors = load_file(Path(sys.argv[1], "model", "model.safetensors"))
save_file({name: tensor.to(torch.float16) for name, tensor in tensors.items()}, folder / "model.safetensors")
(folder / "config.json").write_text(Path(sys.argv[1], "model", "config.json").read_text())
PYTHON
