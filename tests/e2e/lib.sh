# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# lib.sh - what the end-to-end tests share.  A test begins with
#
#	#!/usr/bin/env bash
#	# What it shows, in one sentence.
#	. "${0%/*}/lib.sh"
#	need root tshark
#
# and then checks, one TAP line each, with the row of doc/features.md in front:
#
#	check 'I02 a file of 500 packets gives 500 records' test "$n" -eq 500
#
# When the script ends, however it ends, the programs it started are ended by
# their pids, its namespaces are deleted, its directory $T is removed (kept,
# and the logs shown, when something failed), and the TAP plan is printed.
# A script that stops half-way counts as one more failure.

set -u -o pipefail
export LC_ALL=C

: "${WEIR_SOURCE:=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}"
: "${WEIR_BIN:=$WEIR_SOURCE/build/src/weir}"
export WEIR_SOURCE WEIR_BIN
WEIR=$WEIR_BIN

T=$(mktemp -d "${TMPDIR:-/tmp}/weir-e2e-XXXXXX")
declare -A pid=()	# name: process id, while it was not stopped
declare -A status=()	# name: exit status, after stop or finish
tap_n=0
tap_failed=0
tap_finished=false
namespaces=()

# -- results -------------------------------------------------------------

ok() { # NAME
	echo "ok $((++tap_n)) - $1"
}

not_ok() { # NAME [WHY]
	echo "not ok $((++tap_n)) - $1"
	tap_failed=$((tap_failed + 1))
	[ -z "${2-}" ] || note "$2"
}

# One check: the command's status decides.  It may be one of the functions
# here: it runs in this shell, so that what it remembers stays.
check() { # NAME COMMAND...
	local name=$1 code
	shift
	"$@" >"$T/.check" 2>&1
	code=$?
	if [ "$code" -eq 0 ]; then
		ok "$name"
	else
		not_ok "$name" "$* : status $code"
		[ ! -s "$T/.check" ] || note "$(tail -n 20 "$T/.check")"
	fi
}

check_equal() { # NAME GOT WANT
	if [ "$2" = "$3" ]; then
		ok "$1"
	else
		not_ok "$1" "got \"$2\", want \"$3\""
	fi
}

# Does the file or standard input hold the extended regular expression?
check_match() { # NAME REGEX FILE
	if grep -qE -- "$2" "$3"; then
		ok "$1"
	else
		not_ok "$1" "no line of $3 matches $2"
		note "$(tail -n 20 "$3")"
	fi
}

skip() { # NAME WHY
	echo "ok $((++tap_n)) - $1 # SKIP $2"
}

# Nothing of this script can run here.
skip_all() { # WHY
	echo "1..0 # SKIP $1"
	tap_finished=skipped
	exit 0
}

note() { # TEXT, of any number of lines
	sed 's/^/# /' <<<"$1"
}

# A step that the checks rest on did not work: say so and end.
die() { # WHY
	not_ok "${0##*/} gets to its end" "$1"
	tap_finished=true
	exit 1
}

# The last line of every script.
finish() {
	tap_finished=true
	exit
}

# May this user make networks?  Root of a container often may not.
may_network() {
	local probe=weir$$-probe code
	[ "$(id -u)" -eq 0 ] || return
	{
		ip netns add "$probe" && ip -n "$probe" link set lo up
		code=$?
		ip netns del "$probe"
	} >/dev/null 2>&1
	return "$code"
}

# Skip all unless everything named is there: "root", or programs.
need() { # WHAT...
	local what
	for what; do
		if [ "$what" = root ]; then
			may_network || skip_all \
				"needs root that may make network namespaces"
		else
			command -v "$what" >/dev/null ||
				skip_all "needs $what"
		fi
	done
}

# -- waiting -------------------------------------------------------------

# Ask until the command succeeds, 20 times a second, or the limit is over.
wait_for() { # SECONDS COMMAND...
	local limit=$1 end
	shift
	end=$(($(date +%s%N) + limit * 1000000000))
	until "$@" >/dev/null 2>&1; do
		[ "$(date +%s%N)" -lt "$end" ] || return 1
		sleep 0.05
	done
}

