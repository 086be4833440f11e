#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Traffic that wants to be too much: memory and disk stay within their caps,
# and the counters say what became of it.  WEIR_TEST_LONG=1 makes it as large
# as a game does: a million streams, a flood of SYNs, five gigabytes.
. "${0%/*}/lib.sh"
need python3 jq

readonly FLOOD=${WEIR_FLOOD:-${WEIR_BIN%/src/weir}/tests/tools/flood}
readonly STORE="$WEIR_SOURCE/tests/e2e/store.py"
long=${WEIR_TEST_LONG:-0}
# Sanitizers keep books of their own.
exact=true
grep -qa __asan_init "$WEIR_BIN" || grep -qa __tsan_init "$WEIR_BIN" &&
	exact=false

size() { # NORMAL LONG
	[ "$long" = 0 ] && echo "$1" || echo "$2"
}

# Analyse `flood WHAT N` within MEMORY MiB, into the store $T/WHAT.
flood() { # WHAT N MEMORY OPTION...
	local what=$1 n=$2 memory=$3
	shift 3
	"$FLOOD" "$what" "$n" | python3 "$WEIR_SOURCE/tests/e2e/limited.py" \
		"$T/$what.used" "$WEIR" analyze - -o "$T/$what.jsonl" \
		--disable-stream-inventory --disable-stream-parser \
		--store "$T/$what" --memory-max "${memory}MiB" \
		"$@" 2>"$T/$what.err"
	note "$what $n: $(<"$T/$what.used")"
	check_match "$what: it ends well" 'status=0' "$T/$what.used"
	within_memory "$what" "$memory"
}

within_memory() { # WHAT MIB
	local rss
	rss=$(sed 's/.*rss=\([0-9]*\).*/\1/' "$T/$1.used")
	if $exact; then
		check "X22 R17 $1: memory stays within $2 MiB and a tenth" \
			test "$rss" -le $(($2 + $2 / 10))
	else
		skip "X22 $1: memory" 'a sanitizer keeps books of its own'
	fi
}

health() { # WHAT NAME
	jq -s "map(select(.event_type == \"health\"))[-1].fields.$2" \
		"$T/$1.jsonl"
}

count() { # WHAT CONDITION
	python3 "$STORE" count "$T/$1" "$2"
}

# -- very many streams ---------------------------------------------------------

n=$(size 60000 1000000)
flood streams "$n" "$(size 160 512)" --workers 8
check_equal 'X22 streams: each of them has its row' "$(count streams 1)" "$n"
check_equal 'and its payload' \
	"$(count streams 'end_a + end_b = 26')" "$n"
check 'R08 the quietest made room, and were counted' \
	test "$(health streams evicted_flows)" -gt 0
check_equal 'R08 none is lost or counted twice' \
	"$(health streams created_flows)" "$n"

# -- SYNs without an answer ------------------------------------------------------

n=$(size 100000 2000000)
flood syn "$n" "$(size 160 512)" --workers 2 --max-half-open-flows 20000
check_equal 'X22 syn: offline every one is listed' "$(count syn 1)" "$n"
check_equal 'and none has an answer' \
	"$(count syn 'packets_a + packets_b = 1 and ended in (3, 5, 6)')" "$n"

# -- endpoints chosen to collide ----------------------------------------------------

n=$(size 50000 500000)
flood same "$n" "$(size 160 512)"
check_equal 'X22 same: as many streams as endpoints' "$(count same 1)" "$n"
seconds=$(sed 's/.*seconds=//' "$T/same.used")
check 'X22 same: they cost what others cost' \
	test "$seconds" -le "$(size 60 400)"

# -- one very long stream -------------------------------------------------------------

n=$(size 120000000 5368709120)
flood big "$n" "$(size 160 256)" --store-max-bytes 64MiB
check_equal 'X22 big: every byte is counted' "$(health big tcp_stream_bytes)" \
	"$n"
check_equal 'X22 big: it is one stream' "$(count big 1)" 1
check_equal 'and what is not kept is said' \
	"$(count big "kept_a + kept_b + dropped_bytes = $n")" 1
check 'X21 big: the store stays within its bytes' \
	test "$(python3 "$STORE" size "$T/big")" -le $((64 << 20))

# -- a stream with very many holes -----------------------------------------------------

n=$(size 30000 1000000)
flood holes "$n" "$(size 160 256)"
check_equal 'X03 holes: each is counted' "$(count holes "gaps_a + gaps_b >= $n - 1")" 1
check 'and at most 16384 are kept' test \
	"$(python3 "$STORE" dump "$T/holes" | grep -c ^gaps)" -le 16384

# -- ten times as much as the disk may hold ----------------------------------------------

n=$(size 60000 1500000)
cap=$(size 16 160)
"$FLOOD" closed 300 >"$T/first.pcap"
"$WEIR" analyze "$T/first.pcap" --store "$T/closed" --no-events --source-id s \
	2>/dev/null
id=$("$WEIR" streams --store "$T/closed" --limit 1 | cut -d' ' -f1)
"$WEIR" streams --store "$T/closed" --pin "$id" >/dev/null ||
	not_ok 'a stream is pinned'
"$WEIR" show --store "$T/closed" --raw "$id" >"$T/pinned.before"
flood closed "$n" 160 --store-max-bytes "${cap}MiB" --max-flows 2000
check 'X21 closed: the store stays within its bytes' \
	test "$(python3 "$STORE" size "$T/closed")" -le $((cap << 20))
check 'old streams made room' test "$(count closed 1)" -lt "$n"
check 'X21 closed: new ones are there' test "$(count closed 'not evicted')" \
	-gt 1000
"$WEIR" show --store "$T/closed" --raw "$id" >"$T/pinned.after"
check 'X21 closed: the pinned one is whole' \
	cmp "$T/pinned.before" "$T/pinned.after"
check 'it was there at all' test -s "$T/pinned.before"

# -- age -------------------------------------------------------------------------------------

"$FLOOD" closed 20000 >"$T/old.pcap"
"$WEIR" analyze "$T/old.pcap" --store "$T/aged" --no-events 2>/dev/null
before=$(python3 "$STORE" count "$T/aged" 1)
cat >"$T/later.py" <<'END'
import struct, sys
head = sys.stdin.buffer.read(24)
sys.stdout.buffer.write(head)
while True:
    h = sys.stdin.buffer.read(16)
    if not h:
        break
    s, u, n, w = struct.unpack('<4I', h)
    sys.stdout.buffer.write(struct.pack('<4I', s + 7200, u, n, w)
                            + sys.stdin.buffer.read(n))
END
"$FLOOD" closed 30000 | python3 "$T/later.py" >"$T/new.pcap"
start keep "$WEIR" analyze "$T/new.pcap" --store "$T/aged" --no-events \
	--store-keep 1h
join keep 60
start keep "$WEIR" analyze "$T/first.pcap" --store "$T/aged" --no-events \
	--store-keep 1h --store-keep unknown=30m
join keep 60
now=$(python3 "$STORE" count "$T/aged" 1)
check "X21 streams of two hours ago go after one ($before, now $now)" \
	test "$now" -lt $((before + 30000))

finish
