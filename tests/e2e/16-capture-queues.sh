#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Several queues of one interface: each packet once, in the order of the stamps.
. "${0%/*}/lib.sh"
. "${0%/*}/capture.sh"
need root tshark taskset

ns_make a b
ns_cable a veth0 10.0.0.1 b game 10.0.0.2
wait_for 5 grep -q 1 <(ns b cat /sys/class/net/game/carrier)

# One sender on one processor: the packets pass in the order of their numbers,
# and the flow decides into which queue each one goes.
capture queues @b -d "$T/spool" --iface game --fanout 3 -f 'udp port 9'
ns a taskset -c 0 "$BLAST" -i veth0 -n 5000 -r 10000 --flows 16 >/dev/null
wait_for 10 has_captured "$T/spool/src1" 5000
stop queues
numbers "$T/spool/src1" udp >"$T/numbers"
check_equal 'three queues: each packet once' "$(sort -n "$T/numbers" | cksum)" \
	"$(seq 0 4999 | cksum)"
check_equal 'three queues: merged into the order of the stamps' \
	"$(cksum <"$T/numbers")" "$(seq 0 4999 | cksum)"

# A lone packet waits for silent queues no longer than the window.
capture lone @b -d "$T/lone" --iface game --fanout 3 -f 'udp port 9'
ns a "$BLAST" -i veth0 >/dev/null
check 'a lone packet does not wait for silent queues for ever' \
	wait_for 3 has_captured "$T/lone/src1" 1
stop lone
finish
