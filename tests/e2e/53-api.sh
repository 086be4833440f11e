#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The API beside an analysis: rustmate's routes and fields, what it refuses,
# changes while packets come in, and what stays after the end.
. "${0%/*}/lib.sh"
need python3

SAMPLE=$WEIR_SOURCE/build/tools/sample.pcap
[ -e "$SAMPLE" ] || SAMPLE=$(dirname "$WEIR_BIN")/../tools/sample.pcap

# One line a check: verdict, name, and why not.
while IFS=$'\t' read -r verdict name why; do
	if [ "$verdict" = ok ]; then
		ok "$name"
	else
		not_ok "$name" "$why"
	fi
done < <(python3 "$WEIR_SOURCE/tests/e2e/api.py" "$WEIR" "$SAMPLE" "$T" \
	2>"$T/api.err" || printf 'not\tapi.py gets to its end\t%s\n' \
	"$(tail -n 3 "$T/api.err" | tr '\n\t' '  ')")
check 'nothing of it stays in the temporary folder' \
	test -z "$(find "$T/tmp" -mindepth 1)"
finish
