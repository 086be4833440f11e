#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Capture files as a source: all packets, all digits, numbers that go on.
. "${0%/*}/lib.sh"
. "${0%/*}/capture.sh"
need tshark python3

# A file of numbered packets: COUNT FIRST UNIT [LENGTH-OF-THE-MIDDLE-ONE].
make_file() { # FILE COUNT FIRST us|ns [MIDDLE]
	python3 - "$@" <<'PY'
import struct, sys
path, count, first, unit = sys.argv[1], *map(int, sys.argv[2:4]), sys.argv[4]
middle = int(sys.argv[5]) if len(sys.argv) > 5 else 0
with open(path, 'wb') as f:
    f.write(struct.pack('<IHHiIII', 0xa1b23c4d if unit == 'ns' else 0xa1b2c3d4,
                        2, 4, 0, 0, 262144, 1))
    for i in range(count):
        n = first + i
        data = bytes(12) + b'\x88\xb5' + struct.pack('>Q', n) + bytes(n % 50)
        if middle and i == count // 2:
            data += bytes(middle - len(data))
        part = (123456789 + i) % 10**9 if unit == 'ns' else 123456 + i
        f.write(struct.pack('<IIII', 1700000000 + i // 1000, part, len(data),
                            len(data)) + data)
PY
}

# Payloads and times of what is in a spool or a file, comparably.
print_packets() { # FILE...
	local f
	for f; do
		tcpdump -n --time-stamp-precision=nano -tt -xx -r "$f" 2>/dev/null
	done
}

import() { # DIR FILE OPTIONS...
	local dir=$1 file=$2
	shift 2
	"$WEIR" agent capture -d "$dir" -r "$file" "$@" 2>"$T/import.err"
}

make_file "$T/us.pcap" 500 0 us
import "$T/a" "$T/us.pcap"
check_equal 'I02 a file of 500 packets is read and capture exits 0' $? 0
check_equal 'I02 the spool has 500 records' \
	"$(spooled_packets "$T/a/src1")" 500
check_equal 'I02 I03 with the same payloads and microseconds' \
	"$(print_packets "$T/a/src1"/*.pcap | cksum)" \
	"$(print_packets "$T/us.pcap" | cksum)"

make_file "$T/ns.pcap" 500 0 ns
import "$T/b" "$T/ns.pcap"
check_equal 'I03 nine digits of a nanosecond file are kept' \
	"$(print_packets "$T/b/src1"/*.pcap | cksum)" \
	"$(print_packets "$T/ns.pcap" | cksum)"

for i in 0 1 2 3 4; do
	make_file "$T/part.pcap" 100 $((100 * i)) ns
	import "$T/c" "$T/part.pcap" || not_ok "I04 run $i ends well"
done
python3 - "$T/c/src1" >"$T/indices" <<'PY'
import glob, struct, sys
at = 0
for path in sorted(glob.glob(sys.argv[1] + '/*[0-9].idx')):
    entries = open(path, 'rb').read()[128:]
    for i in range(0, len(entries), 64):
        if entries[i] == 1:
            count, first = struct.unpack_from('<IQ', entries, i + 4)
            assert first == at, (path, first, at)
            at += count
print(at)
PY
check_equal 'I04 indices of five runs form 0 to 499, no hole, no repeat' \
	"$(cat "$T/indices")" 500
fields "$T/c/src1" eth eth.type data.data | cut -f 2 | cut -c1-16 |
	while read -r hex; do echo $((16#$hex)); done >"$T/order"
check_equal 'I04 and packets in the order of the runs' \
	"$(cksum <"$T/order")" "$(seq 0 499 | cksum)"

make_file "$T/big.pcap" 11 0 us 65549
import "$T/d" "$T/big.pcap"
check_equal 'I12 a packet of 65 549 bytes among small ones is spooled' \
	"$(print_packets "$T/d/src1"/*.pcap | cksum)" \
	"$(print_packets "$T/big.pcap" | cksum)"
make_file "$T/more.pcap" 5 11 us
import "$T/d" "$T/more.pcap"
check_equal 'I12 and a restart goes on behind it' \
	"$(spooled_packets "$T/d/src1")" 16

head -c 3000 "$T/us.pcap" >"$T/torn.pcap"
import "$T/e" "$T/torn.pcap"
check_equal 'a file cut in a record is read up to there, status 0' $? 0
check_match 'with a warning that names it' 'warn.*torn.pcap' "$T/import.err"
check "its whole packets are there ($(spooled_packets "$T/e/src1"))" \
	test "$(spooled_packets "$T/e/src1")" -gt 40

import "$T/f" "$T/ns.pcap" -f 'ether[21] < 10 and ether[20] = 0'
check_equal 'the filter applies to files' \
	"$(spooled_packets "$T/f/src1")" 10
import "$T/g" "$T/nothing-there"
check_equal 'a file that is not there fails' $? 1
check_match 'by a sentence with its name' 'nothing-there' "$T/import.err"

start pipe bash -c "exec '$WEIR' agent capture -d '$T/h' -r - < <(
	cat '$T/us.pcap'; exec sleep 60)"
wait_for 10 test -s "$T/h/src1/00000000000000000000.pcap"
whole() { [ "$(spooled_packets "$T/h/src1")" = 500 ]; }
check 'packets of a pipe are there while it is open' wait_for 10 whole
stop pipe
check_equal 'and SIGTERM ends it with status 0' "${status[pipe]}" 0

# 500 packets at one a microsecond: slowed down to take half a second.
begin=$(date +%s%N)
import "$T/i" "$T/us.pcap" --speed 0.001
took=$((($(date +%s%N) - begin) / 1000000))
check "recorded spacing is kept: 499 us a thousand times slower ($took ms)" \
	test "$took" -ge 499 -a "$took" -lt 5000
check_equal 'without changing a time' \
	"$(print_packets "$T/i/src1"/*.pcap | cksum)" \
	"$(print_packets "$T/us.pcap" | cksum)"

start loop "$WEIR" agent capture -d "$T/j" -r "$T/us.pcap" --loop \
	--speed 0.005
twice() { [ "$(spooled_packets "$T/j/src1")" -ge 1500 ]; }
wait_for 10 twice
stop loop
fields "$T/j/src1" frame frame.time_epoch >"$T/times"
check 'a loop goes round' test "$(wc -l <"$T/times")" -ge 1500
check_equal 'and its times go on' "$(sort -c "$T/times" 2>&1)" ''
finish
