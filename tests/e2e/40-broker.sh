#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# weir broker as pcap-broker's users know it: a command or standard input, many
# readers, flags and environment, logs, and how it ends.
. "${0%/*}/lib.sh"
need python3 socat jq tcpdump tshark

PCAP="python3 $WEIR_SOURCE/tests/e2e/pcap.py"
readonly PCAP

# A command line that waits until the test says go.
when_told() { # NAME COMMAND
	echo "bash -c 'until [ -e $T/$1.go ]; do sleep 0.02; done; $2'"
}

go() { # NAME
	touch "$T/$1.go"
}

# Start a broker as NAME and wait until readers may connect; sets $at.
broker() { # NAME OPTION...
	local name=$1
	shift
	start "$name" "$WEIR" broker --listen 127.0.0.1:0 "$@"
	wait_for 10 logged "$name" 'readers may connect' ||
		die "the broker $name does not listen"
	address_of "$name"
}

address_of() { # NAME
	at=$(sed -n 's/.*readers may connect to \([^;]*\);.*/\1/p' \
		"$T/$1.err" | tail -n 1)
}

connected() { # N
	[ "$(ss -Htn state established "sport = :${at##*:}" | wc -l)" -ge "$1" ]
}

same_packets() { # FILE FILE
	cmp <($PCAP list "$1") <($PCAP list "$2")
}

$PCAP make 100 --ns >"$T/100.pcap"
$PCAP make 20000 --size 400 >"$T/20000.pcap"

# -- sources -----------------------------------------------------------------

broker b01 --cmd "$(when_told b01 "cat $T/100.pcap")"
start r01 $PCAP read "$at" --out "$T/b01.pcap"
wait_for 10 connected 1 || die 'no reader'
go b01
join r01
check_match 'B01 a command that writes 100 packets gives a reader 100' \
	'packets=100 .*whole=1' "$T/r01.out"
check 'B01 they are the same ones' same_packets "$T/100.pcap" "$T/b01.pcap"
join b01
check_equal 'B08 a command that ends well ends the broker well' \
	"${status[b01]}" 0

start b02 bash -c "{ until [ -e '$T/b02.go' ]; do sleep 0.02; done
	cat '$T/20000.pcap'; } | '$WEIR' broker --listen 127.0.0.1:0"
wait_for 10 logged b02 'readers may connect' || die 'no broker on a pipe'
address_of b02
start r02 $PCAP read "$at" --out "$T/b02.pcap"
wait_for 10 connected 1 || die 'no reader'
go b02
join r02
check 'B02 a pipe is a source too' same_packets "$T/20000.pcap" "$T/b02.pcap"
join b02
check_equal 'B02 and its end is a good end' "${status[b02]}" 0

editcap -F pcapng "$T/100.pcap" "$T/100.pcapng" 2>/dev/null ||
	tshark -r "$T/100.pcap" -F pcapng -w "$T/100.pcapng" 2>/dev/null
broker b02n --cmd "$(when_told b02n "cat $T/100.pcapng")"
start r02n $PCAP read "$at" --out "$T/b02n.pcap"
wait_for 10 connected 1 || die 'no reader'
go b02n
join r02n
check 'B02 pcapng is read as well' same_packets "$T/100.pcap" "$T/b02n.pcap"
join b02n

# -- flags and environment ----------------------------------------------------

one=$(free_port) two=$(free_port)
start b03 env "LISTEN_ADDRESS=127.0.0.1:$one" PCAP_COMMAND='sleep 60' \
	"$WEIR" broker --listen "127.0.0.1:$two"
check 'B03 a flag beats the environment' wait_for 10 listening "$two"
check 'B03 and takes its place' test -z "$(ss -Hltn "sport = :$one")"
stop b03
start b03e env "LISTEN_ADDRESS=127.0.0.1:$one" PCAP_COMMAND='sleep 60' \
	"$WEIR" broker
check 'B03 the environment alone counts' wait_for 10 listening "$one"
stop b03e
if may_network; then
	ns_make alone
	start b03d @alone "$WEIR" broker -cmd 'sleep 60'
	check 'B03 without either it is localhost:4242' \
		wait_for 10 listening 4242 @alone
	check 'B03 on loopback only' test -z "$(ns alone ss -Hltn \
		'sport = :4242' | grep -vE '127\.0\.0\.1:4242|\[::1\]:4242')"
	stop b03d
else
	skip 'B03 without either it is localhost:4242' 'needs root'
fi

# -- readers -----------------------------------------------------------------

broker b04 --cmd "$(when_told b04 "cat $T/20000.pcap")"
for i in $(seq 50); do
	start "r04-$i" socat -u "TCP:$at" "CREATE:$T/b04-$i.pcap"
done
wait_for 20 connected 50 || die 'fewer than 50 readers'
go b04
for i in $(seq 50); do
	join "r04-$i"
done
check_equal 'B04 50 readers get the same bytes' \
	"$(sha256sum "$T"/b04-*.pcap | cut -d' ' -f1 | sort | uniq -c |
		awk '{ print $1 }')" 50
