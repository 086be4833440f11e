#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A spool on disk, served: live, from the past, to readers that come again,
# across gaps and changes of the link type.
. "${0%/*}/lib.sh"
need python3 tshark tcpdump socat

PCAP="python3 $WEIR_SOURCE/tests/e2e/pcap.py"
readonly PCAP
SAMPLE=${WEIR_BIN%/*}/../tools/sample.pcap

# Put a capture into the spool of source $T/$1/broker, behind what is there.
fill() { # DIR FILE
	"$WEIR" broker --listen 127.0.0.1:0 --spool-dir "$T/$1" \
		- <"$2" 2>>"$T/fill.err"
}

# Serve it as NAME; sets $at to the first listener.
serve() { # NAME DIR OPTIONS...
	local name=$1 dir=$2 all=() o
	shift 2
	for o; do
		all+=(--listen "127.0.0.1:0$o")
	done
	start "$name" "$WEIR" broker -n --read-spool "$T/$dir/broker" \
		"${all[@]}"
	wait_for 10 bash -c "[ \$(grep -c 'may connect' '$T/$name.err') \
		-eq $# ]" || die "$name does not listen"
	mapfile -t ports < <(sed -n 's/.*may connect to \([^;]*\);.*/\1/p' \
		"$T/$name.err")
	at=${ports[0]}
}

