#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A group of six librdkafka consumers and two Java producers with default settings, while a random node is killed with
# kill -9 and started again every 20 s: what `make groups-under-kill` does. At the end the topic is read back and held
# against what every process wrote down: Tests/SystemTests/Clients/group_history.py says what must hold. Ends with 0
# only when all of it does.
#
#   Tests/Conformance/groups-under-kill.sh               five minutes
#   Tests/Conformance/groups-under-kill.sh --self-check  the checker against histories with planted faults
#   DURATION=60 KILL_EVERY=10 DOWN=5 RATE=200 PARTITIONS=12 PROTOCOL=mixed SEED=7 Tests/Conformance/groups-under-kill.sh
#
# PROTOCOL is classic (the default), consumer (KIP-848) or mixed: every other member speaks the other one. RATE is
# records a second of each producer, DOWN how long a node stays away. CONFORMANCE is the folder with lib/get-jars.sh,
# asked for the Java client when it is not in CONFORMANCE_HOME yet.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/shell.sh"
. Tests/Conformance/cluster.sh

clients=$root/Tests/SystemTests/Clients
if [ "${1:-}" = --self-check ]; then
    exec env PYTHONDONTWRITEBYTECODE=1 python3 "$clients/group_history.py" --self-check
fi

duration=${DURATION:-300} every=${KILL_EVERY:-20} down=${DOWN:-5} rate=${RATE:-500} partitions=${PARTITIONS:-12}
protocol=${PROTOCOL:-classic} members=${MEMBERS:-6} producers=${PRODUCERS:-2}
case $protocol in classic | consumer | mixed) ;; *) die "PROTOCOL is classic, consumer or mixed" ;; esac
[ "$down" -lt "$every" ] || die "a node must be back (DOWN=$down) before the next one goes (KILL_EVERY=$every)"
RANDOM=${SEED:=$((RANDOM + 1))}
topic=watched group=watchers

export CONFORMANCE_HOME=${CONFORMANCE_HOME:-$HOME/.cache/godwit-conformance}
jars=$CONFORMANCE_HOME/jars
command -v java >/dev/null || need_packages default-jdk-headless
if [ ! -e "$jars/.done" ]; then
    fetch=${CONFORMANCE:-$root/../shared/conformance}/lib/get-jars.sh
    [ -x "$fetch" ] || die "the Java client is not in $jars, and $fetch, which gets it, is not there.
Say where the folder of the conformance checks is: make groups-under-kill CONFORMANCE=/path/to/conformance"
    mkdir -p "$CONFORMANCE_HOME"
    "$fetch"
fi
scripts/venv.sh
python=$root/.build/venv/bin/python
[ -x "$program" ] || die "no $program; make build first"
export PYTHONDONTWRITEBYTECODE=1

reports=$root/.build/groups-under-kill
rm -rf "$reports"
mkdir -p "$reports"
declare -A running=()
end_all() {
    exec 9>&-
    local name
    for name in "${!running[@]}"; do kill -KILL "${running[$name]}" 2>/dev/null || true; done
    cluster_end "$reports"
}
trap end_all EXIT
trap 'exit 130' INT TERM

# Clients run until the pipe that is their standard input is closed; nobody else may hold its other end.
mkfifo "$reports/producing" "$reports/consuming"
exec 8<>"$reports/producing" 9<>"$reports/consuming"
# start NAME PIPE COMMAND...: its words go to NAME.out.
start() {
    local name=$1 pipe=$2
    shift 2
    "$@" <"$reports/$pipe" >"$reports/$name.out" 2>&1 8>&- 9>&- &
    running[$name]=$!
}
# finish SECONDS NAME...: waits for clients that were told to end; one that failed fails everything.
finish() {
    local patience=$1 name deadline
    shift
    deadline=$((SECONDS + patience))
    for name in "$@"; do
        while kill -0 "${running[$name]}" 2>/dev/null; do
            [ $SECONDS -lt $deadline ] || die "$name has not ended after $patience s; see $reports/$name.out"
            sleep 0.1
        done
        wait "${running[$name]}" || die "$name ended with $?: $(tail -n 3 "$reports/$name.out")"
        unset "running[$name]"
    done
}
# Still at work, or dead before its time.
alive() {
    local name
    for name in "${!running[@]}"; do
        kill -0 "${running[$name]}" 2>/dev/null || die "$name has ended: $(tail -n 5 "$reports/$name.out")"
    done
}
# total PATTERN COLUMN: the sum over files of a column of their last lines.
total() { tail -q -n 1 "$reports"/$1 2>/dev/null | awk -v column="$2" '{ sum += $column } END { print sum + 0 }'; }

