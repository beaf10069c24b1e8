#!/usr/bin/env bash
# Make the bundled `sketch` weights: tune both arms on QuickDraw, score them on sets never trained on, pack the best.
#
#     SKETCHLOSS_DATA=FOLDER scripts/bundled_weights.sh RUNS [attention+tuning]
#
# FOLDER holds quickdraw/ (.ndjson strokes), sketchy/ and pacs_sketch/ (class folders). About 75 minutes on two cores, the
# two arms side by side on one core each; run it again to resume. The second argument is the arm to pack.
set -euo pipefail
cd "$(dirname "$0")/.."
runs=$1
best=${2:-attention+tuning}

for arm in tuning attention+tuning; do
  resume=()
  if [ -f "$runs/$arm/config.json" ]; then resume=(--resume); fi
  OMP_NUM_THREADS=1 .venv/bin/sketchloss finetune --data "$SKETCHLOSS_DATA/quickdraw" --out "$runs/$arm" --arm "$arm" \
    --image-size 64 --epochs 12 "${resume[@]}" &
done
wait

.venv/bin/sketchloss neighbours --data "$SKETCHLOSS_DATA"/{sketchy,pacs_sketch} --json "$runs/neighbours.json" \
  --weights imagenet "$runs/tuning" "$runs/attention+tuning"

.venv/bin/python - "$runs/$best" <<'PYTHON'
import sys

from sketchloss import load_backbone, save_backbone
from sketchloss.weights import bundled_folder

save_backbone(load_backbone(sys.argv[1], classes=()), bundled_folder("sketch"))
PYTHON
