# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# capture.sh - what the scripts about capturing share.

: "${WEIR_BLAST:=${WEIR_BIN%/src/weir}/tests/blast}"
BLAST=$WEIR_BLAST

# Start capturing as NAME in namespace @NS; returns when packets are taken.
capture() { # NAME @NS OPTIONS...
	local name=$1 at=$2
	shift 2
	: >"$T/$name.err"
	start "$name" "$at" "$WEIR" agent capture "$@"
	wait_for 10 logged "$name" 'capturing from' ||
		die "$name does not capture"
}

# Every packet of a source's spool DIR, in order, as fields of tshark.
fields() { # DIR FILTER FIELD...
	local dir=$1 filter=$2 f args=()
	shift 2
	for f; do args+=(-e "$f"); done
	for f in "$dir"/*[0-9].pcap; do
		tshark -n -r "$f" -Y "$filter" -T fields "${args[@]}" 2>/dev/null
	done
}

how_many() { # DIR FILTER
	fields "$1" "$2" frame.number | wc -l
}

# The numbers that blast gave its UDP packets, in the spool's order.
numbers() { # DIR FILTER
	fields "$1" "$2" udp.payload | cut -c1-16 | while read -r hex; do
		echo $((16#$hex))
	done
}

spooled_packets() { # DIR: what the index says, without reading packets
	fields "$1" frame frame.number | wc -l
}

# A field of a spool's small counters file, as a number.
counter() { # DIR OFFSET
	od -An -t u8 -j "$2" -N 8 "$1.stats" | tr -d ' '
}
captured() { counter "$1" 16; }
dropped() { counter "$1" 24; }

has_captured() { # DIR N
	[ -f "$1.stats" ] && [ "$(captured "$1")" -ge "$2" ]
}
