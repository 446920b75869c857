#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The first run as a newcomer has it: tools/run with the made-up catalogue on a port that is taken,
# the page in a real browser, Ctrl-C, and a second run that resumes without learning again.
set -eu
home=$(cd "$(dirname "$0")/../.." && pwd)
build=${FRESHET_BUILD:-$home/build}
work=$(mktemp -d)
run=
blocker=
cleanup() {
    [ -z "$run" ] || kill -TERM "$run" 2>/dev/null || :
    [ -z "$blocker" ] || kill "$blocker" 2>/dev/null || :
    wait
    rm -rf "$work"
}
trap cleanup EXIT

chromium=${CHROMIUM:-/usr/bin/chromium}
for needed in "$chromium" "$home/web/node_modules/playwright-core" "$build/freshet"; do
    [ -e "$needed" ] || { echo "needs $needed"; exit 77; }
done

is_failed=0
tap() { # CODE NAME
    if [ "$1" = 0 ]; then echo "ok - $2"; else echo "not ok - $2"; is_failed=1; fi
}

# A port that somebody holds, so that the run has to move on.
node -e '
    const server = require("net").createServer((socket) => socket.end());
    server.listen(0, "127.0.0.1", () => console.log(server.address().port));' >"$work/port" &
blocker=$!
until [ -s "$work/port" ]; do kill -0 $blocker; sleep 0.05; done
port=$(cat "$work/port")

start() { # OUTPUT: leaves the address in $url
    : >"$1"
    SAMPLE=generated DATA_DIR=$work/data PORT=$port FRESHET=$build/freshet \
        "$home/tools/run" >"$1" 2>&1 &
    run=$!
    until url=$(sed -n 's/^ *Freshet is ready. Open *//p' "$1") && [ -n "$url" ]; do
        kill -0 "$run" 2>/dev/null || { cat "$1"; tap 1 "tools/run starts"; exit 1; }
        sleep 0.05
    done
}

stop() {
    kill -TERM "$run"
    code=0
    wait "$run" || code=$?
    run=
    tap $code "it stops cleanly"
}

# The three commands that the run prints, as a person would paste them.
three_commands() {
    sed -n 's/^  curl/curl/p' "$1" >"$work/commands"
    [ "$(wc -l <"$work/commands")" = 3 ] || return 1
    sed -n 1p "$work/commands" | sh >"$work/before" || return 1
    sed -n 2p "$work/commands" | sh >"$work/ack" || return 1
    sed -n 3p "$work/commands" | sh >"$work/after" || return 1
    grep -q '"accepted":1' "$work/ack" && [ "$(wc -l <"$work/after")" -ge 3 ] &&
        ! cmp -s "$work/before" "$work/after"
}

start "$work/first"
code=0
grep -q 'NOT REAL DATA' "$work/first" && grep -q 'events learnt in' "$work/first" || code=1
tap $code "the first run says what it learnt and that it is made up"
code=0
grep -q "Port $port is taken" "$work/first" || code=1
tap $code "a port that is taken is named, and the next one used"
code=0
three_commands "$work/first" || code=1
tap $code "recommend, click, recommend again: the second answer differs"
code=0
node "$home/tests/scenario/page.mjs" "$url" || code=$?
[ $code = 0 ] || is_failed=1
stop

start "$work/second"
code=0
grep -q 'Resuming' "$work/second" && ! grep -q 'events learnt in' "$work/second" || code=1
tap $code "the second run resumes"
code=0
events=$(curl -s "${url}v1/stats" | jq .events) && [ "$events" -gt 15000 ] || code=1
tap $code "it knows the file and the clicks"
stop
exit $is_failed
