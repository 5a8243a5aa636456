# shellcheck shell=bash disable=SC2034
# SPDX-License-Identifier: Apache-2.0
# Three nodes of the release binary on free loopback ports, in a temporary folder; to be sourced after scripts/shell.sh.
#
#   cluster_start [YAML LINE...]   starts them and waits until every partition has a leader; sets `bootstrap`
#   cluster_kill N                 kill -9, and waits until the process is gone
#   cluster_revive N               starts it again with the data it has
#   cluster_whole                  whether every replica of every partition is in sync
#   cluster_end [FOLDER]           stops all, keeps their logs in FOLDER, removes everything else
#
# BINARY names another program than .build/release/godwit.
set -euo pipefail

program=${BINARY:-$godwit}
cluster_work=
bootstrap=
declare -A cluster_pids=()

# Six ports in a row that nobody listens on, below those that the kernel gives to outgoing connections: a node that is
# down for a moment must find its own again.
cluster_ports() {
    python3 - "$1" <<'PY'
import random
import socket
import sys

count = int(sys.argv[1])
for _ in range(200):
    first = random.randrange(1100, 2900) * 10
    try:
        for port in range(first, first + count):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
    except OSError:
        continue
    print(*range(first, first + count))
    break
else:
    sys.exit("no free ports")
PY
}

cluster_start() {
    local ports node settings=("$@")
    cluster_work=$(mktemp -d "${TMPDIR:-/tmp}/godwit-conformance.XXXXXX")
    read -r -a ports < <(cluster_ports 6)
    [ ${#ports[@]} -eq 6 ] || die "no free ports"
    for node in 1 2 3; do
        {
            printf 'node.id: %s\nnode.data: %s\nnode.rack: rack-%s\nnode.shards: 1\n' \
                "$node" "$cluster_work/node$node" "$node"
            printf 'kafka.listen: 127.0.0.1:%s\npeer.listen: 127.0.0.1:%s\n' "${ports[node - 1]}" "${ports[node + 2]}"
            printf 'cluster.voters:\n'
            printf '  - %s\n' "1@127.0.0.1:${ports[3]}" "2@127.0.0.1:${ports[4]}" "3@127.0.0.1:${ports[5]}"
            [ ${#settings[@]} -eq 0 ] || printf '%s\n' "${settings[@]}"
        } >"$cluster_work/node$node.yaml"
    done
    bootstrap=127.0.0.1:${ports[0]},127.0.0.1:${ports[1]},127.0.0.1:${ports[2]}
    for node in 1 2 3; do cluster_revive "$node"; done
    local deadline=$((SECONDS + 60))
    until cluster_whole; do
        for node in 1 2 3; do
            kill -0 "${cluster_pids[$node]}" 2>/dev/null && continue
            tail -n 20 "$cluster_work/node$node.log" >&2
            die "node $node ended; its last words are above"
        done
        [ $SECONDS -lt $deadline ] || die "the cluster is not up after 60 s; logs: $cluster_work/node*.log"
        sleep 0.1
    done
}

cluster_revive() {
    # A node reads every GODWIT_… variable as a setting; those of whoever calls this are none.
    local name names=()
    for name in $(compgen -e | grep '^GODWIT_' || true); do names+=(-u "$name"); done
    env "${names[@]}" setsid nohup "$program" node --config "$cluster_work/node$1.yaml" \
        >>"$cluster_work/node$1.log" 2>&1 </dev/null &
    cluster_pids[$1]=$!
}

cluster_kill() {
    kill -KILL "${cluster_pids[$1]}"
    wait "${cluster_pids[$1]}" 2>/dev/null || true
}

cluster_whole() {
    local status
    status=$("$program" cluster status --json --timeout 5s --bootstrap "$bootstrap" 2>/dev/null) || return 1
    grep -Eq '"leaderless"[[:space:]]*:[[:space:]]*0([^0-9]|$)' <<<"$status" || return 1
    grep -Eq '"underReplicated"[[:space:]]*:[[:space:]]*0([^0-9]|$)' <<<"$status" || return 1
    [ "$(grep -Eo '"alive"[[:space:]]*:[[:space:]]*true' <<<"$status" | wc -l)" -eq 3 ]
}

cluster_end() {
    [ -n "$cluster_work" ] || return 0
    local node pid deadline=$((SECONDS + 20))
    for pid in "${cluster_pids[@]}"; do kill -TERM "$pid" 2>/dev/null || true; done
    for pid in "${cluster_pids[@]}"; do
        while kill -0 "$pid" 2>/dev/null; do
            if [ $SECONDS -ge $deadline ]; then kill -KILL "$pid" 2>/dev/null || true; fi
            sleep 0.05
        done
        wait "$pid" 2>/dev/null || true
    done
    if [ -n "${1:-}" ]; then
        mkdir -p "$1"
        for node in 1 2 3; do cp "$cluster_work/node$node.log" "$1/" 2>/dev/null || true; done
    fi
    rm -rf "$cluster_work"
    cluster_work=
}
