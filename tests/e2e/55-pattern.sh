#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Patterns and saved queries that come while streams do: a store that was told
# half-way, or later, or was killed meanwhile, ends with the same matches and
# tags as one that knew them from the start.
. "${0%/*}/lib.sh"
need jq python3

seed=${WEIR_TEST_SEED:-$RANDOM}
note "seed $seed (WEIR_TEST_SEED)"
python3 "$WEIR_SOURCE/tests/e2e/traffic.py" "$T/traffic.pcap" "$seed" 300 20

# Matches, tags and counts; times of matches are those of different packets.
found() { # STORE
	python3 - "$T/$1/store.db" <<'END'
import sqlite3, sys
db = sqlite3.connect('file:%s?mode=ro' % sys.argv[1], uri=True, timeout=10)
for sql in ('SELECT stream, way, start, end, name, content FROM matches',
            'SELECT stream, tag FROM tags',
            'SELECT id FROM streams'):
    for line in sorted(map(repr, db.execute(sql))):
        print(line)
END
	"$WEIR" streams --json --limit 0 --store "$T/$1" |
		jq -c '[.stream_id, .matches]' | sort
}

same() { # STORE STORE
	cmp <(found "$1") <(found "$2") || diff <(found "$1") <(found "$2")
}

add() { # STORE
	"$WEIR" pattern add flag --regex 'FLAG\{[0-9a-f]{8}\}' \
		--role flag-out --store "$T/$1" &&
		"$WEIR" pattern add get --text 'GET /' --store "$T/$1" &&
		"$WEIR" pattern add crlf --hex '0d 0a 0d 0a' --store "$T/$1"
} 2>>"$T/add.err"

save() { # STORE
	"$WEIR" search --store "$T/$1" --save-tag pair \
		'cdata:"GET /" then sdata:/FLAG/ -gaps>0'
} 2>>"$T/save.err"

done_of() { # STORE NAME: has all of the past been searched?
	[ "$("$WEIR" pattern list --json --store "$T/$1" |
		jq -r "select(.name == \"$2\") | .past_done")" = true ]
}

streams_of() { # STORE NAME
	"$WEIR" pattern list --json --store "$T/$1" |
		jq -r "select(.name == \"$2\") | .streams"
}

# -- before the first packet, and after the last one ------------------------------

start agent "$WEIR" agent capture --pcap-file "$T/traffic.pcap" -d "$T/spool"
join agent 60 || die 'no spool'
options=(--spool "$T/spool/src1" --no-events --no-follow)

add before && save before || die 'no rules without a store'
"$WEIR" analyze "${options[@]}" --store "$T/before" 2>"$T/before.err" ||
	die 'no analysis'
check 'R24 stored patterns are looked for from the first packet on' \
	test "$("$WEIR" search --store "$T/before" --count tag:flag 2>/dev/null)" -gt 0

"$WEIR" analyze "${options[@]}" --store "$T/after" 2>"$T/after.err"
check_equal 'R24 nothing is found that nobody looks for' "$(found after |
	grep -c flag)" 0
check 'R24 patterns are added to a store that nobody writes' add after
check 'X08 a query is saved as a tag' save after
check 'R24 a new pattern finds the earlier traffic, the same as a live one' \
	same before after
check_equal 'X08 weir streams --tag lists what the saved query is true of' \
	"$("$WEIR" streams --json --limit 0 --tag pair --store "$T/after" |
		jq -r .stream_id)" \
	"$("$WEIR" search --json --store "$T/after" \
		'cdata:"GET /" then sdata:/FLAG/ -gaps>0' 2>/dev/null |
		jq -r '.stream_id // empty')"
check_match 'X10 the list says how much of the past was searched' \
	'[0-9]+ found; .* of the past in [0-9]+ streams searched' \
	<("$WEIR" pattern list --store "$T/after")
check_equal 'R24 a wrong regex is refused, status 2' \
	"$("$WEIR" pattern add bad --regex '(' --store "$T/after" 2>"$T/bad.err"
		echo $?)" 2
check_equal 'R24 a name that is taken is refused, status 2' \
	"$("$WEIR" pattern add get --text x --store "$T/after" 2>"$T/bad.err"
		echo $?)" 2

# -- while it runs, killed in between ---------------------------------------------

start agent "$WEIR" agent capture --pcap-file "$T/traffic.pcap" \
	-d "$T/slow" --speed 4
wait_for 10 test -e "$T/slow/src1" || die 'no spool'
live=(--spool "$T/slow/src1" --no-events --workers 2)
start live "$WEIR" analyze "${live[@]}" --store "$T/live"
some_streams() {
	[ "$("$WEIR" search --store "$T/live" --count '' 2>/dev/null)" -gt 40 ]
}
wait_for 30 some_streams || die 'no streams'
check 'R24 a running analysis takes patterns' add live
check_match 'R24 and it is said who searches the past' \
	'the analysis that writes .* goes through the past' "$T/add.err"
save live
stop live KILL
start live "$WEIR" analyze "${live[@]}" --store "$T/live"
join agent 60 || not_ok 'the capture ends well'
given() {
	[ "$("$WEIR" search --store "$T/live" --count '' 2>/dev/null)" -ge \
		"$(python3 "$WEIR_SOURCE/tests/e2e/store.py" count "$T/before" 1)" ]
}
wait_for 60 given || not_ok 'all streams come'
check 'X10 the past of a running analysis is searched to its end' \
	wait_for 60 done_of live crlf
stop live TERM 20 || not_ok 'analysis ends when asked'
# What was still open then ends here, and so do its tags.
"$WEIR" analyze --spool "$T/slow/src1" --no-events --no-follow \
	--store "$T/live" 2>"$T/last.err"
add calm && save calm
"$WEIR" analyze --spool "$T/slow/src1" --no-events --no-follow \
	--store "$T/calm" 2>"$T/calm.err"
check 'X10 each match once, whoever found it: as if always looked for' \
	same calm live

# -- a long past, killed and gone on with ----------------------------------------------

# Backwards references are slow anywhere.
start first "$WEIR" pattern add slow --store "$T/after" \
	--regex '(.+)(.+)\2\1QQ|((\w)\4*)+\3!!|FLAG\{[0-9a-f]{8}\}'
is_under_way() {
	local n
	n=$(streams_of after slow)
	[ "${n:-0}" -gt 5 ]
}
check 'X10 a long search of the past tells how far it is' \
	wait_for 60 is_under_way
check_match 'X10 and how long the rest may take' \
	'of [0-9]+ streams searched, [0-9]+ s left' \
	<("$WEIR" pattern list --store "$T/after")
if running first; then
	stop first KILL
	was=$(streams_of after slow)
	check 'X10 killed half-way, it is not done' \
		eval '! done_of after slow'
	start second "$WEIR" pattern add other --text 'HTTP/1.1 200' \
		--store "$T/after"
	goes_on() {
		[ "$(streams_of after slow)" -gt "$was" ] || done_of after slow
	}
	check 'X10 the next one goes on where it was' wait_for 60 goes_on
	stop second INT 10
	check 'X10 an interrupted one says who goes on' \
		grep -q 'goes on where it was' "$T/second.err"
fi

finish
