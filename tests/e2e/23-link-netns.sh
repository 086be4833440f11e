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

# Has the mirror got past what the spool holds now?
catches_up() { # SECONDS
	tool await "$T/mirror/src1" "$(tool head "$T/spool/src1")" "$1"
}
connects() {
	grep -c 'is connected' "$T/collector.err"
}

# How long after the link is back until the mirror has what the spool held
# then; the line is what bench/run shows.
resumes() { # WHAT
	local begun took
	begun=$(date +%s%N)
	catches_up 10
	took=$((($(date +%s%N) - begun) / 1000000))
	note "resumed $took ms after $1"
	# How soon is bench/run's to measure.  The kernel may look for the
	# neighbour once a second only, and nobody gets through meanwhile.
	check "I42 $1: the mirror goes on within two seconds" \
		test "$took" -lt 2000
}

check 'the mirror follows' catches_up 10
check_match 'links has the addresses as they are on the wire' \
	'^10\.77\.0\.1 7878 10\.77\.0\.2 [0-9]+$' "$T/spool/links"

# The link goes down and comes back.
for outage in 1 4; do
	ns team ip link set eth0 down
	sleep $outage
	ns team ip link set eth0 up
	resumes "an interface was down for $outage s"
	sleep 0.$((RANDOM % 9))
done

# The path swallows everything.
ns vuln nft add table inet cut
ns vuln nft 'add chain inet cut in { type filter hook input priority 0; }'
ns vuln nft 'add chain inet cut out { type filter hook output priority 0; }'
for outage in 0.7 2.5 8; do
	ns vuln nft -f - <<-END
		add rule inet cut in tcp dport 7878 drop
		add rule inet cut out tcp sport 7878 drop
	END
	sleep $outage
	ns vuln nft flush table inet cut
	resumes "a path swallowed everything for $outage s"
	sleep 0.$((RANDOM % 9))
done
ns vuln nft delete table inet cut

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
	wait_for 10 mirrored "$(tool head "$T/spool/src1")"
check_equal 'in one spool, without a gap' \
	"$(tool sum "$T/mirror/src1")" "$(tool sum "$T/spool/src1")"
finish