check 'B04 and all of them' same_packets "$T/20000.pcap" "$T/b04-7.pcap"
join b04
rm -f "$T"/b04-*.pcap

$PCAP make 0 --link 101 --snaplen 2000 >"$T/head.pcap"
broker b05 --cmd "bash -c 'cat $T/head.pcap; sleep 60'"
good=0
for i in 1 2 3; do
	start "r05-$i" socat -u "TCP:$at" "CREATE:$T/got$i"
	wait_for 5 cmp -s "$T/got$i" "$T/head.pcap" && good=$((good + 1))
done
check_equal 'B05 24 bytes with the link type of the source come at once' \
	$good 3
stop b05

broker b06 --cmd 'sleep 60'
start r06 $PCAP read "$at"
check 'B06 it listens before its source has said anything' \
	wait_for 5 connected 1
stop b06
join r06
check_match 'I57 a reader that came before any link type got none' \
	'packets=0 .*link=-' "$T/r06.out"

# -- how it ends ---------------------------------------------------------------

broker b08 --cmd "$(when_told b08 "cat $T/20000.pcap; exit 3")"
start r08 $PCAP read "$at"
wait_for 10 connected 1 || die 'no reader'
go b08
join r08
check_match 'B08 all packets are delivered before it ends' \
	'packets=20000 .*whole=1' "$T/r08.out"
join b08
check_equal 'B08 a command that failed is a failure' "${status[b08]}" 1
check_match 'B08 told in one sentence' \
	'^weir broker: the command ended with status 3: ' "$T/b08.err"

start b08n "$WEIR" broker --listen 127.0.0.1:0 --cmd /nowhere/tcpdump
join b08n
check_equal 'B08 a command that is not there is a failure' "${status[b08n]}" 1
check_match 'B08 and named' 'cannot start "/nowhere/tcpdump": No such file' \
	"$T/b08n.err"

start b08g "$WEIR" broker --listen 127.0.0.1:0 --cmd 'echo hello there world'
join b08g
check_equal 'B08 output that is no capture is a failure' "${status[b08g]}" 1
check_match 'B08 with its place' "the command's output at byte 0: " \
	"$T/b08g.err"

start b09 "$WEIR" broker --listen 127.0.0.1:0 \
	--cmd "sh -c 'echo a word from inside >&2; exit 1'"
join b09
check_match 'B09 what the command says on its standard error is logged' \
	'command: a word from inside$' "$T/b09.err"

start b10 "$WEIR" broker --json --debug --listen 127.0.0.1:0 \
	--cmd "sh -c 'echo \"quoted\" >&2; cat $T/100.pcap'"
join b10
check 'B10 with --json each line is JSON' jq -e .level "$T/b10.err"
check_equal 'B10 --debug adds detail' \
	"$(jq -r 'select(.level == "debug") | .message' "$T/b10.err" |
		grep -c 'link type 1,')" 1

