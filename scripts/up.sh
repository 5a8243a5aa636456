#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Starts the nodes of cluster-configs/local/ in the background and returns when every partition has a leader.
# Nodes that run already are left alone. GODWIT_UP_SECONDS bounds the wait (default 60).
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/shell.sh"

scripts/build.sh
mkdir -p "$data"
mapfile -t nodes < <(local_nodes)
[ ${#nodes[@]} -gt 0 ] || die "no nodes in $configs"

bootstrap=
for node in "${nodes[@]}"; do
    listen=$(setting_of "$configs/$node.yaml" kafka advertise)
    [ -n "$listen" ] || listen=$(setting_of "$configs/$node.yaml" kafka listen)
    bootstrap=${bootstrap:+$bootstrap,}${listen:-127.0.0.1:9092}
    pid_of "$node" >/dev/null && continue
    setsid nohup "$godwit" node --config "cluster-configs/local/$node.yaml" \
        >>"$data/$node.log" 2>&1 </dev/null &
    echo $! >"$data/$node.pid"
done

# Ready: every configured node is alive, and no partition is without a leader.
ready() {
    local status
    status=$("$godwit" cluster status --json --bootstrap "$bootstrap" 2>/dev/null) || return 1
    grep -Eq '"leaderless"[[:space:]]*:[[:space:]]*0([^0-9]|$)' <<<"$status" || return 1
    [ "$(grep -Eo '"alive"[[:space:]]*:[[:space:]]*true' <<<"$status" | wc -l)" -ge ${#nodes[@]} ]
}

deadline=$((SECONDS + ${GODWIT_UP_SECONDS:-60}))
until ready; do
    for node in "${nodes[@]}"; do
        # Not pid_of: until the exec is through, the process still bears this script's name.
        kill -0 "$(<"$data/$node.pid")" 2>/dev/null && continue
        tail -n 20 "$data/$node.log" >&2
        die "$node ended; its log is $data/$node.log, its last lines are above"
    done
    [ $SECONDS -lt $deadline ] || die "not every partition has a leader yet; the logs are in $data"
    sleep 0.03
done

say "The cluster is up: every partition has a leader."
say ""
printf '  %-8s %-22s %-9s %s\n' node address pid log
for node in "${nodes[@]}"; do
    printf '  %-8s %-22s %-9s %s\n' "$node" "$(setting_of "$configs/$node.yaml" kafka listen)" \
        "$(pid_of "$node")" "cluster-data/$node.log"
done
first=${bootstrap%%,*}
say ""
say "What to try next (PATH=\$PWD/.build/release:\$PATH saves typing):"
say ""
say "  .build/release/godwit topic create events --partitions 6 --replication-factor 3"
if ! command -v kcat >/dev/null; then say "  apt-get install kcat                            # a Kafka client that is not ours"; fi
say "  kcat -b $first -P -t events -z zstd -l /var/log/dpkg.log"
say "  kcat -b $first -C -t events -o beginning -e | sort | cmp - <(sort /var/log/dpkg.log)"
say "  .build/release/godwit cluster status"
say "  kill -9 $(pid_of "${nodes[0]}")                                   # clients go on; make up brings it back"
say "  make down                                       # the data stays; make clean-data removes it"
