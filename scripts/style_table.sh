#!/usr/bin/env bash
# The real Table 1 and Figure 2 on two cores: four sets of faces, four arms, two trainings at a time, one core each.
#
#     SKETCHLOSS_DATA=FOLDER scripts/style_table.sh OUT TUNING
#
# FOLDER holds photos/, cufs/ and fs2k/; TUNING is the run folder of `finetune --arm tuning` (scripts/bundled_weights.sh).
# About 50 minutes; run it again to resume. Without the script, `sketchloss style table` does the same one after another.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$1
tuning=$2
sets=("cufs:$SKETCHLOSS_DATA/cufs" "fs2k:$SKETCHLOSS_DATA/fs2k?style="{1,2,3})
names=(cufs fs2k-style-{1,2,3})
settings=(--content "$SKETCHLOSS_DATA/photos" --tuning "$tuning" --image-size 96 --width 0.5 --steps 1000)

for index in "${!sets[@]}"; do
  for arm in attention+tuning original tuning attention; do
    run="$out/runs/${names[$index]}/$arm"
    resume=()
    if [ -f "$run/result.json" ]; then continue; fi
    if [ -f "$run/config.json" ]; then resume=(--resume); fi
    while [ "$(jobs -rp | wc -l)" -ge 2 ]; do wait -n; done
    OMP_NUM_THREADS=1 .venv/bin/sketchloss style train "${settings[@]}" --style "${sets[$index]}" --arm "$arm" --out "$run" \
      "${resume[@]}" &
  done
done
while [ "$(jobs -rp | wc -l)" -gt 0 ]; do wait -n; done

resume=()
if [ -f "$out/config.json" ]; then resume=(--resume); fi
.venv/bin/sketchloss style table "${settings[@]}" --sets "${sets[@]}" --out "$out" "${resume[@]}"
