#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The systemd unit says nothing that systemd does not know, and leaves the service little to do harm with:
# `systemd-analyze security` (0 is safest, 10 worst) at most 2.0. Prints TAP.
set -eu
if ! command -v systemd-analyze >/dev/null; then
    echo "1..0 # SKIP no systemd-analyze here: the unit is not judged"
    exit 77
fi
unit=${FRESHET_BUILD:-build}/freshet.service
socket=${FRESHET_BUILD:-build}/freshet.socket
most=20 # tenths
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# The program need not be installed for its unit to be judged.
sed 's|^ExecStart=[^ ]*|ExecStart=/bin/true|' "$unit" >"$folder/freshet.service"
cp "$socket" "$folder/freshet.socket"
if said=$(systemd-analyze security --offline=true --no-pager --threshold=$most "$folder/freshet.service" 2>&1); then
    echo "ok 1 - exposure at most $most tenths"
else
    echo "not ok 1 - exposure at most $most tenths"
fi
printf '%s\n' "$said" | tail -1 | sed 's/^/# /'
faults=$(systemd-analyze verify --man=no "$folder/freshet.service" "$folder/freshet.socket" 2>&1 |
    grep -i 'freshet\.\(service\|socket\):' | grep -vi 'user freshet\|/bin/true' || true)
if [ -z "$faults" ]; then
    echo "ok 2 - no unknown or malformed line"
else
    echo "not ok 2 - no unknown or malformed line"
    printf '%s\n' "$faults" | sed 's/^/# /'
fi
echo 1..2
