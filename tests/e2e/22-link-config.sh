#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A collector waits for its configuration and follows its changes.
. "${0%/*}/lib.sh"
. "${0%/*}/link.sh"

link_keys
fill src1 100
listen() { # NAME PORT
	start "$1" "$WEIR" agent listen -d "$T/spool" --key "$T/agent.key" \
		--peer "$collector_pub" --listen "127.0.0.1:$2"
	wait_for 5 listening "$2" || die "the agent does not listen"
}
config() { # PORT
	printf 'ip: 127.0.0.1\nnoise_port: %s\nnoise_pubkey: %s\n' "$1" \
		"$agent_pub" >"$T/config/vulnbox.yml.new"
	mv "$T/config/vulnbox.yml.new" "$T/config/vulnbox.yml"
}

mkdir "$T/config"
first=$(free_port)
listen first "$first"
start collector "$WEIR" collector -d "$T/mirror" --key "$T/collector.key" \
	--config-dir "$T/config" --listen ''
wait_for 5 logged collector 'vulnbox.yml is not there; waiting'
check 'I53 without its file a collector waits' running collector
sleep 2.2 # two more looks, which must stay silent
check_equal 'I53 and says so once' \
	"$(grep -c 'is not there' "$T/collector.err")" 1
config "$first"
wait_for 5 mirrored 100
check 'I53 when the file comes it connects' mirrored 100

second=$(free_port)
listen second "$second"
config "$second"
moved() {
	logged second 'is connected'
}
check 'I52 another address in the file is dialled within 5 s' \
	wait_for 5 moved
fill src1 50
check 'I52 and the mirror goes on' wait_for 5 mirrored 150
echo 'ip: [' >"$T/config/vulnbox.yml"
wait_for 5 logged collector 'vulnbox.yml, line'
check 'a broken file is told with its line' \
	logged collector 'vulnbox.yml, line'
fill src1 50
check 'and the last good one goes on' wait_for 5 mirrored 200

start lost "$WEIR" collector -d "$T/lost" --key "$T/collector.key" \
	--agent "127.0.0.1:$first"
join lost 5
check_equal '--agent without --agent-key is refused' "${status[lost]}" 2

wrong() { # NAME OPTION...
	"$WEIR" collector -d "$T/$1" --key "$T/collector.key" \
		"${@:2}" 2>"$T/$1.err" </dev/null
	[ $? -eq 2 ] && [ ! -e "$T/$1" ] && [ "$(wc -l <"$T/$1.err")" -eq 1 ]
}
check 'a wrong --agent-key is told before anything is opened' \
	wrong badkey --agent "127.0.0.1:$first" --agent-key nonsense \
	--listen 127.0.0.1:0
check 'so is an --agent without a port' \
	wrong noport --agent 127.0.0.1 --agent-key "$agent_pub" \
	--listen 127.0.0.1:0
check 'and a --listen that cannot be' \
	wrong badlisten --agent "127.0.0.1:$first" --agent-key "$agent_pub" \
	--listen '127.0.0.1:0,filter=prot 7'
finish
