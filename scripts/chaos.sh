#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Real nodes, each in a network namespace with an ext4 of its own, under load while faults are injected:
# what `make chaos` does. Tests/Chaos holds the parts; RELIABILITY.md says what is promised and how to read the table.
#
#   scripts/chaos.sh [options of Tests/Chaos/chaos.py]
#   scripts/chaos.sh --smoke      a few faults, a few minutes: part of `make test`
#   scripts/chaos.sh --power-loss the power of all nodes at once, TIMES (50) times
#   scripts/chaos.sh --control fsync-off|acks-one|no-idempotence
#                                 a cluster that is broken on purpose; it must be caught
#   scripts/chaos.sh --clean      removes what runs that were interrupted have left
#
# SEED, NODES (3 or 5), DURATION (seconds) and FAULTS (a list with commas, or all) say what a run does; BINARY names
# another program than .build/release/godwit, CHECKER and NATIVE other builds of history-check and history-load.
# It needs root, namespaces, mounts, and nft, cc and mkfs.ext4; without them it says so and ends with 3.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/shell.sh"

runs=$root/.build/chaos
program=${BINARY:-$godwit}

# Everything that a run makes lies in namespaces that end with it, but for its folder.
leftovers() { find "$runs" -mindepth 2 -maxdepth 2 -name RUNNING 2>/dev/null || true; }

if [ "${1:-}" = --clean ]; then
    exec 9>"$runs/lock"
    flock -n 9 || die "a run is under way"
    for mark in $(leftovers); do
        say "removing $(dirname "$mark")"
        rm -rf "$(dirname "$mark")"
    done
    exit 0
fi

mkdir -p "$runs"
exec 9>"$runs/lock"
flock -n 9 || die "another chaos run of this clone is under way"
[ -z "$(leftovers)" ] || die "an interrupted run has left $(leftovers | head -1); scripts/chaos.sh --clean removes it"

cannot() { say "chaos is skipped: $*"; exit 3; }
[ "$(id -u)" -eq 0 ] || cannot "it needs root for namespaces and mounts"
(need_packages nftables libfaketime) >/dev/null 2>&1 || true
for tool in nft ip nsenter unshare mkfs.ext4 cc; do
    command -v "$tool" >/dev/null || cannot "there is no $tool"
done
# One veth between two namespaces, one rule, one loop mount: what the nodes will need.
probe=$(mktemp -d)
unshare --mount --net --pid --fork --kill-child --mount-proc bash -euo pipefail -c '
    mkdir -p /run/netns && mount -t tmpfs netns /run/netns
    ip netns add probe && ip link add v0 type veth peer name v1 netns probe
    nft add table inet probe
    truncate -s 16M "$1/image" && mkfs.ext4 -q -F "$1/image" && mkdir "$1/mount"
    mount -o loop "$1/image" "$1/mount" && umount "$1/mount"
' _ "$probe" >"$probe/out" 2>&1 || trouble=$(tail -n 1 "$probe/out")
rm -rf "$probe"
[ -z "${trouble:-}" ] || cannot "this machine does not allow it: $trouble"

[ -x "$program" ] || die "no $program; make build first"
scripts/venv.sh
checker=${CHECKER:-$root/.build/release/history-check}
native=${NATIVE:-$root/.build/release/history-load}
if [ -z "${CHECKER:-}" ]; then swift build -c release --product history-check; fi
if [ -z "${NATIVE:-}" ]; then swift build -c release --product history-load; fi

export PYTHONDONTWRITEBYTECODE=1
folder=$runs/$(date +%m%d-%H%M%S)
mkdir -p "$folder"
touch "$folder/RUNNING"
"$root/.build/venv/bin/python" Tests/Chaos/self_check.py
options=(--folder "$folder" --program "$program" --checker "$checker" --native "$native" --prefix "gwc-$$")
faketime=$(find /usr/lib -name 'libfaketimeMT.so.1' 2>/dev/null | head -1)
if [ -n "$faketime" ]; then options+=(--faketime "$faketime"); fi
case ${1:-} in
--smoke)
    shift
    options+=(--singly --duration 150 --hold 5 --warm-up 3 --faults
        "kill-leader,power-loss-all,cut-peers,pause-leader,fsync-error,kill-all,cut-one-way" --windows 7)
    ;;
--power-loss)
    shift
    options+=(--singly --duration 7200 --hold 1 --rest 3 --faults power-loss-all --windows "${TIMES:-50}")
    ;;
esac
[ -z "${SEED:-}" ] || options+=(--seed "$SEED")
[ -z "${NODES:-}" ] || options+=(--nodes "$NODES")
[ -z "${DURATION:-}" ] || options+=(--duration "$DURATION")
[ -z "${FAULTS:-}" ] || options+=(--faults "$FAULTS")

# A process namespace: when its first process is ended, so is everything that the run has started, with its mounts and
# networks.
unshare --mount --net --pid --fork --kill-child --mount-proc \
    "$root/.build/venv/bin/python" Tests/Chaos/chaos.py "${options[@]}" "$@" &
child=$!
trap 'kill -KILL "$child" 2>/dev/null; wait "$child" || true; rm -rf "$folder"; exit 130' INT TERM
status=0
wait "$child" || status=$?
rm -f "$folder/RUNNING"
if [ "$status" -eq 0 ]; then
    # The figures and the nodes' own words stay, what they were made of does not.
    find "$folder" -mindepth 1 ! -name 'report*.json' ! -name 'n*.log' -delete
fi
exit "$status"
