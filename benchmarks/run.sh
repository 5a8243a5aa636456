#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes the figures of RESULTS.md on this machine with a fresh local cluster of cluster-configs/local/, which it takes
# down and removes at the end. Prints a section in Markdown and puts it at the end of benchmarks/RESULTS.md.
#
#   benchmarks/run.sh                 all figures, about seven minutes
#   RUNS=3 FAILOVERS=2 benchmarks/run.sh
#   OUTPUT=/dev/null benchmarks/run.sh
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../scripts/shell.sh"

runs=${RUNS:-5}
warmups=${WARMUPS:-2}
failovers=${FAILOVERS:-10}
takeovers=${TAKEOVERS:-3}
bytes=${BYTES:-1GB}
output=${OUTPUT:-$root/benchmarks/RESULTS.md}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

[ -x "$godwit" ] || die "no $godwit; make bench builds it first"
# Nobody's data is removed for a measurement.
[ -z "$(ls -A "$data" 2>/dev/null)" ] || die "cluster-data/ holds a cluster; make down and make clean-data, then again"
mapfile -t nodes < <(local_nodes)
bootstrap=
for node in "${nodes[@]}"; do
    bootstrap=${bootstrap:+$bootstrap,}$(setting_of "$configs/$node.yaml" kafka listen)
done
export GODWIT_BOOTSTRAP=$bootstrap

note() { printf '%s\n' "$*" >&2; }
# value FILE KEY [N]: the Nth number (or word) that follows "KEY" in one of our JSON answers.
value() { grep -oE "\"$2\": *[^,}]+" "$1" | sed -n "${3:-1}s/^[^:]*: *//p"; }
# median NUMBER...
median() { printf '%s\n' "$@" | sort -g | sed -n "$((($# + 1) / 2))p"; }
largest() { printf '%s\n' "$@" | sort -g | tail -n 1; }
seconds() { date +%s.%N; }
minus() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a - b }'; }
# User and system CPU time of a process so far, in ticks.
ticks() { awk '{ sub(/^.*\) /, ""); print $12 + $13 }' "/proc/$1/stat"; }
resident() { awk '/^VmRSS/ { printf "%.1f", $2 * 1024 / 1e6 }' "/proc/$1/status"; }

trap 'scripts/down.sh >/dev/null; scripts/clean-data.sh >/dev/null; rm -rf "$work"' EXIT
note "start: an empty cluster to its first acknowledged record"
start=$(seconds)
scripts/up.sh >/dev/null
up=$(minus "$(seconds)" "$start")
"$godwit" topic create first --partitions 1 --replication-factor 3 >/dev/null
echo first | "$godwit" produce first --json >/dev/null
first=$(minus "$(seconds)" "$start")
"$godwit" topic delete first >/dev/null

note "idle: 10 s"
hz=$(getconf CLK_TCK)
sleep 3
declare -A before
for node in "${nodes[@]}"; do before[$node]=$(ticks "$(pid_of "$node")"); done
sleep 10
idle_memory=() idle_cpu=()
for node in "${nodes[@]}"; do
    pid=$(pid_of "$node")
    idle_memory+=("$(resident "$pid")")
    idle_cpu+=("$(awk -v t="$(($(ticks "$pid") - before[$node]))" -v hz="$hz" 'BEGIN { printf "%.2f", t / hz / 10 * 100 }')")
done

# The first gigabytes after a machine has started go into memory that its host has yet to provide, and the writes pay
# for that: up to twice the CPU time. So the page cache is warmed first; the figures of these runs are shown too.
cold_cpu=()
# bare_write: the kernel's CPU seconds for writing and syncing one GB to a file, which no node can do without.
bare_write() {
    local user system
    read -r user system < <(
        TIMEFORMAT='%U %S'
        { time dd if=/dev/zero of="$data/bare" bs=1MB count=1000 conv=fdatasync 2>/dev/null; } 2>&1)
    rm -f "$data/bare"
    awk -v u="$user" -v s="$system" 'BEGIN { printf "%.2f", u + s }'
}
bare_cold=$(bare_write)
for ((run = 1; run <= warmups; run++)); do
    note "warm-up $run of $warmups"
    "$godwit" bench produce --fresh --partitions 6 --replication-factor 3 --bytes "$bytes" --json >"$work/produce"
    cold_cpu+=("$(value "$work/produce" nodesSecondsPerGB)")
