#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Maps of data sets: what is found, what is said of it, and what is read again.
. "${0%/*}/lib.sh"
need jq python3

# FILE COUNT STEP_US [FIRST_S]: numbered packets, one each STEP_US.
make_file() {
	python3 - "$@" <<'PY'
import struct, sys
path, count, step = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
first = int(sys.argv[4]) if len(sys.argv) > 4 else 1700000000
with open(path, 'wb') as f:
    f.write(struct.pack('<IHHiIII', 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
    for i in range(count):
        data = bytes(12) + b'\x88\xb5' + struct.pack('>Q', i) + bytes(i % 50)
        us = i * step
        f.write(struct.pack('<IIII', first + us // 10**6, us % 10**6,
                            len(data), len(data)) + data)
PY
}

map() { # OPTIONS...
	"$WEIR" map --dump-json "$T/map.json" "$@" 2>"$T/map.err"
}

mkdir -p "$T/set/a/b"
make_file "$T/set/one.pcap" 200 10000
make_file "$T/set/a/two.pcap" 300 10000 1700000100
make_file "$T/set/a/b/three.pcap" 100 0
echo notes >"$T/set/a/notes.txt"
map --dir-src "$T/set" --file-suffix pcap
check_equal 'G01 weir map ends well' $? 0
check_equal 'G01 three nested files and another one: three entries' \
	"$(jq -r '.files | length' "$T/map.json")" 3
check_equal 'G02 a file of 200 packets has 200' \
	"$(jq -r '.files[] | select(.path | endswith("one.pcap")).packets' \
		"$T/map.json")" 200
check_equal 'G02 every member that gophercap writes is there' \
	"$(jq -r '.files[0] | [has("path", "snaplen", "packets", "size",
	"max_packet_size", "out_of_order", "beginning", "end", "pps",
	"duration", "duration_human", "delay", "delay_human")] | all' \
		"$T/map.json")" true
check_equal 'G02 delays count from the beginning of the set' \
	"$(jq -c '[.files[].delay]' "$T/map.json")" '[0,100000000000,0]'
check_equal 'G02 the set begins and ends where its files do' \
	"$(jq -r '.beginning + " " + .end' "$T/map.json")" \
	'2023-11-14T22:13:20Z 2023-11-14T22:15:02.99Z'

if command -v capinfos >/dev/null; then
	for f in one a/two a/b/three; do
		capinfos -TMrcdaeoS "$T/set/$f.pcap" >"$T/info" 2>/dev/null
		check_equal "G02 G03 capinfos says the same of $f.pcap" \
			"$(jq -r --arg f "$f.pcap" '.files[] |
			select(.path | endswith($f)) |
			"\(.packets) \(.size)"' "$T/map.json")" \
			"$(awk -F'\t' '{print $2, $3}' "$T/info")"
	done
fi

check_match 'the last line says how much was mapped' \
	'3 files \(0 known already\).*600 packets' "$T/map.err"
map --dir-src "$T/set" --file-suffix pcap
check_match 'files that did not change are not read again' \
	'3 files \(3 known already\)' "$T/map.err"
make_file "$T/set/one.pcap" 201 10000
map --dir-src "$T/set" --file-suffix pcap
check_match 'and one that did is' '3 files \(2 known already\)' "$T/map.err"
check_equal 'with its new number' \
	"$(jq '.files[2].packets' "$T/map.json")" 201

gzip -k "$T/set/one.pcap"
map --dir-src "$T/set" --fresh
check_equal 'G08 a packed file is mapped like the plain one' \
	"$(jq -c '[.files[] | select(.path | test("one")) |
	[.packets, .size, .beginning, .end]] | unique | length' \
		"$T/map.json")" 1
check_equal 'G08 and is said to be packed' \
	"$(jq -r '[.files[].packed // empty] | join(",")' "$T/map.json")" gzip
map "$T/set" --file-regexp 'a/two\.pc.p$'
check_equal 'G10 a pattern keeps one of four' \
	"$(jq -r '.files[].path' "$T/map.json")" "$T/set/a/two.pcap"

if command -v editcap >/dev/null; then
	editcap -F pcapng "$T/set/one.pcap" "$T/one.pcapng"
	map "$T/one.pcapng" "$T/set/one.pcap"
	check_equal 'G09 pcapng maps to the same numbers as pcap' \
		"$(jq -c '[.files[] | [.packets, .size, .beginning, .end,
		.out_of_order, .max_packet_size]] | unique | length' \
			"$T/map.json")" 1
fi

map "$T/set" --fresh
cp "$T/map.json" "$T/before.json"
map "$T/nothing-here"
check_equal 'G06 a folder that is not there fails' $? 1
check_match 'G06 by a sentence that names it' 'nothing-here' "$T/map.err"
check 'G06 and the map is as it was' cmp "$T/map.json" "$T/before.json"
map "$T/set" --file-suffix none
check_equal 'G06 a set without files fails' $? 1
check 'G06 and the map is as it was' cmp "$T/map.json" "$T/before.json"

: >"$T/set/empty.pcap"
head -c 1000 "$T/set/one.pcap" >"$T/set/cut.pcap"
make_file "$T/set/none.pcap" 0 0
make_file "$T/set/lone.pcap" 1 0
map "$T/set" --file-workers -1
check_equal 'G05 a file without a byte: status 1' $? 1
check_match 'G05 a sentence names it' 'empty.pcap is not a capture' "$T/map.err"
check_match 'G05 a file cut at its end is told' \
	'cut.pcap is damaged at byte [0-9]+: .* packets before it were read' \
	"$T/map.err"
check_equal 'G05 the map names it, and all others are described' \
	"$(jq -c '[(.files | length), (.failed | length)]' "$T/map.json")" '[7,1]'
check_equal 'G05 a lone packet is a file of no length' \
	"$(jq -c '.files[] | select(.path | endswith("lone.pcap")) |
	[.packets, .duration, .pps]' "$T/map.json")" '[1,0,0]'
rm "$T/set/empty.pcap"
for n in 1 4 0; do
	"$WEIR" map "$T/set" --file-workers $n --dump-json "$T/$n.json" \
		2>/dev/null
done
check 'G07 the same map with 1 and 4 workers' cmp "$T/1.json" "$T/4.json"
check 'G07 and with no limit' cmp "$T/1.json" "$T/0.json"

"$WEIR" map "$T/set/one.pcap" --dump-json - >"$T/out" 2>/dev/null
check_equal 'the map may go to standard output' \
	"$(jq '.files[0].packets' "$T/out")" 201
WEIR_MAP_DIR_SRC=$T/set WEIR_MAP_FILE_REGEXP=lone "$WEIR" map \
	--dump-json "$T/env.json" 2>/dev/null
check_equal 'options may stand in the environment' \
	"$(jq '.files | length' "$T/env.json")" 1
"$WEIR" map --dump-json "$T/none.json" 2>"$T/map.err"
check_equal 'without a folder it was used wrongly' $? 2
finish
