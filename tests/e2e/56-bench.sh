#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# weir bench: its loads, its report, and a status that says when it has become
# slower.  Small loads: this is no measurement.
. "${0%/*}/lib.sh"
need jq

small=(--flows 200 --messages-per-flow 4 --runs 1 --warmups 0)

"$WEIR" bench "${small[@]}" --workers 1,2 -o "$T/report.json" 2>"$T/err"
check_equal 'R48 it ends well' $? 0
check_equal 'R48 six loads, two numbers of workers' \
	"$(jq '.results | length' "$T/report.json")" 12
check_equal 'R49 decode and pipeline: each load is followed whole' \
	"$(jq -c '[.results[] | select(.workers == 1) | [.load, .streams]]' \
		"$T/report.json")" \
	'[["http-requests",200],["out-of-order-http",200],["http-keep-alive",4],["mixed-services",200],["udp-elephant",1],["tcp-elephant",1]]'
check_equal 'R25 any number of workers counts the same' \
	"$(jq '[.results[] | select(.workers == 1) | .packets, .bytes, .streams]
		== [.results[] | select(.workers == 2) | .packets, .bytes,
			.streams]' "$T/report.json")" true

# -- a baseline ------------------------------------------------------------------

faster() { # FACTOR
	jq -r --argjson f "$1" '.results[]
		| .packets_per_sec = (.packets_per_sec * $f | floor)
		| tojson' "$T/report.json"
}
faster 1000 >"$T/fast.json"
faster 0.001 >"$T/slow.json"
"$WEIR" bench "${small[@]}" --workers 1 --baseline "$T/fast.json" \
	>"$T/slower.json" 2>"$T/slower.err"
check_equal 'R48 slower than the baseline is a status of 1' $? 1
check_match 'and a sentence' '6 of 6 results are more than 10 % slower' \
	"$T/slower.err"
check_equal 'and marked' "$(jq .regressions "$T/slower.json")" 6
"$WEIR" bench "${small[@]}" --workers 1 --baseline "$T/fast.json" \
	--no-fail-on-regression >/dev/null 2>&1
check_equal 'R48 unless that is not wanted' $? 0
"$WEIR" bench "${small[@]}" --workers 1 --baseline "$T/slow.json" \
	--format jsonl >"$T/faster.jsonl" 2>&1
check_equal 'R48 faster is well' $? 0
check_equal 'a line a result' "$(wc -l <"$T/faster.jsonl")" 6

# -- a capture -------------------------------------------------------------------

sample=${WEIR_BIN%/src/weir}/tools/sample.pcap
"$WEIR" bench --runs 1 --warmups 0 --workers 1 --patterns 100 "$sample" \
	>"$T/sample.json" 2>&1
check_equal 'R48 a capture is a load, too' \
	"$(jq '.results[0].packets' "$T/sample.json")" \
	"$(python3 "$WEIR_SOURCE/tests/e2e/pcap.py" list "$sample" | wc -l)"
"$WEIR" bench --fixture nonsense 2>"$T/nonsense"
check_equal 'a load that is none is a wrong use' $? 2
check_match 'and the right names are told' 'there are http-requests' \
	"$T/nonsense"
"$WEIR" bench "${small[@]}" --baseline "$sample" 2>"$T/none"
check_match 'a baseline that is none is told' 'no report of weir bench' \
	"$T/none"

finish
