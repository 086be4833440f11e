#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# weir analyze --store on a spool that grows goes on where it stopped: killed
# ten times at random, ended politely between, it comes to the same store as a
# run that nobody disturbed.
. "${0%/*}/lib.sh"
need python3

readonly STORE="$WEIR_SOURCE/tests/e2e/store.py"
seed=${WEIR_TEST_SEED:-$RANDOM}
note "seed $seed (WEIR_TEST_SEED)"
RANDOM=$seed

python3 "$WEIR_SOURCE/tests/e2e/traffic.py" "$T/traffic.pcap" "$seed" 400 60
options=(--spool "$T/spool/src1" --no-events --flow-idle-timeout-ms 5000
	--regex 'FLAG\{[0-9a-f]{8}\}' --pattern 'GET /')

given() { # STORE: packets that are durably followed
	local resume given=0
	read -r resume given < <(python3 "$STORE" position "$T/$1" 2>/dev/null)
	echo "${given:-0}"
}

has_given() { # STORE N
	[ "$(given "$1")" -ge "$2" ]
}

# -- ten kills while the spool grows ---------------------------------------------

start agent "$WEIR" agent capture --pcap-file "$T/traffic.pcap" \
	-d "$T/spool" --speed 10
wait_for 10 test -e "$T/spool/src1" || die 'no spool'
acknowledged=0 lost=0
for i in 1 2 3 4 5 6 7 8 9 10; do
	start killed "$WEIR" analyze "${options[@]}" --store "$T/killed" \
		--workers $((i % 3 + 1))
	# Wait for a random moment: the clock is the thing under test.
	sleep "0.$((RANDOM % 7 + 1))"
	if [ $((i % 4)) -eq 0 ]; then
		stop killed TERM || not_ok 'it ends when asked'
	else
		stop killed KILL
	fi
	now=$(given killed)
	[ "$now" -ge "$acknowledged" ] || lost=$((lost + 1))
	acknowledged=$now
done
check_equal 'X07 what was acknowledged never goes back' "$lost" 0
check 'the kills came while it was at work' test "$acknowledged" -gt 0
join agent 60 || not_ok 'the capture ends well'
packets=$(python3 "$WEIR_SOURCE/tests/e2e/pcap.py" list "$T/traffic.pcap" |
	wc -l)
start last "$WEIR" analyze "${options[@]}" --store "$T/killed" --workers 2
check 'it comes to the end of the spool' \
	wait_for 30 has_given killed "$packets"
stop last TERM

# -- and nobody can tell ------------------------------------------------------------

start whole "$WEIR" analyze "${options[@]}" --store "$T/whole" --workers 1
wait_for 30 has_given whole "$packets" || not_ok 'an undisturbed run'
stop whole TERM
python3 "$STORE" dump "$T/whole" >"$T/whole.txt" || not_ok 'dump'
python3 "$STORE" dump "$T/killed" >"$T/killed.txt" || not_ok 'dump'
check 'there is something to compare' \
	test "$(grep -c ^stream "$T/whole.txt")" -ge 800
check 'X07 same streams, same ids, each packet counted once' \
	cmp <(grep ^stream "$T/whole.txt") <(grep ^stream "$T/killed.txt")
check 'X07 same gaps, messages, matches' \
	cmp <(grep -v ^stream "$T/whole.txt") <(grep -v ^stream "$T/killed.txt")

# -- what cannot go on is closed --------------------------------------------------------

open=$(python3 "$STORE" count "$T/whole" 'not over')
check 'streams that were open at a polite end stay open' test "$open" -gt 0
"$WEIR" analyze "${options[@]}" --store "$T/whole" --no-follow 2>/dev/null
check_equal 'at the end of the input they end' \
	"$(python3 "$STORE" count "$T/whole" 'not over')" 0
python3 "$STORE" dump "$T/whole" | grep ^stream >"$T/once.txt"
"$WEIR" analyze "${options[@]}" --store "$T/whole" --no-follow 2>"$T/again.err"
python3 "$STORE" dump "$T/whole" | grep ^stream >"$T/twice.txt"
check 'and another run finds nothing new' cmp "$T/once.txt" "$T/twice.txt"

finish
