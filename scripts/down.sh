#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Stops what `make up` started, by pid: SIGTERM, up to 15 s of patience, then SIGKILL. The data stays.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/shell.sh"

mapfile -t nodes < <(local_nodes)
for node in "${nodes[@]}"; do
    if pid=$(pid_of "$node"); then kill -TERM "$pid" 2>/dev/null || true; fi
done
deadline=$((SECONDS + 15))
for node in "${nodes[@]}"; do
    while pid=$(pid_of "$node"); do
        if [ $SECONDS -ge $deadline ]; then
            say "$node (pid $pid) does not end; killing it"
            kill -KILL "$pid" 2>/dev/null || true
            deadline=$((SECONDS + 5))
        fi
        sleep 0.05
    done
    rm -f "$data/$node.pid"
done
say "The nodes are down. Their data is in cluster-data/; make up continues with it, make clean-data removes it."
