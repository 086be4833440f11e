#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# weir analyze on sources that go on: a feed, sensors that push, a spool that
# grows, an interface; health and metrics meanwhile.
. "${0%/*}/lib.sh"
need jq python3 socat

SAMPLE=$WEIR_SOURCE/build/tools/sample.pcap
[ -e "$SAMPLE" ] || SAMPLE=$(dirname "$WEIR_BIN")/../tools/sample.pcap
readonly SAMPLE
packets=$(python3 "$WEIR_SOURCE/tests/e2e/pcap.py" list "$SAMPLE" | wc -l)

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

# Has the health of a run told of so many packets?
has_packets() { # NAME N
	[ "$(jq -s 'map(select(.event_type == "health") | .fields.packets) |
		max // 0' "$T/$1.jsonl")" -ge "$2" ]
}

live() { # NAME OPTION...
	local name=$1
	shift
	start "$name" "$WEIR" analyze -o "$T/$name.jsonl" \
		--health-interval-ms 100 --source-id s "$@"
}

"$WEIR" analyze --source-id s "$SAMPLE" -o "$T/file.jsonl" 2>/dev/null

# -- a spool ------------------------------------------------------------------

"$WEIR" agent capture --pcap-file "$SAMPLE" -d "$T/spool" 2>/dev/null ||
	die 'no spool'
live spool --spool "$T/spool/src1" --workers 2
wait_for 20 has_packets spool "$packets" ||
	not_ok 'a spool is read to its head'
stop spool INT
check_equal 'R02 Ctrl-C ends it well' "${status[spool]}" 0
check 'R25 a spool analysed is the file analysed' same_streams file spool

"$WEIR" analyze --spool "$T/spool/src1" --no-follow -o "$T/own1.jsonl" \
	2>/dev/null
"$WEIR" analyze --spool "$T/spool/src1" --no-follow -o "$T/own2.jsonl" \
	--workers 1 2>/dev/null
check 'R07 a spool gives the same ids each time' same_streams own1 own2

# -- a feed ---------------------------------------------------------------------

start broker "$WEIR" broker --read-spool "$T/spool/src1" \
	--listen 127.0.0.1:0,from=oldest,unit=ns,max-caplen=262144
wait_for 10 logged broker 'readers may connect' || die 'no broker'
at=$(sed -n 's/.*readers may connect to \([^;]*\);.*/\1/p' "$T/broker.err")
live feed --from "TCP@$at"
wait_for 20 has_packets feed "$packets" || not_ok 'a feed is read'
stop feed INT
check 'R52 a feed analysed is the file analysed' same_streams file feed

# -- sensors ----------------------------------------------------------------------

live sensors --listen-feed 127.0.0.1:0 --metrics-addr 127.0.0.1:0
wait_for 10 logged sensors 'sensors may push' || die 'nobody listens'
at=$(sed -n 's/.*sensors may push to //p' "$T/sensors.err")
port=$(sed -n 's/.*metrics are served at port //p' "$T/sensors.err")
socat -u "FILE:$SAMPLE" "TCP:$at"
wait_for 20 has_packets sensors "$packets" || not_ok 'a sensor is heard'
socat - "TCP:127.0.0.1:$port" >"$T/metrics" <<END
GET /metrics HTTP/1.0

END
check_equal 'R50 metrics say what health says' \
	"$(awk '$1 == "weir_analyze_packets_total" { print $2 }' \
		"$T/metrics" | tr -d '\r')" "$packets"
echo 'this is no capture, whatever it says about itself' |
	socat -u - "TCP:$at"
wait_for 10 logged sensors 'is no capture' ||
	not_ok 'a sensor that sends rubbish is sent away'
check 'and the others go on' running sensors
stop sensors INT
check 'R52 what a sensor pushed is the file' same_streams file sensors

# -- an interface ---------------------------------------------------------------------

if may_network; then
	ns_make a b
	ns_cable a left 10.9.0.1 b right 10.9.0.2
	start live @a "$WEIR" analyze --iface left --max-packets 100 \
		--bpf 'udp port 4444' --pattern hello -o "$T/live.jsonl"
	wait_for 10 logged live 'listening to left' || die 'no capture'
	ns b python3 - <<'END'
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(150):
    s.sendto(b'hello %d' % i, ('10.9.0.1', 4444))
END
	check 'R02 a limit of 100 packets ends a live capture' join live 20
	check_equal 'R02 after exactly 100' \
		"$(jq -s 'map(select(.event_type == "health"))[-1]
			| .fields.packets' "$T/live.jsonl")" 100
	check_equal 'each of them is searched' \
		"$(jq -c 'select(.event_type == "pattern_match")' \
			"$T/live.jsonl" | wc -l)" 100
	check_equal 'and they are one stream, complete' \
		"$(jq -c 'select(.event_type == "stream_close" and
			.protocol == "udp") | .fields.packets' \
			"$T/live.jsonl")" 100
	# It goes down, goes away, and comes back as another one.
	say() { # TEXT
		ns b python3 - "$1" <<'END'
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.sendto(sys.argv[1].encode(), ('10.9.0.1', 4444))
END
	}
	found() { # TEXT
		grep -q "$(printf '%s' "$1" | base64)" "$T/flap.jsonl"
	}
	say_until_found() { # TEXT: a carrier takes a moment
		say "$1"
		found "$1"
	}
	start flap @a "$WEIR" analyze --iface left --bpf 'udp port 4444' \
		--regex 'hello [a-z]+' -o "$T/flap.jsonl"
	wait_for 10 logged flap 'listening to left' || die 'no capture'
	check 'X03 before' wait_for 10 say_until_found "hello first"
	ns a ip link set left down
	check 'X03 an interface that goes down is told' \
		wait_for 10 logged flap 'left is down'
	ns a ip link set left up
	check 'and comes back' wait_for 10 logged flap 'listening to left again'
	check 'X03 packets go on' wait_for 10 say_until_found 'hello second'
	ns a ip link del left
	wait_for 10 bash -c "[ \$(grep -c 'is down' '$T/flap.err') -ge 2 ]" ||
		not_ok 'one that goes away is told'
	ns_cable a left 10.9.0.1 b right 10.9.0.2
	check 'X03 another one of its name is listened to' \
		wait_for 10 say_until_found 'hello third'
	stop flap INT
	check_equal 'it ends well' "${status[flap]}" 0
	check_equal 'X03 each time there is a hole' \
		"$(jq -c 'select(.event_type == "source_gap" and
			.fields.reason == "interface")' "$T/flap.jsonl" |
			wc -l)" 2
else
	skip 'R02 an interface' 'needs root'
fi

finish
