#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# weir analyze on the sample of a game: files, folders, pipes, workers, filters,
# damage, and what its events say.
. "${0%/*}/lib.sh"
need jq python3

SAMPLE=$WEIR_SOURCE/build/tools/sample.pcap
[ -e "$SAMPLE" ] || SAMPLE=$(dirname "$WEIR_BIN")/../tools/sample.pcap
PCAP="python3 $WEIR_SOURCE/tests/e2e/pcap.py"
readonly SAMPLE PCAP FLAG='flag\{[a-z0-9]+\}'
cp "$SAMPLE" "$T/day.pcap"

analyze() { # NAME OPTION...
	local name=$1
	shift
	"$WEIR" analyze -o "$T/$name.jsonl" "$@" 2>>"$T/$name.err"
}

# The events of each stream in their order, whatever the order of streams.
by_stream() { # FILE
	jq -cS 'select(.fields.stream_id) | del(.fields.content_shard)
		| del(.fields.source)' "$1" |
		python3 -c '
import json, sys
streams = {}
for line in sys.stdin:
    streams.setdefault(json.loads(line)["fields"]["stream_id"], []).append(line)
for key in sorted(streams):
    sys.stdout.writelines(streams[key])'
}

same_streams() { # NAME NAME
	cmp <(by_stream "$T/$1.jsonl") <(by_stream "$T/$2.jsonl")
}

count() { # NAME JQ-CONDITION
	jq -c "select($2)" "$T/$1.jsonl" | wc -l
}

# -- a file -------------------------------------------------------------------

check 'R01 the sample is analysed, status 0' \
	analyze one "$T/day.pcap" --workers 1 --regex "$FLAG"
check 'R01 every line is JSON' jq -e . "$T/one.jsonl"
packets=$($PCAP list "$T/day.pcap" | wc -l)
check_equal 'R28 all packets are counted' \
	"$(jq 'select(.event_type == "health") | .fields.packets' \
		"$T/one.jsonl" | tail -n 1)" "$packets"
check_equal 'R13 every stream that opens closes' \
	"$(count one '.event_type == "stream_open"')" \
	"$(count one '.event_type == "stream_close"')"
check_equal 'R07 no two streams have the same id' \
	"$(jq -r 'select(.event_type == "stream_open") | .fields.stream_id' \
		"$T/one.jsonl" | sort | uniq -d | wc -l)" 0
check_equal 'R16 HTTP of port 8080 is http by payload' \
	"$(count one '.event_type == "stream_close"
		and .fields.service.name == "http"
		and .fields.service.source != "port_and_payload"
		and .fields.stream_bytes > 0')" 0

# Flags go into the vault and out of it; grep sees as many as we do.
matches=$(count one '.event_type == "pattern_match"')
seen=$(grep -aoE "$FLAG" "$T/day.pcap" | wc -l)
check "R20 flags are found ($matches, $seen in the raw file)" \
	test "$matches" -gt $((seen * 9 / 10))
check_equal 'R20 each match is what the expression says' \
	"$(jq -r 'select(.event_type == "pattern_match") | .fields.match_text' \
		"$T/one.jsonl" | grep -cvE "^$FLAG\$")" 0
check_equal 'R20 a match is as long as its offsets say' \
	"$(count one '.event_type == "pattern_match" and
		(.fields.match_text | length) !=
		.fields.logical_end - .fields.logical_start')" 0

analyze roles "$T/day.pcap" --flag-in "$FLAG" --flag-out "$FLAG"
# A flag goes in on its way to a service, whose port is the known one.
check_equal 'flags that go in go towards a service' \
	"$(count roles '.fields.role == "flag_in" and
		.destination_port > .source_port')" 0
check 'flags go out as well' \
	test "$(count roles '.fields.role == "flag_out"')" -gt 10

check 'R29 HTTP requests have their targets' \
	test "$(count one '.event_type == "http1_request" and
		.fields.http.target != null')" -gt 100
check 'R30 DNS messages have their names' \
	test "$(count one '.event_type == "dns_query" and
		(.fields.dns.questions[0].name | length) > 1')" -gt 10
check 'R30 TLS hellos have their server names' \
	test "$(count one '.event_type == "tls_record" and
		.fields.tls.sni != null')" -gt 10

# -- workers, formats, sources ----------------------------------------------------

for workers in 2 8; do
	analyze "w$workers" "$T/day.pcap" --workers $workers --regex "$FLAG"
	check "R25 $workers workers tell the same of each stream" \
		same_streams one "w$workers"
done

gzip -c "$T/day.pcap" >"$T/day.pcap.gz"
analyze gz "$T/day.pcap.gz" --regex "$FLAG"
check 'a packed copy gives the same streams and ids' same_streams one gz

"$WEIR" analyze --source-id s "$T/day.pcap" -o "$T/named.jsonl" 2>/dev/null
"$WEIR" analyze --source-id s - -o - <"$T/day.pcap" >"$T/in.jsonl" 2>/dev/null
check 'R52 standard input gives the same as the file' same_streams named in