done

produce_cpu=() produce_rate=() consume_cpu=() consume_rate=() loaded_memory=() own_cpu=()
for ((run = 1; run <= runs; run++)); do
    note "produce $run of $runs"
    "$godwit" bench produce --fresh --partitions 6 --replication-factor 3 --acks all --record-size 1KiB \
        --batch-bytes 1MiB --compressibility 0 --compression lz4 --bytes "$bytes" --json >"$work/produce"
    produce_cpu+=("$(value "$work/produce" nodesSecondsPerGB)")
    own_cpu+=("$(value "$work/produce" ownSecondsPerGB)")
    produce_rate+=("$(value "$work/produce" megabytesPerSecond)")
    for node in "${nodes[@]}"; do loaded_memory+=("$(resident "$(pid_of "$node")")"); done
    note "consume $run of $runs"
    "$godwit" bench consume --json >"$work/consume"
    consume_cpu+=("$(value "$work/consume" nodesSecondsPerGB)")
    consume_rate+=("$(value "$work/consume" megabytesPerSecond)")
done

bare_warm=$(bare_write)
"$godwit" topic delete bench >/dev/null
sleep 5

note "latency: 2,000 records/s for 20 s"
"$godwit" bench produce --topic latency --partitions 1 --replication-factor 3 --rate 2000 --duration 20s --warmup 5s \
    --json >"$work/latency"

note "failover: $failovers runs"
failed=0
"$godwit" bench failover --fresh --topic failover --partitions 6 --replication-factor 3 --rate 2000 \
    --runs "$failovers" --json >"$work/failover" || failed=$?
gaps=$(awk '/"node":/ { take = 1 } take && /"longestGapMilliseconds"/ { gsub(/[^0-9.]/, "", $2); printf "%s%s", sep, $2; sep = ", "; take = 0 }' "$work/failover")

note "commits: 200 groups for 10 s"
"$godwit" bench commits --topic commits --partitions 10 --replication-factor 3 --groups 200 --duration 10s --json \
    >"$work/commits"

note "takeover: 100,000 offsets, $takeovers runs"
taken=0
"$godwit" bench takeover --topic takeover --partitions 100 --replication-factor 1 --offsets 100000 --runs "$takeovers" \
    --json >"$work/takeover" || taken=$?

# At a pace of their own, and as the coordinator wishes: how soon members hear of anything is up to that.
note "members: 1,000 in one group"
"$godwit" topic create members --partitions 1000 --replication-factor 1 >/dev/null
# (A coordinator that moves in between ends such a run: its figures are then missing.)
"$godwit" bench members --topic members --members 1000 --heartbeat 1s --json >"$work/members-1s" || taken=$?
"$godwit" bench members --topic members --members 1000 --json >"$work/members" || taken=$?

