#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A spool crosses the link into a mirror, whatever is killed, moved or wrong.
. "${0%/*}/lib.sh"
. "${0%/*}/link.sh"

link_keys

# -- who may connect -----------------------------------------------------

"$WEIR" agent listen -d "$T/spool" --key "$T/agent.key" \
	--listen 127.0.0.1:0 2>"$T/no-peer.err"
check_equal 'I29 an agent without --peer does not start' $? 2
check_match 'I29 and says what is missing' 'no --peer is given' \
	"$T/no-peer.err"

port=$(free_port)
fill src1 1000
start agent "$WEIR" agent listen -d "$T/spool" --key "$T/agent.key" \
	--peer "$collector_pub" --listen "127.0.0.1:$port"
wait_for 5 listening "$port" || die "the agent does not listen"

"$WEIR" keygen --out "$T/other.key" >"$T/other.out" 2>/dev/null
start stranger "$WEIR" collector -d "$T/stranger" --key "$T/other.key" \
	--agent "127.0.0.1:$port" --agent-key "$agent_pub" --listen ''
wait_for 5 logged agent 'not on the list'
check 'I28 a collector that is not listed is refused' \
	logged agent 'not on the list of collectors'
stop stranger

start misled "$WEIR" collector -d "$T/misled" --key "$T/collector.key" \
	--agent "127.0.0.1:$port" --listen '' \
	--agent-key "$(sed 's/.* //' "$T/other.out")"
wait_for 5 logged misled 'in the handshake'
check 'I28 an agent with another key than the pinned one is refused' \
	logged misled 'hung up in the handshake'
stop misled
check 'I28 neither of them has a mirror' \
	test ! -e "$T/stranger/src1" -a ! -e "$T/misled/src1"

# -- a mirror ------------------------------------------------------------

metrics=$(free_port)
collect() { # MORE-OPTIONS...
	start collector "$WEIR" collector -d "$T/mirror" \
		--key "$T/collector.key" --agent "127.0.0.1:$port" \
		--agent-key "$agent_pub" --listen '' "$@"
}
collect --metrics-addr "127.0.0.1:$metrics"
wait_for 10 mirrored 1000
check 'X06 a spool of 1000 packets is mirrored' mirrored 1000
check_equal 'X06 the mirror holds the records of the spool' \
	"$(tool sum "$T/mirror/src1")" "$(tool sum "$T/spool/src1")"

start again "$WEIR" collector -d "$T/mirror" --key "$T/collector.key" \
	--agent "127.0.0.1:$port" --agent-key "$agent_pub" --listen ''
join again 10
check_equal 'I49 a second collector on a mirror exits' "${status[again]}" 1
check_match 'I49 and says who has it' 'another collector writes to' \
	"$T/again.err"

fill src1 500
wait_for 10 mirrored 1500
check 'packets that come later follow' mirrored 1500
check_equal 'links names the live connection' "$(wc -l <"$T/spool/links")" 1
check_match 'links has addresses and ports' \
	"^127.0.0.1 $port 127.0.0.1 [0-9]+$" "$T/spool/links"

# -- I39, I59: numbers ---------------------------------------------------

scrape() {
	exec 3<>"/dev/tcp/127.0.0.1/$metrics"
	printf 'GET /metrics HTTP/1.0\r\n\r\n' >&3
	cat <&3 >"$T/metrics"
	exec 3<&-
}
has_number() { # LINE
	scrape && grep -qF -- "$1" "$T/metrics"
}
wait_for 5 has_number 'ipcap_collector_committed_gpidx{src="src1"} 1500'
check 'I59 the commit point is shown' has_number \
	'ipcap_collector_committed_gpidx{src="src1"} 1500'
for name in lag_gpidx committed_bytes_total gaps_total reconnects_total \
	corrupt_frames_total; do
	check_match "I59 ipcap_collector_$name is shown" \
		"^ipcap_collector_$name\{" "$T/metrics"
done
for name in captured_total kernel_drops_total ifdrops_total spool_bytes; do
	check_match "I59 ipcap_agent_$name is shown" \
		"^ipcap_agent_$name\{" "$T/metrics"
done
check_match 'I59 a count is typed counter' \
	'^# TYPE ipcap_agent_captured_total counter' "$T/metrics"

