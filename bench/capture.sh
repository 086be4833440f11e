#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# capture.sh [DIR [SECONDS]] - how many packets a second capture takes from a
# cable without losing one, made durable in DIR, beside dumpcap on the same
# cable.
#
# For each frame size blast sends at rising rates until it can go no faster.
# Both programs see the same packets in turns, never at once.  What was sent
# must be what was captured and what was counted as lost: a line whose sum is
# wrong ends the run.  The claim: no loss where dumpcap with its own default
# buffer begins to lose, and half a million packets a second without a loss.
# One line a run: program, frame bytes, packets sent, packets a second, lost.
set -eu
build=${WEIR_BUILD:-build}
weir=$build/src/weir
blast=$build/tests/blast
dir=${1:-$(mktemp -d)}
seconds=${2:-3}
a=weirbench$$a
b=weirbench$$b

at_exit() {
	trap - EXIT
	[ -z "${running-}" ] || kill "$running" 2>/dev/null || true
	ip netns del "$a" 2>/dev/null || true
	ip netns del "$b" 2>/dev/null || true
	rm -rf "$dir/bench-capture"
}
trap at_exit EXIT
trap 'exit 1' INT TERM

ip netns add "$a"
ip netns add "$b"
ip -n "$a" link add veth0 type veth peer name veth1 netns "$b"
ip -n "$a" link set veth0 up
ip -n "$b" link set veth1 up
mkdir -p "$dir/bench-capture"

# Packets and their own time: "sent N of S bytes in T s".
send() { # SIZE RATE
	local n=$(($2 ? $2 * seconds : 600000 * seconds))
	ip netns exec "$a" "$blast" -i veth0 -s "$1" -r "$2" -n "$n" >"$dir/bench-capture/sent"
	read -r _ sent _ _ _ _ took _ <"$dir/bench-capture/sent"
	pps=$(awk "BEGIN {printf \"%d\", $sent / $took}")
}

wait_log() { # FILE WORD
	for _ in $(seq 200); do
		! grep -q "$2" "$1" || return 0
		sleep 0.05
	done
	echo "no $2 in $1" >&2
	exit 1
}

counter() {
	od -An -t u8 -j "$1" -N 8 "$dir/bench-capture/spool/src1.stats" | tr -d ' '
}

run_weir() { # SIZE RATE
	local log=$dir/bench-capture/log
	rm -rf "$dir/bench-capture/spool"
	ip netns exec "$b" "$weir" agent capture -d "$dir/bench-capture/spool" \
		--iface veth1 -f 'udp port 9' --retention-bytes 2GiB 2>"$log" &
	running=$!
	wait_log "$log" capturing
	send "$1" "$2"
	kill "$running"
	wait "$running"
	running=
	read -r got lost < <(sed -n 's/.*done: \([0-9]*\) packets, \([0-9]*\) lost.*/\1 \2/p' "$log")
	[ $((got + lost)) -eq "$sent" ] || {
		echo "weir: $got captured and $lost lost are not $sent sent" >&2
		exit 1
	}
	echo "weir $1 $sent $pps $lost"
}

run_dumpcap() { # SIZE RATE
	local log=$dir/bench-capture/log
	ip netns exec "$b" dumpcap -q -i veth1 -f 'udp port 9' \
		-w "$dir/bench-capture/dumpcap.pcapng" 2>"$log" &
	running=$!
	wait_log "$log" 'File:'
	send "$1" "$2"
	kill -INT "$running"
	wait "$running" || true
	running=
	got=$(capinfos -Tmrc "$dir/bench-capture/dumpcap.pcapng" 2>/dev/null | awk -F, '{print $2}')
	rm -f "$dir/bench-capture/dumpcap.pcapng"
	echo "dumpcap $1 $sent $pps $((sent - got))"
}

echo "# program frame sent pps lost; $(nproc) cores, load $(cut -d' ' -f1 /proc/loadavg)"
for size in 60 512 1500; do
	for rate in 100000 200000 400000 0; do
		run_weir "$size" "$rate"
		! command -v dumpcap >/dev/null || run_dumpcap "$size" "$rate"
	done
done