connected() { # N
	[ "$(ss -Htn state established "sport = :${at##*:}" | wc -l)" -ge "$1" ]
}

records() { # FILE TCPDUMP-OPTION...
	local file=$1
	shift
	tcpdump -nr "$file" -tt -e -xx "$@" 2>/dev/null
}

# -- everything, as it was captured --------------------------------------------

tcpdump -r "$SAMPLE" --time-stamp-precision=nano -c 300 -w "$T/300.pcap" \
	2>/dev/null
fill one "$T/300.pcap" || die 'the spool is not filled'
serve one one ,from=oldest ,from=oldest,unit=ns ,from=oldest,filter=tcp
tshark -i "TCP@${ports[0]}" -c 300 -w "$T/tshark.pcapng" 2>"$T/tshark.err"
check_equal 'I54 tshark reads 300 packets' \
	"$(tshark -r "$T/tshark.pcapng" 2>/dev/null | wc -l)" 300
check 'I54 they are those of the source' \
	cmp <(records "$T/tshark.pcapng") <(records "$T/300.pcap")
mkfifo "$T/fifo"
start socat socat -u "TCP:${ports[1]}" "OPEN:$T/fifo"
tcpdump -nr "$T/fifo" --time-stamp-precision=nano -c 300 -w "$T/ns.pcap" \
	2>"$T/tcpdump.err"
stop socat
check 'I54 tcpdump reads them from a socket, to the nanosecond' \
	cmp <(records "$T/ns.pcap" --time-stamp-precision=nano) \
	<(records "$T/300.pcap" --time-stamp-precision=nano)
want=$(records "$T/300.pcap" tcp | grep -c '^[0-9]')
start r17 $PCAP read "${ports[2]}" --count "$want"
join r17 20
check_match 'B17 a filter gives only its packets' "packets=$want " \
	"$T/r17.out"
stop one

# -- from where one likes --------------------------------------------------------

$PCAP make 2000 --ns >"$T/2000.pcap"
fill two "$T/2000.pcap" || die 'the spool is not filled'
when=1700000001.234003702 # of packet 1234
serve two two ,from=1234 ",from=time:$when" ,from=oldest
what=('an index' 'a time')
for i in 0 1; do
	start "r58-$i" $PCAP read "${ports[i]}" --count 766 \
		--out "$T/58-$i.pcap"
	join "r58-$i" 20
	$PCAP list "$T/58-$i.pcap" >"$T/58-$i.list"
	check "I58 a reader misses nothing from ${what[i]} on" \
		cmp <($PCAP list "$T/2000.pcap" | tail -n 766) \
		"$T/58-$i.list"
done
stop two

# -- before the source ---------------------------------------------------------------

serve three three ''
start r57 $PCAP read "$at" --count 20
wait_for 10 connected 1 || die 'no reader'
$PCAP make 20 --link 101 >"$T/raw.pcap"
fill three "$T/raw.pcap" || die 'the spool is not filled'
join r57 20
check_match 'I57 a reader that came first gets the right link type' \
	'packets=20 .*link=101 ' "$T/r57.out"

start r57b $PCAP read "$at"
wait_for 10 connected 1 || die 'no reader'
$PCAP make 20 --link 1 >"$T/eth.pcap"
fill three "$T/eth.pcap" || die 'the spool is not filled'
join r57b 20
check_match 'I57 another link type ends the readers of the one before' \
	'link=101 .*whole=1' "$T/r57b.out"
check 'I57 and is the next spool of the source' test -d "$T/three/broker.2"
stop three

# -- a hole ------------------------------------------------------------------------------

# A memory of 64 MiB keeps 48; a reader that is further behind has missed some.
start four "$WEIR" broker -n --memory 64MiB --listen 127.0.0.1:0 \
	--cmd "bash -c 'until [ -e $T/four.go ]; do sleep 0.02; done
	$PCAP make 60000 --size 1400; until [ -e $T/four.more ]
	do sleep 0.02; done; tail -c +25 $T/2000.pcap; sleep 60'"
wait_for 10 logged four 'may connect' || die 'four does not listen'
at=$(sed -n 's/.*may connect to \([^;]*\);.*/\1/p' "$T/four.err")
start r56 bash -c "exec 3<>'/dev/tcp/${at/://}'
	until [ -e '$T/r56.go' ]; do sleep 0.02; done
	cat <&3 >'$T/56.pcap'"
start r56fast $PCAP read "$at" --count 60000
wait_for 10 connected 2 || die 'no two readers'
touch "$T/four.go"
join r56fast 60
touch "$T/r56.go"
join r56 30
$PCAP list "$T/56.pcap" >"$T/56.list"
$PCAP make 60000 --size 1400 >"$T/60000.pcap"
$PCAP list "$T/60000.pcap" >"$T/60000.list"
check 'I56 a reader gets whole records up to a gap, and is closed' \
	test "$(wc -l <"$T/56.list")" -gt 0
check 'I56 nothing but what was sent, in order' \
	cmp "$T/56.list" <(head -n "$(wc -l <"$T/56.list")" "$T/60000.list")
check_match 'I56 the log tells which packets' \
	'packets [0-9]+ to [0-9]+ are missing' "$T/four.err"
start r56b $PCAP read "$at" --count 2000
wait_for 10 connected 1 || die 'no reader'
touch "$T/four.more"
join r56b 20
check_match 'I56 the next reader gets a header of its own' \
	'packets=2000 .*whole=1' "$T/r56b.out"
stop four

# -- coming again ------------------------------------------------------------------------------

# Bursts of 100 packets, each when told; a reader leaves when it has all.
cat >"$T/bursts" <<END
#!/bin/bash
for i in 0 1 2 3 4 5; do
	until [ -e $T/burst\$i ]; do sleep 0.02; done
	$PCAP make 100 --first \$((i * 100)) | tail -c +\$((i ? 25 : 1))
done
until [ -e $T/burst6 ]; do sleep 0.02; done
END
start five "$WEIR" broker -n --listen 127.0.0.1:0,from=client \
	--cmd "bash $T/bursts"
wait_for 10 logged five 'may connect' || die 'five does not listen'
at=$(sed -n 's/.*may connect to \([^;]*\);.*/\1/p' "$T/five.err")
for i in 0 1 2; do
	start "x04-$i" $PCAP read "$at" --count $((i ? 200 : 100)) \
		--out "$T/x04-$i.pcap"
	wait_for 10 connected 1 || die 'no reader'
	touch "$T/burst$((2 * i))"
	join "x04-$i" 20
	touch "$T/burst$((2 * i + 1))"
done
start x04-3 $PCAP read "$at" --count 100 --out "$T/x04-3.pcap"
join x04-3 20
touch "$T/burst6"
join five 20
for i in 0 1 2 3; do
	$PCAP list "$T/x04-$i.pcap"
done >"$T/x04.list" 2>/dev/null
$PCAP make 600 >"$T/600.pcap"
check 'X04 what one reader gets over four connections is one whole stream' \
	cmp "$T/x04.list" <($PCAP list "$T/600.pcap")
finish
