#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The tools that judge the others can say no, and the sample is a real capture.
. "${0%/*}/lib.sh"

mkdir -p "$T/src/base" "$T/src/engine/spool" "$T/src/engine/metrics"
echo '#include "engine/spool/spool.h"' >"$T/src/base/up.c"
echo '#include "engine/spool/spool.h"' >"$T/src/engine/metrics/side.c"
touch "$T/src/engine/spool/spool.h"
"$WEIR_SOURCE/tools/check-layers" "$T" >"$T/layers"
check_equal 'check-layers fails on a wrong include' $? 1
check_match 'an include upwards is found' '# base/up.c includes engine' \
	"$T/layers"
check_match 'an include sideways is found' '# engine/metrics/side.c includes' \
	"$T/layers"

mkdir "$T/logs"
cat >"$T/logs/testlog.json" <<'LOG'
{"name": "a", "result": "OK", "returncode": 0, "stdout": "1..3\nok 1 - I01 x\nok 2 - y # SKIP why\nnot ok 3 - # SKIP z\n"}
{"name": "b", "result": "FAIL", "returncode": 1, "stdout": "1..2\nok 1 - x\nnot ok 2 - I02 y\n"}
{"name": "c", "result": "ERROR", "returncode": -11, "stdout": "1..2\nok 1 - x\n"}
LOG
"$WEIR_SOURCE/tools/test-results" "$T/logs" >"$T/count"
check_equal 'a failed check is a failed run' $? 1
check_equal 'checks, crashes and skips are counted' "$(tail -n 1 "$T/count")" \
	'3 passed, 2 failed, 2 skipped'
rm "$T/logs/testlog.json"
"$WEIR_SOURCE/tools/test-results" "$T/logs" >"$T/count"
check_equal 'a run of nothing is no success' $? 1

sample=${WEIR_BIN%/src/weir}/tools/sample.pcap
"${sample%sample.pcap}gen-sample" "$T/again.pcap"
check 'the sample is the same bytes every time' cmp "$sample" "$T/again.pcap"
if command -v tshark >/dev/null; then
	tshark -r "$sample" -T fields -e _ws.col.Protocol 2>/dev/null \
		>"$T/protocols"
	check 'the sample has 20 000 packets and more' \
		test "$(wc -l <"$T/protocols")" -ge 20000
	check 'its traffic is varied' \
		test "$(sort -u "$T/protocols" | wc -l)" -ge 11
	bad=$(tshark -r "$sample" -o ip.check_checksum:TRUE \
		-o tcp.check_checksum:TRUE -o udp.check_checksum:TRUE -Y \
		'tcp.checksum.status == 0 || udp.checksum.status == 0' \
		2>/dev/null | wc -l)
	check_equal 'its checksums are right' "$bad" 0
	bad=$(tshark -r "$sample" -Y _ws.malformed 2>/dev/null | wc -l)
	check_equal 'nothing in it is malformed' "$bad" 0
else
	skip 'the sample has 20 000 packets and more' 'no tshark'
fi
finish
