#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The Python clients of the system tests, in .build/venv; made anew only when their list changed. Prints nothing when
# there is nothing to do.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/shell.sh"

wanted=$root/Tests/SystemTests/Clients/requirements.txt
venv=$root/.build/venv
cmp -s "$wanted" "$venv/installed.txt" && exit 0
python3 -c 'import venv, ensurepip' 2>/dev/null || need_packages python3 python3-venv
say "installing the Python clients into .build/venv"
rm -rf "$venv"
mkdir -p .build
python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$wanted"
cp "$wanted" "$venv/installed.txt"
