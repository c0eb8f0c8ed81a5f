#!/usr/bin/env bash
# Build Horovod (CPU, Gloo, PyTorch) against the torch installed in PYTHON's environment, once, and install it there.
#
#     infra/build_horovod.sh [PYTHON]                                            (default: the environment of infra/setup.sh)
#
# The wheel holds C++ compiled for one torch and one Python, so it is kept under their versions in the cache, outside the repository:
# ${XDG_CACHE_HOME:-~/.cache}/deeprubin/horovod/<horovod>-torch<torch>-<python tag>/. A folder that exists holds a finished wheel.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
. "$here/places.sh"
python="$(realpath -s "${1:-$DEEPRUBIN_VENV/bin/python}")"
lock="$here/locks/horovod.txt"
version="$(sed -n 's/^horovod==\([^ ]*\).*/\1/p' "$lock")"
built_for="$("$python" - 2>/dev/null <<'PYTHON'
import importlib.metadata, sys
print("torch" + importlib.metadata.version("torch") + "-cp" + "".join(map(str, sys.version_info[:2])))
PYTHON
)" || { echo "Horovod needs the torch it is built against, and $python has none; run make setup-train" >&2; exit 1; }
cache="$DEEPRUBIN_CACHE/horovod"
wheels="$cache/$version-$built_for"

if [ ! -d "$wheels" ]; then
  echo "horovod   building $version for $built_for with ${CXX:-g++}: 3 to 6 minutes, once; log in $cache/build.log"
  mkdir -p "$cache"
  work="$(mktemp -d "$cache/.building-XXXXXX")"
  trap 'rm -rf "$work"' EXIT
  # Horovod's CMake ends its flags with -std=gnu++14, but torch's headers need C++17; of several -std the last wins.
  printf '#!/bin/sh\nexec %s "$@" -std=gnu++17\n' "$(command -v "${CXX:-g++}")" > "$work/c++17"
  chmod +x "$work/c++17"
  mkdir "$work/wheel"
  jobs="$(nproc)"
  [ "$jobs" -le 4 ] || jobs=4  # each compiler that reads torch's headers takes more than 1 GB
  # --no-build-isolation: the build must see the installed torch. --no-cache-dir: pip files wheels by source alone and would later hand out one
  # built for another torch. PATH: pip's cmake (< 4) stands beside python.
  if ! PATH="$(dirname "$python"):$PATH" CXX="$work/c++17" MAKEFLAGS="-j$jobs" \
    HOROVOD_WITH_PYTORCH=1 HOROVOD_WITH_GLOO=1 HOROVOD_WITHOUT_MPI=1 HOROVOD_WITHOUT_TENSORFLOW=1 HOROVOD_WITHOUT_MXNET=1 \
    HOROVOD_GPU= HOROVOD_GPU_OPERATIONS= \
    "$python" -m pip wheel --no-build-isolation --no-deps --no-cache-dir --no-binary horovod --require-hashes \
    -r "$lock" -w "$work/wheel" > "$work/build.log" 2>&1
  then
    mv "$work/build.log" "$cache/build.log"
    { grep -E -m5 'error|Error|ERROR' "$cache/build.log" || tail -5 "$cache/build.log"; } >&2
    echo "Horovod $version did not build for $built_for; the whole log is $cache/build.log. Needs g++ and Python headers: apt-get install -y g++ python3-dev" >&2
    exit 1
  fi
  mv "$work/build.log" "$cache/build.log"
  # Renamed last, so that an interrupted build leaves nothing that looks finished; a build that ended first wins.
  mv -T "$work/wheel" "$wheels" 2>/dev/null || [ -d "$wheels" ]
fi
"$python" -m pip install -q --no-deps --no-index --force-reinstall "$wheels"/horovod-*.whl