for signal in INT TERM; do
	b=b12$signal
	broker "$b" --cmd "bash -c 'cat $T/100.pcap; sleep 61 & wait'"
	start "r$b" $PCAP read "$at"
	wait_for 10 connected 1 || die 'no reader'
	inner=$(pgrep -P "$(pgrep -P "${pid[$b]}")")
	begun=$(date +%s%N)
	stop "$b" "$signal"
	took=$((($(date +%s%N) - begun) / 1000000))
	check_equal "B12 SIG$signal is a clean end" "${status[$b]}" 0
	check "B12 SIG$signal takes less than a second ($took ms)" \
		test "$took" -lt 1000
	check "B12 SIG$signal ends the command and what it started" \
		wait_for 5 test ! -e "/proc/$inner"
	join "r$b" 5
	check_equal "B12 SIG$signal closes the readers' sockets" \
		"${status[r$b]}" 0
	check "B12 SIG$signal closes the listening socket" \
		test -z "$(ss -Hltn "sport = :${at##*:}")"
done

# Also where another program has the port.
start b13port socat -u TCP-LISTEN:4242,bind=127.0.0.1 /dev/null
wait_for 5 listening 4242
"$WEIR" broker -cmd ' ' 2>"$T/b13.err" </dev/null
check_equal 'B13 a blank command is wrong use' $? 2
check_equal 'B13 in one sentence, before anything is opened' \
	"$(cut -d';' -f1 "$T/b13.err")" 'weir broker: the command is blank'
"$WEIR" broker -cmd 'tcpdump "-i' 2>"$T/b13q.err" </dev/null
check_equal 'B13 so is a quote that stays open' $? 2
stop b13port
"$WEIR" broker --cmd true --from TCP@127.0.0.1:1 2>"$T/b13s.err" </dev/null
check_equal 'two sources are wrong use' $? 2
"$WEIR" broker --from nowhere 2>"$T/b13f.err" </dev/null
check_equal 'a feed without a port is wrong use' $? 2
"$WEIR" broker --cmd true --listen 127.0.0.1:0 \
	--listen '127.0.0.1:0,filter=prot 7' 2>"$T/b13l.err" </dev/null
check_equal 'a filter that does not compile is wrong use' $? 2
check_equal 'and told before another listener is opened' \
	"$(wc -l <"$T/b13l.err")" 1
"$WEIR" broker --cmd true --listen 127.0.0.1:0,uint=ns 2>"$T/b13o.err" \
	</dev/null
check_equal 'an option of a listener that is not there is wrong use' $? 2
check_match 'and the nearest one is offered' 'did you mean unit' "$T/b13o.err"

# -- many readers that come and go --------------------------------------------

# In two threads, so that some are accepted while others hang up.
churn() {
	python3 - "$at" <<-'END'
		import socket, sys, threading
		host, port = sys.argv[1].rsplit(":", 1)
		def come_and_go():
		    for i in range(5000):
		        s = socket.create_connection((host, int(port)))
		        if i % 3 == 0:
		            s.recv(24)
		        s.close()
		both = [threading.Thread(target=come_and_go) for i in range(2)]
		for t in both:
		    t.start()
		for t in both:
		    t.join()
	END
}
number_of() { # LINE-BEGIN
	exec 3<>"/dev/tcp/127.0.0.1/$metrics"
	printf 'GET /metrics HTTP/1.0\r\n\r\n' >&3
	cat <&3 >"$T/metrics"
	exec 3<&-
	grep -v '^#' "$T/metrics" | grep -F -- "$1" | awk '{print $NF}'
}
number_is() { # LINE-BEGIN NUMBER
	[ "$(number_of "$1")" = "$2" ]
}
descriptors() { # NAME
	ls "/proc/${pid[$1]}/fd" | wc -l
}

metrics=$(free_port)
broker b14 --metrics-addr "$metrics" \
	--cmd "bash -c 'cat $T/100.pcap; until [ -e $T/b14.go ]; do
		sleep 0.05; done; tail -c +25 $T/20000.pcap; sleep 60'"
wait_for 10 number_is weir_broker_packets_total 100
check_equal 'the metrics tell what the source gave' \
	"$(number_of weir_broker_packets_total)" 100
before=$(descriptors b14)
check 'B14 ten thousand readers come and go' churn
check 'B14 all of them are counted' wait_for 20 number_is \
	"weir_feed_connections_total{listen=\"$at\"}" 10000
# Who hangs up may still be reading, as far as anybody can tell, until it is
# sent something or its place is needed.
clients=$(number_of weir_feed_clients)
check "B14 what is left of them ($clients) is within the limit" \
	test "$clients" -le 256
start r14 $PCAP read "$at" --count 20000
wait_for 10 logged b14 "client $(ss -Htn state established \
	"dport = :${at##*:}" | awk '{print $3; exit}') connected"
go b14
join r14
check_match 'B14 the next reader gets everything' \
	'packets=20000 .*whole=1' "$T/r14.out"
# But for this one, which has only said that it sends nothing more.
check 'B14 and with the next packets all the others are gone' \
	wait_for 20 number_is weir_feed_clients 1
after=$(descriptors b14)
check "B14 no descriptors are left behind ($before before, $after after)" \
	test "$after" -le $((before + 8))
stop b14

# -- units and lengths -----------------------------------------------------------

$PCAP make 50 --ns --size 70000 >"$T/long.pcap"
broker b15 --listen 127.0.0.1:0,unit=ns,max-caplen=262144 \
	--listen 127.0.0.1:0,unit=ns --cmd "$(when_told b15 "cat $T/long.pcap")"
wait_for 10 bash -c "[ \$(grep -c 'may connect' '$T/b15.err') -eq 3 ]"
mapfile -t all < <(sed -n 's/.*may connect to \([^;]*\);.*/\1/p' "$T/b15.err")
for i in 0 1 2; do
	at=${all[i]}
	start "r15-$i" $PCAP read "$at" --out "$T/b15-$i.pcap"
	wait_for 10 connected 1 || die 'no reader'
done
go b15
for i in 0 1 2; do
	join "r15-$i"
done
join b15
check_match 'B15 the default is microseconds and at most 65535 bytes' \
	'packets=50 .*snaplen=65535 unit=us whole=1' "$T/r15-0.out"
check_match 'B15 unit=ns keeps nanoseconds' \
	'packets=50 .*snaplen=65535 unit=ns whole=1' "$T/r15-2.out"
check 'B15 max-caplen keeps long records, byte for byte' \
	cmp "$T/long.pcap" "$T/b15-1.pcap"
check 'B15 tcpdump prints nine digits' bash -c \
	"tcpdump --time-stamp-precision=nano -nr '$T/b15-1.pcap' -tt -c 2 \
	2>/dev/null | grep -q '^1700000000\.001000003 '"

# -- readers in use ----------------------------------------------------------------

broker use --cmd "$(when_told use "cat $T/20000.pcap; sleep 60")"
start tshark tshark -i "TCP@$at" -c 20000 -w "$T/tshark.pcap"
start dump bash -c "socat -u TCP:$at - | tcpdump -nr - -w '$T/dump.pcap'"
wait_for 20 connected 2 || die 'tshark or tcpdump do not connect'
go use
join tshark 60
check_equal 'B01 tshark -i TCP@ reads them all' \
	"$(tshark -r "$T/tshark.pcap" 2>/dev/null | wc -l)" 20000
stop use
join dump
check 'B01 tcpdump reads them all from a socket' \
	same_packets "$T/20000.pcap" "$T/dump.pcap"

# -- another feed as the source ----------------------------------------------------

port=$(free_port)
start up1 "$WEIR" broker --listen "127.0.0.1:$port" \
	--cmd "$(when_told up1 "cat $T/100.pcap; sleep 0.3")"
wait_for 10 listening "$port" || die 'no first broker'
broker follow --from "TCP@127.0.0.1:$port"
start rf $PCAP read "$at" --count 200 --out "$T/follow.pcap"
wait_for 10 connected 1 || die 'no reader'
wait_for 10 logged follow 'connected to' || die 'does not follow'
go up1
join up1
start up2 "$WEIR" broker --listen "127.0.0.1:$port" \
	--cmd "$(when_told up2 "cat $T/100.pcap; sleep 60")"
wait_for 20 bash -c "[ \$(grep -c 'intake: connected to' '$T/follow.err') \
	-ge 2 ]"
go up2
join rf
check_match 'a feed is a source, dialled again when it ends' \
	'packets=200 ' "$T/rf.out"
stop follow
stop up2
finish
