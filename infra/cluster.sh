#!/usr/bin/env bash
# A real Spark standalone cluster on this machine, from pip's pyspark: one master, two workers.
#
#     infra/cluster.sh start       prints the master's URL once all workers are registered; exit 1, and nothing left running, if they are not
#     infra/cluster.sh stop
#
# CLUSTER_DIR      logs, work folders and process ids       (default: ./cluster)
# CLUSTER_PORT     the master's port                        (default: any free one)
# CLUSTER_WORKERS  CLUSTER_CORES  CLUSTER_MEMORY            (default: 2 workers with 1 core and 2g each)
# CLUSTER_TIMEOUT  [s] to wait for the workers              (default: 120)
#
# pip's pyspark lacks sbin/start-master.sh, so the classes are started as those scripts would. Everything listens on 127.0.0.1 alone.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/places.sh"
directory="$(realpath -m "${CLUSTER_DIR:-./cluster}")"
workers="${CLUSTER_WORKERS:-2}"
pids="$directory/pids"

java_class() {  # log, class and its arguments: start it in the background, in a session of its own, and note its id
  local log="$1"
  shift
  # 9>&-: a daemon must not keep a caller's lock file open
  setsid "$SPARK_HOME/bin/spark-class" "$@" > "$log" 2>&1 < /dev/null 9>&- &
  echo "$!" >> "$pids"
}

stop() {
  [ -e "$pids" ] || return 0
  while read -r pid; do
    # only what this script started: an id may have passed to another program since
    if grep -qs org.apache.spark.deploy "/proc/$pid/cmdline"; then kill "$pid" 2>/dev/null || true; fi
  done < "$pids"
  rm -f "$pids"
}

wait_for() {  # what, a command that succeeds once it is there
  local what="$1" deadline=$((SECONDS + ${CLUSTER_TIMEOUT:-120}))
  shift
  until "$@" 2>/dev/null; do
    if [ "$SECONDS" -ge "$deadline" ]; then
      echo "cluster: $what not there after ${CLUSTER_TIMEOUT:-120} s; logs are in $directory" >&2
      tail -n 5 "$directory"/*.log >&2
      stop
      exit 1
    fi
    sleep 0.2
  done
}

master_url() {
  sed -n 's#.*Starting Spark master at \(spark://[^ ]*\).*#\1#p' "$directory/master.log" | head -1
}

master_listens() { grep -q 'I have been elected leader' "$directory/master.log"; }
all_registered() { [ "$(cat "$directory"/worker-*.log | grep -c 'Successfully registered')" = "$workers" ]; }

start() {
  if [ -e "$pids" ]; then
    echo "cluster: one was started in $directory; infra/cluster.sh stop first, or choose another CLUSTER_DIR" >&2
    exit 1
  fi
  mkdir -p "$directory"
  rm -f "$directory"/*.log
  SPARK_HOME="$("$PYSPARK_PYTHON" -c 'import importlib.util as u; print(u.find_spec("pyspark").submodule_search_locations[0])')"
  port="${CLUSTER_PORT:-$("$PYSPARK_PYTHON" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')}"
  export SPARK_HOME SPARK_LOCAL_IP=127.0.0.1
  java_class "$directory/master.log" org.apache.spark.deploy.master.Master --host 127.0.0.1 --port "$port" --webui-port 0
  wait_for "the master" master_listens
  local url
  url="$(master_url)"
  for number in $(seq "$workers"); do
    java_class "$directory/worker-$number.log" org.apache.spark.deploy.worker.Worker --host 127.0.0.1 --webui-port 0 \
      --cores "${CLUSTER_CORES:-1}" --memory "${CLUSTER_MEMORY:-2g}" --work-dir "$directory/work-$number" "$url"
  done
  wait_for "$workers workers" all_registered
  echo "$url"
}

case "${1:-}" in
  start) start ;;
  stop) stop ;;
  *) echo "usage: infra/cluster.sh start|stop" >&2; exit 2 ;;
esac