# -- I42: the agent dies -------------------------------------------------

listen() {
	start agent "$WEIR" agent listen -d "$T/spool" --key "$T/agent.key" \
		--peer "$collector_pub" --listen "127.0.0.1:$port"
	wait_for 5 listening "$port" || die "the agent does not listen"
}
n=1500
for i in 1 2 3 4 5 6 7 8 9 10; do
	stop agent KILL
	fill src1 100
	n=$((n + 100))
	listen
done
wait_for 20 mirrored $n
check 'I42 after ten deaths of the agent everything is there' mirrored $n
check_equal 'I42 once' "$(tool sum "$T/mirror/src1")" \
	"$(tool sum "$T/spool/src1")"

# -- I44: the collector dies ---------------------------------------------

# WEIR_TEST_KILLS=200 takes a minute more.  The spool grows until the last kill,
# however long that takes here.
kills=${WEIR_TEST_KILLS:-50}
start filling "$tool" fill "$T/spool/src1" 10000000 4000
killed=0
while [ $killed -lt "$kills" ]; do
	sleep 0.0$((RANDOM % 10))$((RANDOM % 10))
	stop collector KILL
	tool check "$T/mirror/src1" >"$T/prefix" ||
		not_ok "I44 after kill $killed the mirror is a prefix" \
			"$(cat "$T/prefix")"
	killed=$((killed + 1))
	collect
done
check 'I44 all the while the spool grew' running filling
stop filling
n=$(tool head "$T/spool/src1")
wait_for 30 mirrored $n
check "I44 after $killed kills of the collector everything is there" \
	mirrored $n
check_equal 'I44 once' "$(tool sum "$T/mirror/src1")" \
	"$(tool sum "$T/spool/src1")"

# -- I40, I50: retention overtakes ---------------------------------------

stop collector
SPOOL_KEEP=300000 SPOOL_SEGMENT=65536 fill src1 5000
oldest=$(tool check "$T/spool/src1" | sed -n 's/.* first=\([0-9]*\) .*/\1/p')
collect
end=$((n + 5000))
wait_for 10 mirrored $end
check_equal 'I40 one gap with its exact range' \
	"$(tool check "$T/mirror/src1" | grep ^gap)" "gap [$n, $oldest)"
check_match 'I40 it is logged' "packets \[$n, $oldest\) are lost" \
	"$T/collector.err"
check 'I50 a file begins behind the gap' \
	test -s "$T/mirror/src1/$(printf %020d "$oldest").pcap"

# -- X05: a chain --------------------------------------------------------

port2=$(free_port)
start agent2 "$WEIR" agent listen -d "$T/mirror" --key "$T/agent.key" \
	--peer "$collector_pub" --listen "127.0.0.1:$port2"
wait_for 5 listening "$port2"
start collector2 "$WEIR" collector -d "$T/mirror2" \
	--key "$T/collector.key" --agent "127.0.0.1:$port2" \
	--agent-key "$agent_pub" --listen ''
mirror2() {
	[ "$(tool sum "$T/mirror2/src1")" = "$(tool sum "$T/mirror/src1")" ]
}
wait_for 10 mirror2
check 'X05 a mirror of a mirror has its packets, gaps and origin' mirror2

# -- I47, I48: the spool is wiped ----------------------------------------

stop agent
rm -rf "$T/spool/src1"
fill src1 700
listen
wiped() {
	tool check "$T/mirror/src1" |
		grep -q 'first=0 next=700 packets=700 gaps=0'
}
wait_for 10 wiped
check 'I47 a wiped spool: all of the new one arrives' wiped
check 'I47 and nothing of the old mirror is touched' \
	test "$(tool check "$T/mirror/src1" | grep -c "next=$end ")" -eq 1
rm -f "$T/spool/src1/"*.pcap "$T/spool/src1/"*.idx
fill src1 250
segments_gone() {
	tool check "$T/mirror/src1" |
		grep -q 'first=0 next=250 packets=250 gaps=0'
}
wait_for 10 segments_gone
check 'I48 segments removed, id kept: all fresh packets arrive' segments_gone
check_equal 'I47 I48 three spools in the mirror' \
	"$(tool check "$T/mirror/src1" | grep -c origin=)" 3

finish
