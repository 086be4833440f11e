#!/usr/bin/env bash
# weir recover tells what a spool holds without touching it, and mends it on
# request.
. "${0%/*}/lib.sh"

tool=${WEIR_TOOLS:-${WEIR_BIN%/src/weir}/tests/tools}/spooltool
[ -x "$tool" ] || skip_all "needs spooltool, which meson builds"
need jq

recover() {
	"$WEIR" recover --spool-dir "$T" "$@" >"$T/out" 2>"$T/err"
}

# Checksums of every file of the spool.
sums() {
	(cd "$T/src1" && find . -type f ! -name lock | sort |
		xargs sha256sum)
}

SPOOL_SEGMENT=65536 "$tool" fill "$T/src1" 3000 >"$T/fill.log" 2>&1 ||
	die "the spool was not filled"
first=$(find "$T/src1" -name '0*.pcap' | sort | head -n 1)
middle=$(find "$T/src1" -name '0*.pcap' | sort | sed -n 2p)
[ -n "$middle" ] || die "one segment only"

sums >"$T/before"
recover --verify
check_equal 'I60 a whole spool gives status 0' $? 0
check_match 'I60 the line of ipcap: head, oldest, bytes' \
	'^recover: src=1 head=3000 oldest=0 bytes=[0-9]+$' "$T/out"
check_equal 'I60 no talk where nothing is wrong' "$(wc -c <"$T/err")" 0
sums >"$T/after"
check 'I60 nothing was changed' cmp "$T/before" "$T/after"

recover --json
check_equal 'I60 the same as JSON' \
	"$(jq -c '[.head, .oldest, .spools[0].linktype,
		   (.spools[0].faults | length)]' "$T/out")" '[3000,0,1,0]'

recover --snaplen 65536 --link-type 1
check_equal "I60 ipcap's options are accepted" $? 0

# One byte of a packet in the middle.
printf X | dd of="$middle" bs=1 seek=1000 conv=notrunc status=none
recover
check_equal 'I60 without --verify only the newest packets are read' $? 0
recover --verify
check_equal 'I60 damage gives status 1' $? 1
check_match 'I60 it is told with file, offset and packets' \
	"damaged: $middle at offset [0-9]+, packets [0-9]+ to [0-9]+:" "$T/out"
check_match 'I60 and what to do' 'recover: .*--repair' "$T/err"
recover --verify --json
lost=$(jq '.spools[0].faults[0] | .to - .from' "$T/out")

recover --repair
check_equal 'I60 --repair mends it' $? 0
recover --verify
check_equal 'I60 and then it is whole' $? 0
check 'I60 the old file is kept' test -f "$T/src1/damaged/${middle##*/}"
recover --json
check_equal 'I60 exactly the damaged packets are a gap' \
	"$(jq -c '.spools[0] | [.gaps, .lost]' "$T/out")" "[1,$lost]"
check_equal 'I60 and the numbers go on where they were' \
	"$(jq .head "$T/out")" 3000

# A lost index is made again from the packets.
rm "${first%.pcap}.idx"
recover
check_equal 'I60 a lost index gives status 1' $? 1
recover --repair
check_equal 'I60 --repair makes it again' $? 0
recover --json --verify
check_equal 'I60 without losing a packet' \
	"$(jq -c '.spools[0] | [.gaps, .lost, .head]' "$T/out")" \
	"[1,$lost,3000]"

"$tool" fill "$T/src1" 10 >"$T/fill.log" 2>&1
check_equal 'I60 the writer goes on with it' $? 0

recover --src-id 9
check_equal 'I60 a source that is not there gives status 1' $? 1
check_match 'I60 and the sentence names it' 'src9' "$T/err"

if command -v tshark >/dev/null; then
	n=0
	for f in "$T"/src1/0*.pcap; do
		n=$((n + $(tshark -r "$f" -T fields -e frame.number 2>/dev/null |
			wc -l)))
	done
	check_equal 'I05 tshark opens every segment' "$n" $((3010 - lost))
else
	skip 'I05 tshark opens every segment' 'no tshark'
fi
finish
