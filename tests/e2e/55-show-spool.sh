#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Payload that had to make room in a store comes back from the spool: the same
# bytes, the same turns, the same holes.
. "${0%/*}/lib.sh"
need python3 jq
export TMPDIR=$T

python3 "$WEIR_SOURCE/tests/e2e/traffic.py" "$T/traffic.pcap" \
	"${WEIR_TEST_SEED:-3}" 800 60
"$WEIR" agent capture --pcap-file "$T/traffic.pcap" -d "$T/spool" \
	2>/dev/null || die 'no spool'

analyze() { # STORE OPTION...
	local store=$1
	shift
	"$WEIR" analyze --spool "$T/spool/src1" --no-follow --no-events \
		--store "$T/$store" "$@" 2>>"$T/analyze.err"
}

analyze whole
analyze small --max-stream-content-bytes 2MiB
"$WEIR" streams --store "$T/small" --limit 0 --json |
	jq -r 'select(.evicted) | .stream_id' >"$T/evicted"
check 'many streams had to make room' test "$(wc -l <"$T/evicted")" -ge 200

wrong=0 seen=0
for id in $(shuf -n 60 --random-source="$T/traffic.pcap" "$T/evicted"); do
	"$WEIR" show --store "$T/whole" --json "$id" >"$T/want" 2>&1
	"$WEIR" show --store "$T/small" --json "$id" >"$T/got" 2>&1
	cmp -s "$T/want" "$T/got" || {
		wrong=$((wrong + 1))
		note "$id: $(diff "$T/want" "$T/got" | head -n 4 | cut -c1-200)"
	}
	[ ! -s "$T/got" ] || seen=$((seen + 1))
done
check 'they said something' test "$seen" -ge 50
check_equal 'X21 evicted streams read as if they were there' "$wrong" 0

# -- one stream as a capture -----------------------------------------------------

wrong=0 several=0
for id in $(shuf -n 25 --random-source="$T/traffic.pcap" "$T/evicted"); do
	rm -rf "$T/one"
	"$WEIR" show --store "$T/small" --pcap "$T/one.pcap" "$id" || wrong=$((wrong + 1))
	"$WEIR" analyze "$T/one.pcap" --store "$T/one" --no-events 2>/dev/null
	again=$("$WEIR" streams --store "$T/one" --json | jq -r .stream_id)
	[ "$(wc -l <<<"$again")" = 1 ] || several=$((several + 1))
	cmp -s <("$WEIR" show --store "$T/whole" --raw "$id") \
		<("$WEIR" show --store "$T/one" --raw "${again%%$'\n'*}") ||
		wrong=$((wrong + 1))
done
check_equal 'R51 an exported stream reads as the stream' "$wrong" 0
check_equal 'R51 and is one' "$several" 0

# -- the packets go, too ---------------------------------------------------------

id=$(head -n 1 "$T/evicted")
"$WEIR" show --store "$T/whole" --raw "$id" >"$T/want"
mv "$T/spool" "$T/moved"
"$WEIR" show --store "$T/small" --raw --spool "$T/moved/src1" "$id" >"$T/got"
check 'a spool that lies elsewhere can be named' cmp "$T/want" "$T/got"
"$WEIR" show --store "$T/small" "$id" >"$T/holes" 2>"$T/why"
check_match 'without one the hole is shown' 'bytes missing: evicted' "$T/holes"
check_equal 'no folder is left behind' \
	"$(find "$T" -maxdepth 1 -name 'weir-stream-*' | wc -l)" 0

finish
