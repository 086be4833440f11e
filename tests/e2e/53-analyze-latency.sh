#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A stream's row can be seen, by other programs, within 300 ms of the packet
# and while the stream is open: through analyze on an interface, and through
# the whole chain of weir up.
. "${0%/*}/lib.sh"
need root python3

readonly LATENCY="$WEIR_SOURCE/tests/e2e/latency.py"

ns_make a b
ns_cable a left 10.9.1.1 b right 10.9.1.2
start server @b python3 "$LATENCY" serve 10.9.1.2 7000
wait_for 10 grep -q ready "$T/server.out" || die 'no server'

# The capture and all behind it are there: a datagram became a row.
is_up() { # STORE
	ns a bash -c 'echo hello >/dev/udp/10.9.1.2/7001'
	[ "$(python3 "$WEIR_SOURCE/tests/e2e/store.py" count "$1" \
		'port_a = 7001 OR port_b = 7001')" -gt 0 ]
}

number() { # NAME KEY
	sed -n "s/.*\b$2=\([0-9]*\).*/\1/p" "$T/$1.latency"
}

measure() { # NAME STORE
	ns a timeout 60 python3 "$LATENCY" measure 10.9.1.2 7000 "$2" 200 \
		>"$T/$1.latency"
	note "$1: $(<"$T/$1.latency")"
	check_equal "X02 $1: all 200 streams are seen" "$(number "$1" seen)" 200
	check_equal "X02 $1: while they are open" "$(number "$1" open)" 200
	check "X02 $1: half of them within 300 ms" \
		test "$(number "$1" p50)" -le 300
	check "X02 $1: 99 of 100 within a second" \
		test "$(number "$1" p99)" -le 1000
}

# -- analyze on an interface --------------------------------------------------

start live @a "$WEIR" analyze --iface left --store "$T/live" --no-events
wait_for 10 logged live 'listening to left' || die 'no capture'
measure analyze "$T/live"
stop live INT

# -- weir up ------------------------------------------------------------------

start up @a env HOME="$T/home" XDG_STATE_HOME="$T/home/state" \
	"$WEIR" up left
wait_for 20 is_up "$T/home/state/weir/store" || die 'nothing comes through'
measure up "$T/home/state/weir/store"
(cd "$T/home" && XDG_STATE_HOME="$T/home/state" HOME="$T/home" \
	"$WEIR" streams --limit 0) >"$T/streams"
check_equal 'weir streams finds the store of weir up' \
	"$(grep -c '10.9.1.2:7000' "$T/streams")" 200
id=$(awk '/10.9.1.2:7000/ { print $1; exit }' "$T/streams")
(cd "$T/home" && XDG_STATE_HOME="$T/home/state" HOME="$T/home" \
	"$WEIR" show "$id") >"$T/show"
check_match 'weir show, too' 'who am I\? [0-9]+' "$T/show"
stop up INT

start without @a "$WEIR" up --no-analyze --state-dir "$T/without" left
wait_for 20 grep -q '^Packets of' "$T/without.out" || die 'it does not start'
check 'with --no-analyze there is no store' test ! -e "$T/without/store"
stop without INT

finish
