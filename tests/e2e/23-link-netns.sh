#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Two machines, and what may happen to the cable between them.
. "${0%/*}/lib.sh"
. "${0%/*}/link.sh"
need root nft

ns_make vuln team
ns_cable vuln game 10.77.0.1 team eth0 10.77.0.2

link_keys
tool fill "$T/spool/src1" 1000 || die fill
start filling "$tool" fill "$T/spool/src1" 1000000 500
start agent @vuln "$WEIR" agent listen -d "$T/spool" --key "$T/agent.key" \
	--peer "$collector_pub" --listen :7878
wait_for 5 listening 7878 @vuln || die "the agent does not listen"
start collector @team "$WEIR" collector -d "$T/mirror" \
	--key "$T/collector.key" --agent 10.77.0.1:7878 \
	--agent-key "$agent_pub" --listen ''

head_of() { # SOURCE-DIR
	tool check "$1" | tail -n 1 | sed 's/.* next=\([0-9]*\) .*/\1/'
}
# Has the mirror got past what the spool holds now?
catches_up() {
	local want
	want=$(head_of "$T/spool/src1")
	wait_for "$1" past "$want"
}
past() {
	[ "$(head_of "$T/mirror/src1")" -ge "$1" ]
}
connects() {
	grep -c 'is connected' "$T/collector.err"
}

check 'the mirror follows' catches_up 10
check_match 'links has the addresses as they are on the wire' \
	'^10\.77\.0\.1 7878 10\.77\.0\.2 [0-9]+$' "$T/spool/links"

# The link goes down and comes back.
ns team ip link set eth0 down
sleep 4 # the outage
ns team ip link set eth0 up
begun=$(date +%s%N)
check 'the mirror goes on after an interface was down' catches_up 5
took=$((($(date +%s%N) - begun) / 1000000))
note "caught up ${took} ms after the interface was up"

# The path swallows everything.
ns vuln nft add table inet cut
ns vuln nft 'add chain inet cut in { type filter hook input priority 0; }'
ns vuln nft 'add chain inet cut out { type filter hook output priority 0; }'
before=$(connects)
ns vuln nft add rule inet cut in tcp dport 7878 drop
ns vuln nft add rule inet cut out tcp sport 7878 drop
sleep 8 # the outage
ns vuln nft delete table inet cut
begun=$(date +%s%N)
reconnected() {
	[ "$(connects)" -gt "$before" ]
}
wait_for 5 reconnected
took=$((($(date +%s%N) - begun) / 1000000))
note "reconnected $took ms after the path was back"
check 'I42 a path that swallowed everything: reconnected within 2 s' \
	test "$took" -lt 2000
check 'I42 and the mirror goes on' catches_up 5

# I41: the agent freezes.
before=$(connects)
kill -STOP "${pid[agent]}"
begun=$(date +%s)
wait_for 30 logged collector 'silent for 20 s'
took=$(($(date +%s) - begun))
note "the frozen agent was dropped after $took s"
check 'I41 a frozen agent is dropped after 20 to 25 s' \
	test "$took" -ge 19 -a "$took" -le 25
kill -CONT "${pid[agent]}"
check 'I41 and the mirror goes on' catches_up 10

stop filling
check 'after all of that the mirror has each packet once' \
	wait_for 10 mirrored "$(head_of "$T/spool/src1")"
check_equal 'in one spool, without a gap' \
	"$(tool sum "$T/mirror/src1")" "$(tool sum "$T/spool/src1")"
finish
