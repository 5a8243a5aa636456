#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds .build/release/godwit, and returns at once when no source is newer than the last good build.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/shell.sh"

stamp=$root/.build/release/.godwit-built
if [ -x "$godwit" ] && [ -e "$stamp" ] &&
    [ -z "$(find Package.swift Sources -newer "$stamp" -print -quit)" ]; then
    exit 0
fi
need_build_packages
need_swift
# The stamp is as old as the build's beginning: a file saved while it ran is newer, and is built next time.
mkdir -p .build
started=$(mktemp .build/started.XXXXXX)
trap 'rm -f "$started"' EXIT
swift build -c release --product godwit
mv "$started" "$stamp"
