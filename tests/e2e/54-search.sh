#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# weir search: random queries against a slow second opinion, over stores that
# are finished and that still grow; its ways to end, its words and its JSON.
. "${0%/*}/lib.sh"
need jq python3

SAMPLE=$WEIR_SOURCE/build/tools/sample.pcap
[ -e "$SAMPLE" ] || SAMPLE=$(dirname "$WEIR_BIN")/../tools/sample.pcap
readonly SAMPLE REFERENCE="$WEIR_SOURCE/tests/e2e/search_reference.py"
readonly STORE="$WEIR_SOURCE/tests/e2e/store.py"
seed=${WEIR_TEST_SEED:-$RANDOM}
note "seed $seed (WEIR_TEST_SEED)"

search() { # OPTION... QUERY
	"$WEIR" search --store "$T/store" "$@" 2>>"$T/search.err"
}

status_of() { # COMMAND...
	"$@" >/dev/null
	echo $?
}

python3 "$WEIR_SOURCE/tests/e2e/traffic.py" "$T/traffic.pcap" "$seed" 300 60
"$WEIR" analyze "$T/traffic.pcap" "$SAMPLE" --store "$T/store" --no-events \
	--max-packets 20000 \
	--regex 'flag\{[a-z0-9]+\}' --pattern 'GET /' 2>"$T/analyze.err" ||
	die 'no store'

# -- the same as a slow reference ---------------------------------------------

check 'X08 200 random queries equal the slow reference' \
	python3 "$REFERENCE" "$WEIR" "$T/store" "$seed" 200

start agent "$WEIR" agent capture --pcap-file "$T/traffic.pcap" -d "$T/spool"
join agent 60 || die 'no spool'
start growing "$WEIR" analyze --spool "$T/spool/src1" --no-events \
	--store "$T/growing" --flow-idle-timeout-ms 100000000

# All is committed when two looks, a commit apart, see the same.
is_quiet() {
	local now
	now=$(python3 "$STORE" dump "$T/growing" 2>/dev/null | sha256sum)
	[ "$(python3 "$STORE" count "$T/growing" 'ended=0' 2>/dev/null)" -gt 0 ] &&
		[ "$now" = "${before-}" ] && return
	before=$now
	sleep 1.1
	return 1
}
check 'a store that grows has open streams' wait_for 60 is_quiet
check 'X08 50 random queries equal the reference while streams are open' \
	python3 "$REFERENCE" "$WEIR" "$T/growing" "$seed" 50
stop growing || not_ok 'analysis ends when asked'

if [ -d "${WEIR_SHARED-/nowhere}/corpus" ]; then
	find "$WEIR_SHARED/corpus" -name '*.pcap' -size -100k | sort |
		awk -v seed="$seed" 'BEGIN {srand(seed)} rand() < 0.15' |
		head -n 150 >"$T/files"
	xargs -a "$T/files" "$WEIR" analyze --store "$T/corpus" --no-events \
		2>"$T/corpus.err"
	check 'X08 50 random queries over shared captures equal the reference' \
		python3 "$REFERENCE" "$WEIR" "$T/corpus" "$seed" 50
else
	skip 'X08 random queries over shared captures' 'there are none'
fi

# -- results ---------------------------------------------------------------------

check_equal 'X08 --count prints the number alone' \
	"$(search --count 'sdata:/flag\{[a-z0-9]+\}/')" \
	"$(search --json 'sdata:/flag\{[a-z0-9]+\}/' | jq -s 'length - 1')"
search --json --matches 100 'data:/flag\{[a-z0-9]+\}/' >"$T/found.json"
check_equal 'X08 what live patterns found, a search finds: the same places' \
	"$(jq -r 'select(.found) | .stream_id as $id | .found[] |
		"\($id) \(.direction) \(.start) \(.end)"' "$T/found.json" | sort)" \
	"$(python3 -c 'import sqlite3, sys
for s, w, a, b in sqlite3.connect(sys.argv[1]).execute(
        "SELECT stream, way, start, end FROM matches WHERE pattern=?",
        ["regex:0"]):
    print("%016x" % (s % 2**64), "ab"[w], a, b)' "$T/store/store.db" | sort)"
check_equal 'X08 each match comes with its bytes' \
	"$(jq -r 'select(.found) | .found[].content | @base64d' \
		"$T/found.json" | grep -cvE '^flag\{[a-z0-9]+\}$')" 0
check_equal 'X08 newest first' \
	"$(jq 'select(.found) | .first_ns' "$T/found.json")" \
	"$(jq 'select(.found) | .first_ns' "$T/found.json" | sort -rn)"
check 'X08 the last line says what was searched, of how much' \
	jq -se 'last.searched | .end == "done" and .bytes > 0 and
		.bytes == .bytes_total and .streams == .streams_total' \
	"$T/found.json"
search 'cdata:"GET /" then sdata:200 limit:1' >"$T/text"
check_match 'X08 a match is shown with its place' '^  > 0\.\.5  GET /' "$T/text"
check_match 'X08 the end is told on standard error' \
	'^1 found; the limit was reached; searched ' "$T/search.err"

# -- ends -------------------------------------------------------------------------

check_equal 'X08 status 0 when something is found' \
	"$(status_of search 'data:GET')" 0
check_equal 'X08 status 1 when nothing is' \
	"$(status_of search 'data:"no such thing"')" 1
check_equal 'X08 status 2 for a wrong query' "$(status_of search prt:80)" 2
check_match 'X08 a wrong key is told with its place and the nearest' \
	'at character 1: there is no key prt; did you mean port\?' \
	"$T/search.err"
check_equal 'X08 status 2 without a store' \
	"$(status_of "$WEIR" search --store "$T/nowhere" 'port:80' \
		2>"$T/nowhere.err")" 2

# Backwards references are slow anywhere.
start slow "$WEIR" search --store "$T/store" --progress --count \
	'data:/(.+)(.+)(.+)\3\2\1QQ/ or data:/((\w)\2*)+\1!!/s'
check 'X08 --progress says how far it is' wait_for 30 logged slow \
	'^searched .* of .* streams; '
stop slow INT 5
check_equal 'X09 an interrupted search ends with status 130' \
	"${status[slow]}" 130
check_match 'X09 and says what was searched' \
	'found; stopped; searched .* of .* streams' "$T/slow.err"
check 'X08 --keys lists the keys' grep -q '^http.method' <("$WEIR" search --keys)

finish