section() {
    echo "## $(date -u +%Y-%m-%d), $(nproc) cores, $(awk -F': ' '/model name/ { print $2; exit }' /proc/cpuinfo)"
    echo
    echo "Commit $(git rev-parse --short HEAD 2>/dev/null || echo unknown)$(git diff --quiet HEAD -- Sources 2>/dev/null || echo ' and changes'), made by \`benchmarks/run.sh\`: three nodes and the load generator on this machine, replication 3, acks=all with fsync, 6 partitions, 1 KiB records that do not compress, 1 MiB batches, $bytes a run. A GB has 10⁹ bytes."
    echo
    echo "| figure | bar | measured |"
    echo "|---|---|---|"
    echo "| produce: CPU s/GB of all nodes, median of ${#produce_cpu[@]} | 6 | **$(median "${produce_cpu[@]}")** (${produce_cpu[*]}) |"
    echo "| produce: the $warmups runs before, while memory was cold | | ${cold_cpu[*]} |"
    echo "| for comparison: one copy written and synced by \`dd\`, CPU s/GB, before and after | | $bare_cold, $bare_warm |"
    echo "| produce: MB/s | | $(median "${produce_rate[@]}") (${produce_rate[*]}) |"
    echo "| produce: CPU s/GB of the load generator | | $(median "${own_cpu[@]}") |"
    echo "| consume: CPU s/GB of all nodes, median of ${#consume_cpu[@]} | 0.5 | **$(median "${consume_cpu[@]}")** (${consume_cpu[*]}) |"
    echo "| consume: MB/s | | $(median "${consume_rate[@]}") (${consume_rate[*]}) |"
    echo "| 2,000 records/s, 1 partition: p50 / p99 / p99.9 / max ms | | $(value "$work/latency" p50) / $(value "$work/latency" p99) / $(value "$work/latency" p99.9) / $(value "$work/latency" max) |"
    echo "| leader killed: longest gap in acknowledgements, ms, worst of $failovers | 500 | **$(largest ${gaps//,/ })** ($gaps) |"
    echo "| leader killed: acknowledged records lost | 0 | **$(grep -oE '"lost": *[0-9]+' "$work/failover" | tail -n 1 | grep -oE '[0-9]+')** |"
    echo "| offset commits per CPU second of the coordinator (200 groups, one partition each; $(value "$work/commits" commitsPerSecond | cut -d. -f1)/s) | 20,000 | **$(value "$work/commits" commitsPerCPUSecond | cut -d. -f1)** |"
    echo "| offset commits: p50 / p99 / max ms | | $(value "$work/commits" p50) / $(value "$work/commits" p99) / $(value "$work/commits" max) |"
    echo "| coordinator of 100,000 offsets killed: first answer of the next one after its election, ms, worst of $takeovers | 1000 | **$(value "$work/takeover" slowestReadyMilliseconds)** |"
    echo "| coordinator killed: its successor known, ms, worst of $takeovers | | $(largest $(grep -oE '"electedMilliseconds": *[0-9.]+' "$work/takeover" | grep -oE '[0-9.]+$')) |"
    echo "| coordinator killed: offsets lost or wrong | 0 | **$(value "$work/takeover" wrong "$((takeovers + 1))")** |"
    echo "| 1,000 members (KIP-848), one leaves: the others have settled, s, worst of 3, heartbeats each $(value "$work/members" heartbeatSeconds) s / $(value "$work/members-1s" heartbeatSeconds) s | 3 | **$(value "$work/members" longestSettledSeconds) / $(value "$work/members-1s" longestSettledSeconds)** |"
    echo "| 1,000 members: others that had to stop, most of 3 | 0 | **$(value "$work/members" mostInterrupted) / $(value "$work/members-1s" mostInterrupted)** |"
    echo "| \`make up\` to the first acknowledged record, s | 3 | **$first** (every partition led after $up) |"
    echo "| idle: resident MB of each node | 60 | ${idle_memory[*]} |"
    echo "| idle: % of a core of each node, over 10 s | 1 | ${idle_cpu[*]} |"
    echo "| loaded: resident MB, largest node | | $(largest "${loaded_memory[@]}") |"
    if [ "$failed" -ne 0 ] || [ "$taken" -ne 0 ]; then
        echo
        echo "The failover runs ended with exit code $failed, the takeovers or the large groups with $taken."
    fi
}

if [ ! -e "$output" ]; then
    printf '# Results\n\nEach section is one run of `benchmarks/run.sh`, the latest last. README.md says how to read them.\n' >"$output"
fi
{ echo; section; } | tee -a "$output"
exit "$((failed > taken ? failed : taken))"
