#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# weir show --decoded and --converter on stored streams: what is undone, what
# is said of what cannot be, and that nobody is harmed.
. "${0%/*}/lib.sh"
need jq python3

python3 "$WEIR_SOURCE/tests/e2e/talks.py" >"$T/talks.pcap"
"$WEIR" analyze "$T/talks.pcap" --store "$T/store" -o "$T/events" \
	2>"$T/analyze.err" || die 'the capture is not analysed'

id_of() { # PORT
	"$WEIR" streams --store "$T/store" --json --limit 0 |
		jq -r "select((.a.endpoint + .b.endpoint) |
			test(\":$1(10|\$)\")) | .stream_id"
}

show() { # NAME PORT OPTION...
	local name=$1 port=$2
	shift 2
	"$WEIR" show "$(id_of "$port")" --store "$T/store" "$@" \
		>"$T/$name" 2>>"$T/$name.err"
}

# The n-th answer of the server, decoded.
answer() { # NAME N JQ
	jq -r "select(.summary | startswith(\"200\")) | $3" "$T/$1" |
		sed -n "$2p"
}

layers() { # NAME N
	answer "$1" "$2" '[.layers[] | .name + " " + .status] | join(", ")'
}

text() { # NAME N
	answer "$1" "$2" '.data | @base64d'
}

# -- HTTP ----------------------------------------------------------------------

check 'a stream is shown decoded' show http 40000 --decoded --json
check_equal 'X11 each request and answer is an item' \
	"$(jq -r .protocol "$T/http" | sort | uniq -c | tr -s ' ')" ' 14 http1'
check_equal 'R38 chunks and gzip are undone in their order' \
	"$(layers http 1)" 'chunked ok, gzip ok'
check_match 'R38 what was in them is there' 'flag\{gzip\}</html>$' \
	<(text http 1)
check_equal 'R38 brotli' "$(layers http 2) $(text http 2)" 'br ok a'
check_equal 'R38 zstd' "$(layers http 4) $(text http 4)" 'zstd ok a'
check_equal 'R38 a body that is not what its head says: noop, unchanged' \
	"$(layers http 5) $(text http 5)" 'gzip noop not packed at all'
check_equal 'R38 a torn one: failed at a byte, the beginning is kept' \
	"$(layers http 6) $(answer http 6 '.layers[0].at') $(text http 6 |
		cut -c 1-11)" 'gzip failed 80 <html>words'
check_equal 'R38 a coding that nobody undoes is named' \
	"$(answer http 7 '.unknown + " " + (.whole | tostring)')" \
	'compress false'
check_equal 'R38 bodies of requests, too' \
	"$(jq -r 'select(.summary == "POST /form") | .data | @base64d' \
		"$T/http")" 'user=%66lag%7bform%7d&x=a+b'

show more 40000 --layers auto,url --json
check_equal 'R38 url behind what the head says' \
	"$(jq -r 'select(.summary == "POST /form") | .data | @base64d' \
		"$T/more")" 'user=flag{form}&x=a b'
show json 40000 --layers 'auto|json-base64' --json
check_equal 'R38 base64 inside of JSON' "$(text json 3)" \
	'{"note":"flag{base64 inside}","by":"ada"}'
show given 40000 --layers chunked --json
check_equal 'R38 layers that were given stand in for the head' \
	"$(layers given 1)" 'chunked ok'
check_equal 'R38 then the rest is as it was packed' \
	"$(answer given 1 .data | base64 -d | gunzip | tail -c 17)" \
	'flag{gzip}</html>'

show text 40000 --decoded
check_match 'R38 for people: which layer, how much' \
	'^    gzip: [0-9]+ bytes into 4823$' "$T/text"
check_match 'R38 for people: why not' \
	'^    gzip: unchanged, it does not begin like gzip$' "$T/text"
check_match 'R38 for people: where it failed' \
	'^    gzip: failed at byte 80, it ends early; [0-9]+ bytes came out$' \
	"$T/text"
check_match 'R38 heads stand above the bodies' '^Content-Encoding: gzip$' \
	"$T/text"
