#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The systemd units say nothing that systemd does not know, and leave the services little to do harm with:
# `systemd-analyze security` (0 is safest, 10 worst) at most 2.0. Prints TAP.
set -eu
if ! command -v systemd-analyze >/dev/null; then
    echo "1..0 # SKIP no systemd-analyze here: the unit is not judged"
    exit 77
fi
build=${FRESHET_BUILD:-build}
most=20 # tenths
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# The program need not be installed for its units to be judged.
for service in freshet freshet-refit; do
    sed 's|^ExecStart=[^ ]*|ExecStart=/bin/true|' "$build/$service.service" >"$folder/$service.service"
done
cp "$build/freshet.socket" deploy/freshet-refit.timer "$folder/"
test=0
for service in freshet freshet-refit; do
    test=$((test + 1))
    if said=$(systemd-analyze security --offline=true --no-pager --threshold=$most "$folder/$service.service" 2>&1); then
        echo "ok $test - $service: exposure at most $most tenths"
    else
        echo "not ok $test - $service: exposure at most $most tenths"
    fi
    printf '%s\n' "$said" | tail -1 | sed 's/^/# /'
done
faults=$(systemd-analyze verify --man=no "$folder"/* 2>&1 |
    grep -i 'freshet[a-z-]*\.\(service\|socket\|timer\):' | grep -vi 'user freshet\|/bin/true' || true)
if [ -z "$faults" ]; then
    echo "ok 3 - no unknown or malformed line"
else
    echo "not ok 3 - no unknown or malformed line"
    printf '%s\n' "$faults" | sed 's/^/# /'
fi
echo 1..3
