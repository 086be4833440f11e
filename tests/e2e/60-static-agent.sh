#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# weir-agent is one static file that runs where there is nothing else.
. "${0%/*}/lib.sh"

agent=${WEIR_AGENT:-${WEIR%/*}/weir-agent}
[ -x "$agent" ] || skip_all "weir-agent is not built here (sanitizers)"
need ldd readelf

check_match 'I68 weir-agent is statically linked' 'static' \
	<(ldd "$agent" 2>&1)
check_equal 'I68 it asks for no loader' \
	"$(readelf -lW "$agent" | grep -c INTERP)" 0
check_equal 'I68 it needs no library' \
	"$(readelf -dW "$agent" | grep -c NEEDED)" 0

mkdir -p "$T/root"
cp "$agent" "$T/root/weir-agent"
size=$(stat -c %s "$agent")
check "I68 it has at most 8 MiB ($size bytes)" \
	test "$size" -le $((8 << 20))

for command in capture listen keygen recover version; do
	"$agent" help "$command" >"$T/help"
	check_match "I68 it has the command $command" \
		"^Usage: weir-agent $command" "$T/help"
	check_equal "and its help of it does not speak of another program" \
		"$(sed -n '/^Examples/,$p' "$T/help" | grep '^  weir ')" ''
done
"$agent" keygne >/dev/null 2>"$T/err"
check_equal 'a wrong word is wrong use' $? 2
check_match 'and the right one is named' 'weir-agent:.*keygen' "$T/err"

# An empty root: no loader, no library, no /etc, no /dev.
[ "$(id -u)" -eq 0 ] || {
	skip 'I68 it runs in an empty root' 'chroot needs root'
	finish
}
inside() {
	chroot "$T/root" /weir-agent "$@"
}
check 'I68 it runs in an empty root' inside version
check_equal 'I68 it tells the same version' \
	"$(inside version)" "$("$agent" version)"
inside keygen --out /agent.key >"$T/public" 2>/dev/null
check_equal 'I68 it makes a key in an empty root' $? 0
check_equal 'I68 which the other program reads' \
	"$("$WEIR" keygen --public "$T/root/agent.key")" "$(sed 's/^public key: //' "$T/public")"

# A capture file through a filter, which takes libpcap's compiler.
sample=${WEIR_BIN%/src/weir}/tools/sample.pcap
[ -f "$sample" ] || die "no sample capture"
cp "$sample" "$T/root/sample.pcap"
filter='tcp port 80 or udp'
records() { # SPOOL: what its segments hold, without their headers
	local f
	for f in "$1"/src1/*.pcap; do
		tail -c +25 "$f"
	done | sha256sum
}
check 'I68 it captures a file in an empty root' \
	inside capture --pcap-file /sample.pcap -d /spool -f "$filter"
check 'the other program captures the same file' \
	"$WEIR" agent capture --pcap-file "$sample" -d "$T/spool" -f "$filter"
check_equal 'I68 the spool holds the same records' \
	"$(records "$T/root/spool")" "$(records "$T/spool")"
check 'and not none' test "$(cat "$T"/spool/src1/*.pcap | wc -c)" -gt 10000
check 'I68 it looks a spool over in an empty root' inside recover -d /spool

# And hands them to a collector.
port=$(free_port)
"$WEIR" keygen --out "$T/c.key" >"$T/c.pub" 2>/dev/null
start agent chroot "$T/root" /weir-agent listen -d /spool --key /agent.key \
	--listen "127.0.0.1:$port" --peer "$(cut -d' ' -f3 "$T/c.pub")"
wait_for 10 listening "$port" || die "the agent does not listen"
start collector "$WEIR" collector --agent "127.0.0.1:$port" \
	--agent-key "$(cut -d' ' -f3 "$T/public")" --key "$T/c.key" \
	-d "$T/mirror" --listen ''
same() {
	[ "$(records "$T/mirror")" = "$(records "$T/spool")" ]
}
check 'I68 a collector mirrors what the agent serves from an empty root' \
	wait_for 30 same
check 'the agent ends when asked' stop agent
stop collector
finish
