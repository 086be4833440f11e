#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# formats.sh CAPSUM SAMPLE - the sample, written by other programs in each form
# that they know, holds the same packets.
#
# editcap writes formats, gzip, zstd and lz4 pack; what is not installed is
# skipped.  Microsecond formats are compared with one another.
set -u

capsum=$1 sample=$2
T=$(mktemp -d "${TMPDIR:-/tmp}/weir-formats-XXXXXX")
trap 'rm -rf "$T"' EXIT
n=0 failed=0

# same NAME FILE WANT
same() {
	n=$((n + 1))
	if [ "$("$capsum" "$2" 2>&1)" = "$3" ]; then
		echo "ok $n - $1"
	else
		echo "not ok $n - $1"
		failed=1
	fi
}

skip() {
	n=$((n + 1))
	echo "ok $n - $1 # SKIP $2 is not installed"
}

# packed PROGRAM SUFFIX
packed() {
	if ! command -v "$1" >/dev/null; then
		skip "G08 packed by $1" "$1"
		return
	fi
	"$1" -c <"$sample" >"$T/packed.bin" 2>/dev/null
	same "G08 packed by $1" "$T/packed.bin" "$want"
	head -c 1000001 "$sample" | "$1" -c >"$T/two.bin" 2>/dev/null
	tail -c +1000002 "$sample" | "$1" -c >>"$T/two.bin" 2>/dev/null
	same "G08 in two parts by $1" "$T/two.bin" "$want"
}

want=$("$capsum" "$sample")
n=$((n + 1))
case $want in
"linktype 1 packets "2*) echo "ok $n - the sample has a sum" ;;
*) echo "not ok $n - the sample has a sum" && failed=1 ;;
esac
for program in gzip zstd lz4; do
	packed "$program"
done
same 'through a pipe' - "$want" < <(cat "$sample")

if command -v editcap >/dev/null; then
	editcap -F nsecpcap "$sample" "$T/ns.pcap"
	same 'I03 nanosecond pcap by editcap' "$T/ns.pcap" "$want"
	editcap -F pcapng "$sample" "$T/ns.pcapng"
	same 'G09 pcapng by editcap' "$T/ns.pcapng" "$want"

	editcap -F pcap "$sample" "$T/us.pcap"
	want=$("$capsum" "$T/us.pcap")
	editcap -F modpcap "$T/us.pcap" "$T/mod.pcap"
	same 'modified pcap by editcap' "$T/mod.pcap" "$want"
	editcap -F pcapng "$T/us.pcap" "$T/us.pcapng"
	same 'G09 pcapng in microseconds by editcap' "$T/us.pcapng" "$want"
else
	skip 'G09 formats by editcap' editcap
fi
echo "1..$n"
exit $failed
