#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Removes the local cluster's data, unless a node still uses it.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/shell.sh"

mapfile -t nodes < <(local_nodes)
for node in "${nodes[@]}"; do
    if pid=$(pid_of "$node"); then die "$node runs (pid $pid); make down first"; fi
done
rm -rf "$data"
say "cluster-data/ is removed."
