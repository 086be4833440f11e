# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# link.sh - what the tests of the link share, besides lib.sh.

tool=${WEIR_TOOLS:-${WEIR_BIN%/src/weir}/tests/tools}/spooltool
tcpcut=${WEIR_TOOLS:-${WEIR_BIN%/src/weir}/tests/tools}/tcpcut
[ -x "$tool" ] || skip_all "needs spooltool, which meson builds"

tool() {
	"$tool" "$@"
}

# Keys for one agent and one collector.
link_keys() {
	agent_pub=$("$WEIR" keygen --out "$T/agent.key" 2>/dev/null)
	agent_pub=${agent_pub##* }
	collector_pub=$("$WEIR" keygen --out "$T/collector.key" 2>/dev/null)
	# shellcheck disable=SC2034
	collector_pub=${collector_pub##* }
}

# Append known packets to a spool.
fill() { # SOURCE COUNT [RATE]
	tool fill "$T/spool/$1" "${@:2}" 2>>"$T/fill.err" || die "fill $*"
}

# Does the newest spool of the mirror end there, and is all of it right?
mirrored() { # NEXT [SOURCE-DIR]
	tool check "${2-$T/mirror/src1}" >"$T/mirrored" 2>&1 &&
		tail -n 1 "$T/mirrored" | grep -q "next=$1 "
}
