#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# weir recover tells what a spool holds without touching it, and mends it on
# request; a spool of ipcap it brings into a source.
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
check_equal 'I60 and no numbers are printed' "$(cat "$T/out")" ''

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

# -- a spool of ipcap -------------------------------------------------------

pcap="python3 $WEIR_SOURCE/tests/e2e/pcap.py"
old=$T/ipcap
mkdir "$old"

# The file of ipcap's with that sequence number.
old_file() {
	printf '%s/src1-%020d.pcap' "$old" "$1"
}

manifest() {
	printf '{"seq":%d,"file":"src1-%020d.pcap","start":%d,"end":%d,"vlen":%d,"sealed":true}\n' \
		"$1" "$1" "$2" "$3" "$(stat -c %s "$(old_file "$1")")"
}

for i in 0 1 2; do
	$pcap make 100 --first $((i * 100)) --size 200 >"$(old_file $i)"
done
{
	manifest 0 1000 1100
	manifest 1 1100 1200
	echo '{"seq":2,"file":"src1-0000'
} >"$old/manifest.ndjson"
echo 0123456789abcdef >"$old/epoch"
# The last packet is torn.
truncate -s -7 "$(old_file 2)"

ipcap() {
	"$WEIR" recover --spool-dir "$old" "$@" >"$T/out" 2>"$T/err"
}

sums_of_old() {
	(cd "$old" && sha256sum ./*)
}
sums_of_old >"$T/before"
ipcap
check_equal 'I60 a spool of ipcap is reported' $? 0
check_match 'I60 its manifest tells the numbers' \
	'^recover: src=1 head=1299 oldest=1000 bytes=[0-9]+$' "$T/out"
check_match 'I60 and its torn tail is told' 'torn tail' "$T/out"

ipcap --into "$T/new"
check_equal 'I60 its packets are brought into a source' $? 0
"$WEIR" recover --spool-dir "$T/new" --json --verify >"$T/out"
check_equal 'I60 under their numbers' \
	"$(jq -c '[.head, .oldest, .spools[0].gaps,
		   (.spools[0].faults | length)]' "$T/out")" '[1299,1000,0,0]'
for f in "$old"/src1-*.pcap; do $pcap list "$f"; done 2>/dev/null |
	awk '{print $NF}' | head -n 299 >"$T/want"
for f in "$T"/new/src1/0*.pcap; do $pcap list "$f"; done |
	awk '{print $NF}' >"$T/got"
check 'I60 each with its content' cmp "$T/want" "$T/got"
sums_of_old >"$T/after"
check 'I60 and the files of ipcap stay as they are' \
	cmp "$T/before" "$T/after"

ipcap --into "$T/new" --json
check_equal 'I60 a second time brings nothing' \
	"$(jq .ipcap.brought "$T/out")" 0
$pcap make 50 --first 299 --size 200 >"$(old_file 3)"
ipcap --into "$T/new"
"$WEIR" recover --spool-dir "$T/new" --json --verify >"$T/out"
check_equal 'I60 and goes on where it was' \
	"$(jq -c '[.head, .spools[0].gaps, (.spools | length)]' "$T/out")" \
	'[1349,0,1]'

# A missing file is a gap; another link type another spool.
rm "$(old_file 1)"
$pcap make 20 --first 400 --size 200 --link 101 >"$(old_file 4)"
echo "$(manifest 2 1200 1299)" >>"$old/manifest.ndjson"
ipcap --into "$T/other"
check_equal 'I60 what is missing gives status 1' $? 1
check_match 'I60 and is told by its numbers' 'packets 1100 to 1199' "$T/out"
"$WEIR" recover --spool-dir "$T/other" --json --verify >"$T/out"
check_equal 'I60 it becomes a gap, and a link type a spool' \
	"$(jq -c '[.spools[] | [.oldest, .head, .lost, .linktype]]' "$T/out")" \
	'[[1000,1349,100,1],[1349,1369,0,101]]'
finish
