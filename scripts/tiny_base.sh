#!/usr/bin/env bash
# Make the bundled base `tiny`: train a small text-to-image pipeline from nothing on built-in doodles, and pack it.
#
#     scripts/tiny_base.sh RUN
#
# About 80 minutes on two cores; run it again to resume.
set -euo pipefail
cd "$(dirname "$0")/.."
run=$1

resume=()
if [ -f "$run/config.json" ]; then resume=(--resume); fi
.venv/bin/sketchloss lora base --out "$run" "${resume[@]}"

rm -rf "$run/packed"
.venv/bin/python - "$run" <<'PYTHON'
import sys

from sketchloss.diffusion.pipeline import load_text_to_image, save_pipeline

save_pipeline(load_text_to_image(sys.argv[1]), f"{sys.argv[1]}/packed")
PYTHON
cp -r "$run/packed/." src/sketchloss/bundled/tiny/
