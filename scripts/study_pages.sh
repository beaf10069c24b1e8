#!/usr/bin/env bash
# Put the report of a study among the pages of the documentation: docs/study/.
#
#     SKETCHLOSS_DATA=FOLDER sketchloss study --preset real --out RUN && scripts/study_pages.sh RUN
set -euo pipefail
run=${1:?the folder of a study}
pages=$(dirname "$0")/../docs/study
rm -rf "$pages/figures" # beside it lie other studies
mkdir -p "$pages"
cp "$run/report.md" "$run/numbers.csv" "$pages/"
cp -r "$run/figures" "$pages/figures"
