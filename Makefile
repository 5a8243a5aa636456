# SPDX-License-Identifier: Apache-2.0
# Every target is a few lines here and a script in scripts/. `make` alone lists them.

.PHONY: help up down clean-data build test verify fix sim soak bench conformance groups-under-kill chaos \
	chaos-controls power-loss mutants

help:  ## this list
	@grep -E '^[a-z-]+: .*##|^[a-z-]+:  ##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 19

up:  ## build what changed, start the three nodes of cluster-configs/local/, wait until every partition has a leader
	@scripts/up.sh

down:  ## stop the nodes that `make up` started; their data stays
	@scripts/down.sh

clean-data:  ## remove the data of the local cluster (after `make down`)
	@scripts/clean-data.sh

build:  ## build .build/release/godwit, if it is older than the sources
	@scripts/build.sh

test:  ## everything that .ci/run runs: unit, simulation and system tests with foreign clients
	@scripts/test.sh

verify:  ## swift format lint, then `make test`; never writes to the sources
	@scripts/verify.sh

fix:  ## swift format in place
	@scripts/fix.sh

sim:  ## the simulation alone: SEEDS=, NODE_SEEDS=5000 run that many seeds, SEED=, NODE_SEED=42 replay one
	@SEEDS="$(SEEDS)" SEED="$(SEED)" NODE_SEEDS="$(NODE_SEEDS)" NODE_SEED="$(NODE_SEED)" scripts/sim.sh

mutants:  ## bugs of the past put back one by one (Tests/History.md): the tests must notice each; ONLY=T-V3 one
	@ONLY="$(ONLY)" scripts/mutants.sh

soak:  ## simulated clusters for HOURS=1, a line a minute; PROFILE=disks keeps to one kind
	@HOURS="$(HOURS)" PROFILE="$(PROFILE)" scripts/soak.sh

bench:  ## the figures of benchmarks/RESULTS.md
	@scripts/bench.sh

conformance:  ## other clients' own checks against three nodes; CONFORMANCE=folder says where the checks are
	@scripts/build.sh
	@CONFORMANCE="$(CONFORMANCE)" Tests/Conformance/run.sh

groups-under-kill:  ## a group and Java producers for DURATION=300 s while nodes are killed; nothing may be lost
	@scripts/build.sh
	@CONFORMANCE="$(CONFORMANCE)" Tests/Conformance/groups-under-kill.sh

chaos:  ## real nodes under load and faults: SEED, NODES=3|5, DURATION=1200 s, FAULTS=list
	@scripts/build.sh
	@SEED="$(SEED)" NODES="$(NODES)" DURATION="$(or $(DURATION),1200)" FAULTS="$(FAULTS)" scripts/chaos.sh

chaos-controls:  ## clusters that are broken on purpose: the checks of `make chaos` must catch each
	@scripts/build.sh
	@scripts/chaos.sh --control fsync-off
	@scripts/chaos.sh --control acks-one
	@scripts/chaos.sh --control no-idempotence

power-loss:  ## the power of all nodes at once, under load, TIMES=50 times: nothing acknowledged may be lost
	@scripts/build.sh
	@TIMES="$(TIMES)" SEED="$(SEED)" NODES="$(NODES)" scripts/chaos.sh --power-loss
