#!/usr/bin/env bash
# The shipped model again, from the carried data and a fresh warehouse: PLAsTiCC and ZTF's nights to features, training in two Horovod ranks,
# and the published directory under deeprubin_spark/published. Called by the Makefile with the environment set up.
#
# MODEL_DIR  warehouse, export, checkpoints and the new version     (default: build/model; removed first)
set -euo pipefail
root="$(cd "$(dirname "$0")/.." && pwd)"
bin="$DEEPRUBIN_VENV/bin"
work="${MODEL_DIR:-$root/build/model}"
export DEEPRUBIN_CONF="$root/conf"
places=(--env local --set "warehouse.path=$work/warehouse" --set "ingest.archive=[$root/tests/data/ztf/archive]")
carried=(--nights 2018-06-01:2025-03-02)

rm -rf "$work"
mkdir -p "$work"
"$bin/deeprubin-ingest-plasticc" "${places[@]}" --survey plasticc_ztf --data "$root/tests/data/plasticc"
"$bin/deeprubin-extract-features" "${places[@]}" --survey plasticc_ztf --night 2024-12-30
"$bin/deeprubin-ingest-archive" "${places[@]}" "${carried[@]}"
"$bin/deeprubin-build-lightcurves" "${places[@]}" "${carried[@]}"
"$bin/deeprubin-extract-features" "${places[@]}" "${carried[@]}"
"$bin/deeprubin-train" "${places[@]}" --set "spark.master=local[2]" --set "training.publish_to=$work/models" "$@"

new="$(basename "$(dirname "$(ls "$work"/models/*/manifest.json)")")"
for old in "$root"/deeprubin_spark/published/*/; do
  if [ -d "$old" ]; then rm -rf "$old"; fi
done
mkdir -p "$root/deeprubin_spark/published"
cp -r "$work/models/$new" "$root/deeprubin_spark/published/"
echo "deeprubin_spark/published/$new"
