# shellcheck shell=bash disable=SC2034
# SPDX-License-Identifier: Apache-2.0
# What the other scripts share: source it, do not run it.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

godwit=$root/.build/release/godwit
configs=$root/cluster-configs/local
data=$root/cluster-data
# The tests have a build of their own: `-enable-testing` costs speed, so the binary that people run is built without it.
# MARKS is for coverage marks (LogModel's Mark).
test_build=(-c release --scratch-path "$root/.build-test" -Xswiftc -enable-testing -Xswiftc -DMARKS)

say() { printf '%s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

need_swift() {
    command -v swift >/dev/null ||
        die "no swift in PATH; Godwit needs the Swift 6.3 toolchain: https://www.swift.org/install/linux/"
}

# The names of the local cluster's nodes, one a line: node1, node2, ...
local_nodes() {
    local file
    for file in "$configs"/node*.yaml; do
        [ -e "$file" ] || die "no node*.yaml in $configs"
        basename "$file" .yaml
    done
}

# setting_of FILE SECTION KEY: the value of `SECTION.KEY: value`, or of `KEY: value` indented under `SECTION:`.
setting_of() {
    awk -v section="$2" -v key="$3" '
        { line = $0; sub(/[ \t]+#.*$/, "", line) }
        line ~ "^" section "\\." key ":" { sub(/^[^:]*:[ \t]*/, "", line); print line; exit }
        line ~ "^[A-Za-z]" { inside = (line ~ "^" section ":[ \t]*$") }
        inside && line ~ "^[ \t]+" key ":" { sub(/^[^:]*:[ \t]*/, "", line); print line; exit }
    ' "$1" | tr -d "\"'"
}

# The node's pid if it runs and really is that node; the pid file alone may be older than the machine's last restart.
pid_of() {
    local file=$data/$1.pid pid
    [ -r "$file" ] || return 1
    pid=$(<"$file")
    [ -r "/proc/$pid/cmdline" ] || return 1
    tr '\0' ' ' <"/proc/$pid/cmdline" | grep -qF "cluster-configs/local/$1.yaml" || return 1
    printf '%s' "$pid"
}

# as_root COMMAND...: as it is for root, through sudo for anyone else.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"
    elif command -v sudo >/dev/null; then sudo "$@"
    else die "this needs root, and there is no sudo: $*"
    fi
}

# need_packages NAME...: Debian packages, asked of apt only when one is missing.
need_packages() {
    local name missing=()
    command -v dpkg-query >/dev/null || return 0   # another system: the build itself says what it lacks
    for name in "$@"; do
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null || true) == installed ]] || missing+=("$name")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    say "installing system packages: ${missing[*]}"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null
}

need_build_packages() { need_packages liblz4-dev libzstd-dev zlib1g-dev libsnappy-dev pkg-config; }
