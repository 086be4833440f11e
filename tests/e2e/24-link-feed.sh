#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Two sources over one link come out at two ports, each its own packets.
. "${0%/*}/lib.sh"
. "${0%/*}/link.sh"
need tcpdump socat

link_keys
fill src1 300
SPOOL_LINKTYPE=101 fill src5 120
port=$(free_port)
feed=$(free_port)
until [ -z "$(ss -Htan "sport = :$((feed + 1))")" ]; do feed=$(free_port); done
start agent "$WEIR" agent listen -d "$T/spool" --key "$T/agent.key" \
	--peer "$collector_pub" --listen "127.0.0.1:$port" \
	--src-id 1 --src-id 5
wait_for 5 listening "$port" || die "the agent does not listen"
start collector "$WEIR" collector -d "$T/mirror" --key "$T/collector.key" \
	--agent "127.0.0.1:$port" --agent-key "$agent_pub" \
	--src-id 1 --src-id 5 --src-name game --src-name tunnel \
	--listen "127.0.0.1:$feed,from=oldest,unit=ns"
wait_for 10 mirrored 300 "$T/mirror/game"
wait_for 10 mirrored 120 "$T/mirror/tunnel"
check 'I61 both sources are mirrored' mirrored 120 "$T/mirror/tunnel"

start read1 socat -u "TCP:127.0.0.1:$feed" "CREATE:$T/one.pcap"
start read2 socat -u "TCP:127.0.0.1:$((feed + 1))" "CREATE:$T/two.pcap"
packets_in() { # FILE
	tcpdump --count -nr "$1" 2>/dev/null | sed 's/ .*//'
}
holds() { # FILE COUNT
	[ "$(packets_in "$1")" = "$2" ]
}
wait_for 10 holds "$T/one.pcap" 300
check_equal 'I54 I61 the first port gives the first source' \
	"$(packets_in "$T/one.pcap")" 300
wait_for 10 holds "$T/two.pcap" 120
check_equal 'I61 the next port gives the second source' \
	"$(packets_in "$T/two.pcap")" 120
linktype() { # FILE
	od -An -tu4 -j20 -N4 "$1" | tr -d ' '
}
check_equal 'I61 with its own link type' \
	"$(linktype "$T/one.pcap") $(linktype "$T/two.pcap")" '1 101'
check 'I54 the records are those of the mirror' cmp \
	<(tail -c +25 "$T/one.pcap") \
	<(tail -c +25 "$T/mirror/game/$(printf %020d 0).pcap")
finish
