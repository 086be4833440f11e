#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# An interface goes down, goes away, comes back as something else: capture
# goes on, and the spool says what happened.
. "${0%/*}/lib.sh"
. "${0%/*}/capture.sh"
need root tshark python3

ns_make a b
b=$(ns_name b)
cable() {
	ns_cable a veth0 10.0.0.1 b game 10.0.0.2
	wait_for 5 grep -q 1 <(ns b cat /sys/class/net/game/carrier)
}

# The entries of a spool's index as words: "packets N", "note KIND", "drop N".
entries() { # DIR
	python3 - "$1" <<'PY'
import glob, struct, sys
for path in sorted(glob.glob(sys.argv[1] + '/*[0-9].idx')):
    data = open(path, 'rb').read()[128:]
    for i in range(0, len(data), 64):
        kind, what, count = struct.unpack_from('<BxHI', data, i)
        value = struct.unpack_from('<Q', data, i + 16)[0]
        if kind == 1:
            print('packets', count)
        elif kind == 2:
            print('drop', what, value)
        elif kind == 4:
            print('note', {1: 'start', 2: 'down', 3: 'up', 4: 'filter'}
                  .get(what, what))
PY
}
has_noted() { # DIR WHAT TIMES
	[ "$(entries "$1" | grep -c "^note $2")" -ge "$3" ]
}

# -- an interface that is not there yet ----------------------------------------

spool=$T/spool
start flap @b "$WEIR" agent capture -d "$spool" --iface game \
	-f 'udp port 9'
wait_for 10 logged flap 'no interface named game yet.*there are: lo' ||
	die 'capture does not wait for its interface'
ok 'an interface that is not there is waited for, and named'
cable
wait_for 10 logged flap 'capturing from game' || die 'no capture'
ns a "$BLAST" -i veth0 -n 100 >/dev/null
wait_for 10 has_captured "$spool/src1" 100

# -- down and up --------------------------------------------------------------

ns b ip link set game down
check 'I23 down is noted' wait_for 5 has_noted "$spool/src1" down 1
ns b ip link set game up
check 'I23 up is noted' wait_for 5 has_noted "$spool/src1" up 1
ns a "$BLAST" -i veth0 -n 100 --first 100 >/dev/null
check 'I23 capture goes on after down and up' \
	wait_for 10 has_captured "$spool/src1" 200

# -- away and back ----------------------------------------------------------------

ns a ip link del veth0
check 'I23 an interface that was deleted is noted as down' \
	wait_for 5 has_noted "$spool/src1" down 2
check 'and said' wait_for 5 logged flap 'interface game is gone'
: >"$T/flap.err"
begin=$(date +%s%N)
cable
wait_for 10 logged flap 'capturing from game'
took=$((($(date +%s%N) - begin) / 1000000))
check "I23 and found again within a second ($took ms)" test "$took" -lt 1000
ns a "$BLAST" -i veth0 -n 100 --first 200 >/dev/null
check 'I23 capture goes on after deletion and re-creation' \
	wait_for 10 has_captured "$spool/src1" 300

# -- twenty times, quickly ----------------------------------------------------------

for _ in $(seq 20); do
	ns b ip link set game down
	ns b ip link set game up
done
ns a ip link del veth0
cable
: >"$T/flap.err"
ns a ip link del veth0
cable
wait_for 10 logged flap 'capturing from game'
ns a "$BLAST" -i veth0 -n 100 --first 300 >/dev/null
check 'I23 and after twenty flaps and two more deletions' \
	wait_for 10 has_captured "$spool/src1" 400
numbers "$spool/src1" udp >"$T/numbers"
check_equal 'I23 every packet sent while it was up is there, in order' \
	"$(cksum <"$T/numbers")" "$(seq 0 399 | cksum)"

# -- another link type -----------------------------------------------------------

if [ -c /dev/net/tun ]; then
	: >"$T/flap.err"
	ns a ip link del veth0
	ns b ip tuntap add mode tun name game
	ns b ip link set game up
	wait_for 10 logged flap 'capturing from game, link type 101' ||
		die 'no capture of the TUN device'
	ok 'I22 an interface that comes back as a TUN device is captured'
	mkfifo "$T/hold"
	exec 9<>"$T/hold"
	start tunblast @b bash -c "exec '$BLAST' -t game -n 50 <'$T/hold'"
	wait_for 10 has_captured "$spool/src1" 450
	echo >&9
	join tunblast 5
	check_match 'I22 into a spool of its own' '^linktype 101$' \
		"$spool/src1.2/id"
	stop flap
	check_equal 'I22 with all its packets' \
		"$(how_many "$spool/src1.2" 'raw && udp.dstport == 9')" 50
	check_equal 'I22 and the first spool keeps one type' \
		"$(how_many "$spool/src1" 'eth && udp.dstport == 9')" 400
	ns b ip link del game
	cable
	capture back @b -d "$spool" --iface game
	ns a "$BLAST" -i veth0 -n 10 >/dev/null
	wait_for 10 has_captured "$spool/src1" 10
	stop back
	check_match 'I22 a restart on the first type begins the next spool' \
		'^linktype 1$' "$spool/src1.3/id"
	check_equal 'with its packets' \
		"$(how_many "$spool/src1.3" 'udp.dstport == 9')" 10
else
	skip 'I22 an interface that comes back as a TUN device' 'no /dev/net/tun'
fi
check_equal 'capture ended well' "${status[flap]-0}" 0
finish