cluster_start 8>&- 9>&-
"$program" topic create "$topic" --partitions "$partitions" --replication-factor 3 --bootstrap "$bootstrap" >/dev/null
say "three nodes at $bootstrap; seed $SEED; $members consumers ($protocol), $producers Java producers of $rate records/s"

consumer_names=() producer_names=()
for ((index = 1; index <= members; index++)); do
    speaks=$protocol
    if [ "$protocol" = mixed ]; then speaks=$([ $((index % 2)) -eq 0 ] && echo classic || echo consumer); fi
    consumer_names+=("consumer$index")
    start "consumer$index" consuming "$python" "$clients/group_member.py" --bootstrap "$bootstrap" --topic "$topic" \
        --group "$group" --member "m$index" --protocol "$speaks" --history "$reports/consumer$index.history"
done
start observer consuming "$python" "$clients/group_history.py" watch --bootstrap "$bootstrap" --topic "$topic" \
    --group "$group" --history "$reports/observer.history"
for ((index = 1; index <= producers; index++)); do
    producer_names+=("producer$index")
    start "producer$index" producing java -Xmx256m -cp "$jars/*" Tests/Conformance/SequenceProducer.java \
        "$bootstrap" "$topic" "$index" "$reports/producer$index.history" "$rate"
done

deadline=$((SECONDS + 60))
until [ "$(total 'consumer*.out' 2)" -gt 0 ] && [ "$(total 'consumer*.out' 4)" -eq "$partitions" ]; do
    alive
    [ $SECONDS -lt $deadline ] || die "the group reads nothing after 60 s: $(tail -n 2 "$reports"/*.out)"
    sleep 0.2
done

began=$SECONDS kills=0
while [ $((SECONDS - began)) -lt "$duration" ]; do
    node=$((RANDOM % 3 + 1))
    whole=$(cluster_whole && echo whole || echo "not whole yet")
    say "$(printf '%4d s: node %d is killed, the cluster was %s; acknowledged %d, read %d' \
        $((SECONDS - began)) "$node" "$whole" "$(total 'producer*.out' 2)" "$(total 'consumer*.out' 2)")"
    due=$((SECONDS + every))
    cluster_kill "$node"
    kills=$((kills + 1))
    sleep "$down"
    cluster_revive "$node" 8>&- 9>&-
    while [ $SECONDS -lt $due ] && [ $((SECONDS - began)) -lt "$duration" ]; do
        alive
        sleep 0.5
    done
done

say "$kills kills; the producers end"
exec 8>&-
finish 150 "${producer_names[@]}"
"$python" "$clients/group_history.py" settle --bootstrap "$bootstrap" --topic "$topic" --group "$group" \
    --partitions "$partitions" --seconds 90 8>&- 9>&-
exec 9>&-
finish 90 "${consumer_names[@]}" observer

status=0
"$python" "$clients/group_history.py" check --bootstrap "$bootstrap" --topic "$topic" --partitions "$partitions" \
    "$reports"/*.history >"$reports/verdict.json" || status=$?
cat "$reports/verdict.json"
figure() { "$python" -c 'import json, sys; d = json.load(open(sys.argv[1]))
for key in sys.argv[2:]: d = d[key]
print(d)' "$reports/verdict.json" "$@"; }
[ "$status" -le 1 ] || die "the topic could not be checked"
[ "$(figure acked)" -gt 0 ] && [ "$(figure commits)" -gt 0 ] || die "nothing was acknowledged or committed"
say ""
say "$(figure acked) records acknowledged, $(figure failed) refused, $(figure readAgain) read more than once, \
$(figure commits) commits, $kills kills (seed $SEED)"
say "longest stall of production $(figure productionStall seconds) s, of one partition \
$(figure productionStall worstPartitionSeconds) s"
say "longest stall of consumption $(figure consumptionStall seconds) s, of one partition \
$(figure consumptionStall worstPartitionSeconds) s"
if [ "$status" -eq 0 ]; then
    say "every acknowledged record was read, none is stored twice, no committed offset went back"
else
    say "BROKEN: see the rules above; histories and logs: $reports"
fi
exit "$status"
