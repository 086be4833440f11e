# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# dataset.sh - what the tests on capture files share.

mkdir -p "$T/set"

# The records of a classic pcap without its header, in a file of their own.
records() { # FILE
	local to
	to=$(mktemp "$T/records-XXXXXX")
	tail -c +25 "$1" >"$to"
	echo "$to"
}

count() { # FILE
	tcpdump -r "$1" -w - 2>/dev/null | tshark -r - 2>/dev/null | wc -l
}

linktype() { # FILE
	od -A n -t u4 -j 20 -N 4 "$1" | tr -d ' '
}
