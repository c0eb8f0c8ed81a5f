#!/usr/bin/env bash
# Make the shipped model again, from the carried data alone: simulated light curves train the network, real ZTF nights other than the
# one shown by `make night` fit the isolation forest. Called by the Makefile with the environment set up.
set -euo pipefail
root="$(cd "$(dirname "$0")/.." && pwd)"
bin="$DEEPRUBIN_VENV/bin"
work="${MODEL_WORK:-$(mktemp -d)}"
into="${MODEL_INTO:-$root/models}"
options=(--env local --set "warehouse.path=$work/warehouse" --set "ingest.archive=[$root/tests/data/ztf/archive]" --set "training.publish_to=$into")
nights=(--nights 2018-06-01:2025-03-02)

"$bin/deeprubin-ingest-plasticc" --light-curves "$root/tests/data/plasticc/light_curves.parquet" \
  --metadata "$root/tests/data/plasticc/metadata.parquet" "${options[@]}"
"$bin/deeprubin-extract-features" --survey plasticc --night 2024-12-30 "${options[@]}"
"$bin/deeprubin-ingest-archive" "${nights[@]}" "${options[@]}"
"$bin/deeprubin-build-lightcurves" "${nights[@]}" "${options[@]}"
"$bin/deeprubin-extract-features" "${nights[@]}" "${options[@]}"
"$bin/deeprubin-train" "${options[@]}"
echo "The published model is in $into"