# Is somebody listening on 127.0.0.1:PORT (or in a namespace)?
listening() { # PORT [@NS]
	local in=()
	[ $# -lt 2 ] || in=(ip netns exec "$(ns_name "${2#@}")")
	[ -n "$("${in[@]}" ss -Hltn "sport = :$1")" ]
}

# Does a program's log (standard error) hold the regular expression?
logged() { # NAME REGEX
	grep -qE -- "$2" "$T/$1.err"
}

# -- programs ------------------------------------------------------------

# Run in the background as NAME: $T/NAME.out, $T/NAME.err, ${pid[NAME]}.
# "@NS" as first word runs it in that namespace.
start() { # NAME [@NS] COMMAND...
	local name=$1 in=()
	shift
	if [ "${1:0:1}" = @ ]; then
		in=(ip netns exec "$(ns_name "${1#@}")")
		shift
	fi
	# A shell's background child ignores SIGINT; a user's does not.
	"${in[@]}" env --default-signal=INT,QUIT "$@" \
		>>"$T/$name.out" 2>>"$T/$name.err" </dev/null &
	pid[$name]=$!
}

running() { # NAME
	[ -n "${pid[$1]-}" ] && kill -0 "${pid[$1]}" 2>/dev/null
}

gone() { # NAME
	! running "$1"
}

# Ask it to end and wait; the exit status is in ${status[NAME]}.  Killed after
# the limit, which is a status of 137 and a failure of stop.
stop() { # NAME [SIGNAL [SECONDS]]
	local name=$1 p=${pid[$1]-}
	[ -n "$p" ] || return 0
	kill "-${2-TERM}" "$p" 2>/dev/null
	if ! wait_for "${3-10}" gone "$name"; then
		note "$name did not end within ${3-10} s of SIG${2-TERM}"
		kill -KILL "$p" 2>/dev/null
	fi
	reap "$name"
	[ "${status[$name]}" -ne 137 ] || [ "${2-}" = KILL ]
}

# Wait for a program that ends by itself.
join() { # NAME [SECONDS]
	wait_for "${2-30}" gone "$1" || {
		note "$1 did not end within ${2-30} s"
		kill -KILL "${pid[$1]}" 2>/dev/null
	}
	reap "$1"
	return "${status[$1]}"
}

reap() { # NAME
	wait "${pid[$1]}" 2>/dev/null
	status[$1]=$?
	unset "pid[$1]"
}

# A TCP port of this machine below the ephemeral ones that nobody uses now.
free_port() {
	local p
	while :; do
		p=$((RANDOM % 20000 + 12000))
		[ -n "$(ss -Htan "sport = :$p")" ] || break
	done
	echo "$p"
}

# -- network namespaces --------------------------------------------------

ns_name() { # NS
	echo "weir$$-$1"
}

ns_make() { # NS...
	local n
	for n; do
		ip netns add "$(ns_name "$n")" || die "no namespace $n"
		namespaces+=("$n")
		ip -n "$(ns_name "$n")" link set lo up
	done
}

# Run in the foreground inside one.
ns() { # NS COMMAND...
	local n
	n=$(ns_name "$1")
	shift
	ip netns exec "$n" "$@"
}

# A cable: IFACE-A in namespace A with ADDRESS-A/24 to IFACE-B in B.
ns_cable() { # A IFACE-A ADDRESS-A B IFACE-B ADDRESS-B
	local a b
	a=$(ns_name "$1")
	b=$(ns_name "$4")
	ip -n "$a" link add "$2" type veth peer name "$5" netns "$b" &&
		ip -n "$a" addr add "$3/24" dev "$2" &&
		ip -n "$b" addr add "$6/24" dev "$5" &&
		ip -n "$a" link set "$2" up &&
		ip -n "$b" link set "$5" up ||
		die "no cable from $1 to $4"
}

# -- the end -------------------------------------------------------------

show_logs() {
	local log
	for log in "$T"/*.err; do
		[ -s "$log" ] || continue
		grep -sE -A 25 'WARNING: ThreadSanitizer|ERROR: .*Sanitizer' \
			"$log" | head -n 60 | sed 's/^/# /'
		note "--- ${log##*/}, last lines"
		note "$(tail -n 30 "$log")"
	done
	note "--- kept in $T"
}

at_exit() {
	local code=$? name n
	trap - EXIT
	for name in "${!pid[@]}"; do
		stop "$name" TERM 5
	done
	for n in "${namespaces[@]}"; do
		ip netns del "$(ns_name "$n")" 2>/dev/null
	done
	if grep -qsE 'WARNING: ThreadSanitizer|ERROR: (Address|Leak)Sanitizer|runtime error: ' "$T"/*.err; then
		not_ok 'no sanitizer has anything to say'
	fi
	if [ "$tap_finished" = false ]; then
		not_ok "${0##*/} gets to its end" "it stopped with status $code"
	fi
	[ "$tap_finished" = skipped ] || echo "1..$tap_n"
	if [ "$tap_failed" -gt 0 ]; then
		show_logs
		exit 1
	fi
	rm -rf "$T"
	exit 0
}
trap at_exit EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
