#!/usr/bin/env bash
# A shipped model again, from published data and a fresh warehouse: light curves to features, training in two Horovod ranks, and the published
# directory under deeprubin_spark/published. Called by the Makefile with the environment set up.
#
# MODEL_SURVEY  plasticc_ztf: two bands, for ZTF, from the carried PLAsTiCC and ZTF data        (default)
#               plasticc_parts: six bands, for LSST, from all of PLAsTiCC's training set in DATA
# DATA          folder of PLAsTiCC's light curves and metadata      (default: the carried part, which has two bands)
# MODEL_DIR     warehouse, export, checkpoints and the new version  (default: build/model; removed first)
set -euo pipefail
root="$(cd "$(dirname "$0")/.." && pwd)"
bin="$DEEPRUBIN_VENV/bin"
survey="${MODEL_SURVEY:-plasticc_ztf}"
data="${DATA:-$root/tests/data/plasticc}"
work="${MODEL_DIR:-$root/build/model}"
export DEEPRUBIN_CONF="$root/conf"
places=(--env local --set "warehouse.path=$work/warehouse" --set "ingest.archive=[$root/tests/data/ztf/archive]")
carried=(--nights 2018-06-01:2025-03-02)
training=(--set "spark.master=local[2]" --set "training.survey=$survey" --set "training.publish_to=$work/models")

rm -rf "$work"
mkdir -p "$work"
"$bin/deeprubin-ingest-plasticc" "${places[@]}" --survey "$survey" --data "$data"
"$bin/deeprubin-extract-features" "${places[@]}" --survey "$survey" --night 2024-12-30
if [ "$survey" = plasticc_ztf ]; then # what is usual is learnt from real alerts
  "$bin/deeprubin-ingest-archive" "${places[@]}" "${carried[@]}"
  "$bin/deeprubin-build-lightcurves" "${places[@]}" "${carried[@]}"
  "$bin/deeprubin-extract-features" "${places[@]}" "${carried[@]}"
else # there are no real ones yet
  training+=(--set "training.anomaly_survey=$survey")
fi
"$bin/deeprubin-train" "${places[@]}" "${training[@]}" "$@"

new="$(basename "$(dirname "$(ls "$work"/models/*/manifest.json)")")"
rm -rf "$root"/deeprubin_spark/published/"${new%-*}"-*
mkdir -p "$root/deeprubin_spark/published"
cp -r "$work/models/$new" "$root/deeprubin_spark/published/"
echo "deeprubin_spark/published/$new"