show raw 40000 --decoded --raw --direction "$(jq -r \
	'select(.summary == "GET /json") | .direction' "$T/http" |
	tr ab ba)"
check_equal 'R38 raw: the bodies alone, one after the other' \
	"$(head -c 6 "$T/raw"; grep -aoE 'flag\{gzip\}</html>a\{"note"' \
		"$T/raw")" '<html>flag{gzip}</html>a{"note"'

# -- bounds ------------------------------------------------------------------------

show bomb 40001 --decoded --json
check_equal 'R38 a bomb of 100 MiB stops, which is said' \
	"$(layers bomb 1) $(answer bomb 1 .truncated_by_limit)" \
	'gzip stopped true'
check 'R38 and is not let grow over 16 MiB' \
	test "$(answer bomb 1 '.layers[0].output_bytes')" -le $((16 << 20))
show small 40000 --decoded --decoded-max 100 --json
check_equal 'R38 the cap can be set' \
	"$(answer small 1 '.layers[1].output_bytes') $(layers small 1)" \
	'100 chunked stopped, gzip stopped'
check 'a layer that is none is a sentence, status 2' \
	bash -c '"$0" show "$1" --store "$2" --layers gunzip 2>"$2.err"
		[ $? = 2 ] && grep -q "\"gunzip\" is no layer" "$2.err"' \
	"$WEIR" "$(id_of 40000)" "$T/store"

# -- WebSocket, streams without a protocol, holes ---------------------------------------

show ws 40002 --decoded --json
check_equal 'R38 WebSocket messages are inflated, the past kept' \
	"$(jq -r 'select(.protocol == "websocket") | .layers[0].name + " " +
		(.data | @base64d)' "$T/ws")" \
	"websocket, inflated flag{websocket} flag{websocket}
websocket, inflated flag{websocket} flag{websocket}
websocket plain text"
show alone 40003 --layers base64 --json
check_equal 'R38 a stream of no protocol: what each side said' \
	"$(jq -r '.data | @base64d' "$T/alone")" 'flag{alone}
thank you'
show alone 40003 --decoded --raw
check_equal 'a stream without layers is shown as it is' \
	"$(cat "$T/alone")" \
	"$(printf 'flag{alone}' | base64; printf 'thank you' | base64)"
show hole 40004 --decoded --json
check_equal 'R38 up to a hole in the wire everything is there' \
	"$(jq -r 'select(.layers[0].name == "chunked") |
		.layers[0].status + " " + .layers[0].note + " " +
		(.missing | tostring) + " " +
		(.data | @base64d | .[0:10])' "$T/hole")" \
	'failed bytes are missing on the wire 1400 0123456789'

# -- converters ----------------------------------------------------------------------------

UPPER=$WEIR_SOURCE/doc/converters/upper.py
show upper 40003 --converter "$UPPER"
check_match 'a converter answers' '^ZMXHZ3THBG9UZX0=$' "$T/upper"
check_match 'and says which bytes it took that from' \
	'converted, from bytes 0 to 17$' "$T/upper"
show upper 40003 --converter "python3 $UPPER" --json
check_equal 'as JSON' "$(jq -r '.data | @base64d' "$T/upper" | head -n 1)" \
	'ZMXHZ3THBG9UZX0='

fails() { # NAME COMMAND REGEX
	! show "$1" 40003 --converter "$2" --converter-time 500ms &&
		grep -qE -- "$3" "$T/$1.err"
}
check 'a converter that crashes: its last words' \
	fails crash "sh -c 'echo out of luck >&2; exit 3'" \
	'crashed: .*status 3.*last words: out of luck$'
check 'one that hangs: its time' fails hang 'sleep 1000' \
	'hung: its time was over'
check 'one that writes what is no answer' fails yes yes \
	'nonsense: it wrote a line that is no JSON object'
check 'one that is not there' fails none /no/such/converter 'cannot start'
check 'decoding and converting exclude each other' \
	bash -c '"$0" show 1 --converter cat --decoded 2>/dev/null; [ $? = 2 ]' \
	"$WEIR"

finish
