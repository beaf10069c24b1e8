#!/usr/bin/env bash
# Make the bundled weights tuned on sketches: both arms from `imagenet`, on all class sets, at several sizes; then a thin
# network that imitates the one with gates, on the same drawings.
#
#     SKETCHLOSS_DATA=FOLDER scripts/bundled_weights.sh RUNS
#
# FOLDER holds quickdraw/ and quickdraw_more/ (.ndjson strokes), tuberlin/, sketchy/, pacs_sketch/ and toronto_scenes/
# (class folders). Sixty classes are left out of every source. An hour and a half with both arms side by side on one core
# each, and an hour and three quarters for the thin network on two; run it again to resume. `scripts/judge_weights.py`
# compares them with what was there before.
set -euo pipefail
cd "$(dirname "$0")/.."
runs=$1
data=$SKETCHLOSS_DATA
sources=$data/quickdraw,$data/quickdraw_more,$data/tuberlin,$data/sketchy,$data/pacs_sketch,$data/toronto_scenes
left_out=(
  # in several sources
  ant banana butterfly car carrot crab guitar hedgehog helicopter hourglass "hot dog" kangaroo mermaid motorbike owl piano
  pineapple saxophone scissors scorpion "sea turtle" teapot umbrella violin windmill zebra
  # in QuickDraw alone
  anvil bathtub binoculars cactus camera dragon lighthouse octopus panda "roller coaster" sandwich skateboard skull snowman
  stethoscope submarine tractor "washing machine" watermelon whale
  # in Sketchy alone
  armor beetle bell blimp deer geyser jellyfish lizard pretzel seal starfish tank volcano wheelchair
)

for arm in tuning attention+tuning; do
  more=()
  if [ "$arm" = attention+tuning ]; then more=(--gate-init half); fi
  if [ -f "$runs/$arm/config.json" ]; then more+=(--resume); fi
  OMP_NUM_THREADS=1 .venv/bin/sketchloss finetune --data "$sources" --weights imagenet --arm "$arm" --out "$runs/$arm" \
    --epochs 4 --image-size 64 --image-sizes 48 64 96 128 192 --size-shares 0.1 0.45 0.25 0.15 0.05 \
    --checkpoint-every 150 --leave-out "${left_out[@]}" "${more[@]}" &
done
wait

# The first is written as floats, the second as 8-bit integers.
.venv/bin/python - "$runs/attention+tuning" "$runs/tuning" <<'PYTHON'
import sys

from sketchloss import load_backbone, save_backbone
from sketchloss.networks.weights import bundled_folder

save_backbone(load_backbone(sys.argv[1], classes=()), bundled_folder("sketch"))
save_backbone(load_backbone(sys.argv[2], classes=()), bundled_folder("sketch-plain"), quantised=True)
PYTHON

more=()
if [ -f "$runs/small/config.json" ]; then more=(--resume); fi
OMP_NUM_THREADS=2 .venv/bin/sketchloss distil --data "$sources" --teacher sketch --width 0.4375 --out "$runs/small" \
  --image-size 64 --image-sizes 48 64 96 128 192 --size-shares 0.25 0.55 0.12 0.06 0.02 --steps 5000 --workers 1 \
  --checkpoint-every 300 --leave-out "${left_out[@]}" "${more[@]}"
.venv/bin/python - "$runs/small" <<'PYTHON'
import sys

from sketchloss import load_backbone, save_backbone
from sketchloss.networks.weights import bundled_folder

save_backbone(load_backbone(sys.argv[1], classes=()), bundled_folder("sketch-small"))
PYTHON