mkdir "$T/rotated"
python3 - "$T/day.pcap" "$T/rotated" <<'END'
import struct, sys
data = open(sys.argv[1], 'rb').read()
head, at, n, parts = data[:24], 24, 0, []
order = '<' if data[:4] in (b'\xd4\xc3\xb2\xa1', b'\x4d\x3c\xb2\xa1') else '>'
while at < len(data):
    size = 16 + struct.unpack(order + 'I', data[at + 8:at + 12])[0]
    if n % 9000 == 0:
        parts.append(bytearray(head))
    parts[-1] += data[at:at + size]
    at, n = at + size, n + 1
# Names that sort the wrong way round: time decides.
for i, part in enumerate(parts):
    open('%s/part-%d.pcap' % (sys.argv[2], 9 - i), 'wb').write(part)
END
echo 'no capture' >"$T/rotated/README"
analyze folder "$T/rotated"
check_equal 'a folder of rotated files is one conversation after the other' \
	"$(count folder '.event_type == "stream_open"')" \
	"$(count one '.event_type == "stream_open"')"
check_match 'what is no capture in it is passed by, and said' 'README' \
	"$T/folder.err"

# -- modes, filters, limits -----------------------------------------------------------

$PCAP make 50 >"$T/50.pcap"
analyze dump "$T/50.pcap" --mode dump
check_equal 'R04 dump mode gives one event a packet' \
	"$(count dump '.event_type == "raw_packet"')" 50
check_equal 'R04 their bytes are those of the packets' \
	"$(jq -r 'select(.event_type == "raw_packet")
		| .fields.data_base64' "$T/dump.jsonl" |
		while read -r line; do
			base64 -d <<<"$line" | sha256sum
		done | cut -c 1-64)" \
	"$(python3 - "$T/50.pcap" <<'END'
import hashlib, struct, sys
data, at = open(sys.argv[1], 'rb').read(), 24
while at < len(data):
    size = struct.unpack('<I', data[at + 8:at + 12])[0]
    print(hashlib.sha256(data[at + 16:at + 16 + size]).hexdigest())
    at += 16 + size
END
	)"

analyze udp "$T/day.pcap" --bpf 'udp port 53'
check_equal 'R02 an expression leaves everything else out' \
	"$(count udp '.event_type == "stream_open" and
		.fields.endpoint_a.port != 53 and
		.fields.endpoint_b.port != 53')" 0
check 'R02 and takes what it means' \
	test "$(count udp '.event_type == "stream_open"')" -gt 10
analyze limit "$T/day.pcap" --max-packets 100
check_equal 'R02 a limit of 100 packets is one' \
	"$(jq 'select(.event_type == "health") | .fields.packets' \
		"$T/limit.jsonl" | tail -n 1)" 100

# -- damage, and what is there --------------------------------------------------------

head -c 1000000 "$T/day.pcap" >"$T/cut.pcap"
check 'R47 a file that is cut off is analysed up to there, status 0' \
	analyze cut "$T/cut.pcap"
check_match 'R47 and that is said' 'cut.pcap' "$T/cut.err"
{ cat "$T/50.pcap"; head -c 100 /dev/urandom | tr '\0-\377' '\377'; } \
	>"$T/bad.pcap"
check 'R47 so is one with damage behind good packets' \
	analyze bad "$T/bad.pcap"
check_equal 'R47 with all packets before it' \
	"$(jq 'select(.event_type == "health") | .fields.packets' \
		"$T/bad.jsonl" | tail -n 1)" 50
echo 'hello, I am no capture at all, and long enough' >"$T/none.pcap"
"$WEIR" analyze "$T/none.pcap" -o "$T/none.jsonl" 2>"$T/none.err"
check_equal 'a file that is no capture is a failure' $? 1

before=$(sha256sum <"$T/one.jsonl")
analyze one "$T/50.pcap"
check_equal 'R46 a second run keeps the events of the first' \
	"$(sha256sum <"$T/one.jsonl.1")" "$before"
check_match 'R46 and says where' 'one.jsonl.1 now' "$T/one.err"
(cd "$T" && "$WEIR" analyze 50.pcap 2>/dev/null)
check 'without --output the events lie beside the file' \
	test -s "$T/50.pcap.jsonl"

# -- used wrongly -----------------------------------------------------------------------

usage() { # WORD OPTION...
	local word=$1
	shift
	"$WEIR" analyze "$@" >/dev/null 2>"$T/usage.err"
	[ $? -eq 2 ] && grep -q -- "$word" "$T/usage.err"
}

check 'R22 odd hex digits are refused' usage 'odd number' \
	"$T/50.pcap" --binary-pattern 'de a'
check 'a wrong expression is refused' usage 'regex' "$T/50.pcap" --regex '('
check 'no source is refused' usage 'no source'
check 'two kinds of source are refused' usage 'one kind' "$T/50.pcap" \
	--iface lo
check 'a wrong mode is refused' usage 'analyze or dump' "$T/50.pcap" \
	--mode both
"$WEIR" analyze "$T/50.pcap" -o "$T/x.jsonl" --max-tls-parser-states=5 \
	2>"$T/x.err"
check_equal 'a flag of rustmate for another part is accepted' $? 0
check_match 'and its lack of effect is said' 'parser-states has no effect' \
	"$T/x.err"
check 'R03 interfaces are listed with flags and addresses' \
	sh -c "'$WEIR' analyze --list-interfaces | grep -E '^lo .*loopback'"

finish
