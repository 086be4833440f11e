#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Who reads slowly, or not at all, costs nobody else anything: not the other
# readers, not the source, not the one who looks up names.
. "${0%/*}/lib.sh"
need python3 socat

PCAP="python3 $WEIR_SOURCE/tests/e2e/pcap.py"
readonly PCAP

connected() { # N
	[ "$(ss -Htn state established "sport = :${at##*:}" | wc -l)" -ge "$1" ]
}

# 20 MB at a steady 2000 packets a second for ten seconds, with one reader that
# never reads, one that takes 1 KB a second, and one that takes all.
start slow "$WEIR" broker -n --listen 127.0.0.1:0 \
	--cmd "bash -c 'until [ -e $T/go ]; do sleep 0.02; done
	begun=\$(date +%s%N); $PCAP make 20000 --size 1000 --rate 2000
	echo took \$(((\$(date +%s%N) - begun) / 1000000)) ms >&2; sleep 60'"
wait_for 10 logged slow 'may connect' || die 'it does not listen'
at=$(sed -n 's/.*may connect to \([^;]*\);.*/\1/p' "$T/slow.err")
start never $PCAP hold "$at" 1
start crawl $PCAP read "$at" --pace 1024 --count 12
start fast $PCAP read "$at" --count 20000
wait_for 10 connected 3 || die 'fewer than three readers'
touch "$T/go"
join fast 60
gap=$(sed -n 's/.*gap_ms=\([0-9]*\).*/\1/p' "$T/fast.out")
check_match 'I55 beside one that never reads another gets everything' \
	'packets=20000 .*whole=1' "$T/fast.out"
wait_for 5 logged slow 'command: took' || die 'the source does not end'
late=$(sed -n 's/.*command: late_ms=//p' "$T/slow.err")
check "B07 its longest pause is below 200 ms ($gap ms, the source's $late)" \
	test "$((gap - late))" -lt 200
took=$(sed -n 's/.*command: took \([0-9]*\) ms.*/\1/p' "$T/slow.err")
check "B07 the source is not held back ($took ms for 10 s)" \
	test "$took" -lt 11500
join crawl 60
check_match 'I55 one at 1 KB a second gets the same packets, later' \
	'packets=12 ' "$T/crawl.out"
rss=$(awk '/VmRSS/ { print $2 }' "/proc/${pid[slow]}/status")
check "the broker's memory stays small ($rss KiB)" test "$rss" -lt 200000
stop never INT
stop slow

if ! may_network; then
	skip 'B11 a dead resolver' 'needs root'
	finish
fi

# A name server that nobody answers for: a question waits for seconds.
ns_make dark void
ns_cable dark near 10.213.7.1 void far 10.213.7.2
n=$(ns_name dark)
trap 'code=$?; rm -rf "/etc/netns/$n"; (exit "$code"); at_exit' EXIT
# ThreadSanitizer itself would wait at the end for the one in the resolver.
export TSAN_OPTIONS="${TSAN_OPTIONS-} atexit_sleep_ms=0"
mkdir -p "/etc/netns/$n"
echo 'nameserver 10.213.7.99' >"/etc/netns/$n/resolv.conf"
start dark @dark "$WEIR" broker --listen 10.213.7.1:4242 --cmd 'sleep 60'
wait_for 10 listening 4242 @dark || die 'it does not listen'
start hundred @dark $PCAP hold 10.213.7.1:4242 100
taken_in() {
	[ "$(ns dark ss -Htnp state established 'sport = :4242' |
		grep -c weir)" -ge 100 ]
}
check 'B11 with a dead resolver 100 readers are taken in' \
	wait_for 10 taken_in
wait_for 5 grep -q holding "$T/hundred.out"
took=$(sed -n 's/^holding 100 after \([0-9]*\) ms$/\1/p' "$T/hundred.out")
check "B11 within a second ($took ms)" test "${took:-9999}" -lt 1000
begun=$(date +%s%N)
stop dark
took=$((($(date +%s%N) - begun) / 1000000))
check "B11 nor does it hold up the end ($took ms)" test "$took" -lt 1000
check_equal 'B11 which is a good one' "${status[dark]}" 0
stop hundred INT
finish
