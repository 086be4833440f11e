#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# 50,000 packets over wires that are cut again and again arrive exactly once,
# while the spool grows: in Weir's protocol, and with either end as ipcap.
. "${0%/*}/lib.sh"
. "${0%/*}/link.sh"

link_keys
# Small batches: one must get through between two cuts.
export SPOOL_BATCH=16384
start filling "$tool" fill "$T/spool/src1" 50000 3000

transfer() { # NAME CUTS AGENT-OPTION COLLECTOR-OPTION
	local port cut
	port=$(free_port)
	cut=$(free_port)
	# shellcheck disable=SC2086
	start "agent-$1" "$WEIR" agent listen -d "$T/spool" \
		--key "$T/agent.key" --peer "$collector_pub" \
		--listen "127.0.0.1:$port" $3
	wait_for 5 listening "$port" || die "the agent does not listen"
	start "cut-$1" "$tcpcut" "$cut" "$port" "$2" "$RANDOM" 1000 50000
	wait_for 5 listening "$cut" || die "the proxy does not listen"
	# shellcheck disable=SC2086
	start "collector-$1" "$WEIR" collector -d "$T/mirror-$1" \
		--key "$T/collector.key" --agent "127.0.0.1:$cut" \
		--agent-key "$agent_pub" --listen '' $4
}

judge() { # NAME CUTS
	wait_for 120 mirrored 50000 "$T/mirror-$1/src1"
	check "I43 X06 $1: 50,000 packets arrive over $2 cuts" \
		mirrored 50000 "$T/mirror-$1/src1"
	check_equal "I43 X06 $1: each exactly once, in one spool" \
		"$(tool sum "$T/mirror-$1/src1" | sed 's/.*sha256=//')" "$sum"
	check "I43 X06 $1: all the cuts were made" \
		wait_for 60 grep -q 'cuts done' "$T/cut-$1.out"
}

transfer weir 100 '' ''
transfer ipcap-agent 20 --only-ipcap ''
transfer ipcap-collector 20 '' --only-ipcap
join filling 60
sum=$(tool sum "$T/spool/src1" | sed 's/.*sha256=//')
judge weir 100
judge ipcap-agent 20
judge ipcap-collector 20
check_match 'X06 Weir ends spoke Weir' 'speaks weir' "$T/collector-weir.err"
check_match 'X06 the others spoke ipcap' 'speaks ipcap' \
	"$T/collector-ipcap-agent.err"
finish
