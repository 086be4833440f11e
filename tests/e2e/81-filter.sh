#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Captures through named filters, against what tcpdump takes.
. "${0%/*}/lib.sh"
. "${0%/*}/dataset.sh"
need tcpdump tshark python3 jq

filter() { # OPTIONS...
	rm -rf "$T/out"
	"$WEIR" filter --output "$T/out" "$@" >"$T/filter.out" 2>"$T/filter.err"
}

python3 "$WEIR_SOURCE/tests/e2e/dataset.py" flows "$T/set/one.pcap"
python3 "$WEIR_SOURCE/tests/e2e/dataset.py" flows "$T/set/two.pcap" 7

# same NAME FILTER EXPRESSION: what the filter took of one.pcap is what tcpdump
# takes, packet for packet and byte for byte.
same() {
	tcpdump -r "$T/set/one.pcap" -w "$T/want.pcap" "$3" 2>/dev/null
	check "$1" cmp "$(records "$T/want.pcap")" \
		"$(records "$T/out/$2/one.pcap")"
}

cat >"$T/filter.yml" <<'YAML'
web:
  conditions:
    - kind: port
      match: [80/tcp, 443/tcp]
net:
  conditions:
    - kind: subnet
      match: ["10.1.0.0/16", 2001:db8::/32]
netweb:
  conditions:
    - kind: subnet
      match: [10.1.0.0/16]
    - kind: port
      match:
        - 80/tcp
notweb:
  conditions:
    - kind: port
      negate: true
      match: [80/tcp]
host:
  conditions:
    - {kind: subnet, match: [10.2.0.5]}
mac:
  conditions:
    - {kind: ether, match: ["02:00:00:00:00:AB"]}
dns:
  conditions:
    - {kind: port, match: ["53"]}
raw:
  conditions:
    - {kind: raw, match: ["udp and ip[8] = 64", "icmp"]}
none:
  conditions:
    - {kind: subnet, match: [203.0.113.0/24]}
YAML
filter --yaml "$T/filter.yml" --input "$T/set" --report "$T/report"
check_equal 'G34 nine filters in one pass end well' $? 0
same 'G35 two ports, either of them' web 'tcp port 80 or tcp port 443'
same 'G35 two networks of two kinds' net \
	'(ip net 10.1.0.0/16) or (ip6 net 2001:db8::/32)'
same 'G35 a network and a port: both hold' netweb \
	'ip and net 10.1.0.0/16 and tcp port 80'
same 'G35 negated: not that port' notweb 'not tcp port 80'
same 'G35 a bare address is a network of one' host 'ip host 10.2.0.5'
same 'G35 a MAC address in upper case' mac 'ether host 02:00:00:00:00:ab'
same 'G35 a port of any protocol' dns 'port 53'
same 'G35 an expression of tcpdump, or another' raw \
	'(udp and ip[8] = 64) or icmp'
check 'G34 a filter that takes nothing makes nothing' test ! -e "$T/out/none"
check 'G34 and both inputs have their outputs' test -s "$T/out/web/two.pcap"
check_equal 'G34 the report has a line for each capture and filter' \
	"$(wc -l <"$T/report")" 18
check_equal 'G34 whose numbers are those of the files' \
	"$(jq -r 'select(.filter == "web" and (.input | endswith("one.pcap"))).matched' \
		"$T/report")" "$(count "$T/out/web/one.pcap")"
filter --yaml "$T/filter.yml" --input "$T/set" --workers 1
cp -r "$T/out" "$T/single"
filter --yaml "$T/filter.yml" --input "$T/set" --workers 4
check 'the same with one worker and with four' diff -r "$T/single" "$T/out"

# AS numbers.
python3 "$WEIR_SOURCE/tests/e2e/dataset.py" mmdb "$T/asn.mmdb"
cat >"$T/asn.yml" <<'YAML'
as: {conditions: [{kind: asn, match: [AS64500]}]}
YAML
filter --yaml "$T/asn.yml" --input "$T/set/one.pcap" --maxmind-asn "$T/asn.mmdb"
same 'G35 an AS number, by a MaxMind database' as 'ip net 10.1.0.0/16'
filter --yaml "$T/asn.yml" --input "$T/set/one.pcap"
check_equal 'G35 without a database it was used wrongly' $? 2
check_match 'G35 and the line is told' 'asn.yml, line 1.*--maxmind-asn' \
	"$T/filter.err"

# Tunnels.
cat >"$T/all.yml" <<'YAML'
inner: {conditions: [{kind: subnet, match: [192.168.7.0/24]}]}
YAML
python3 "$WEIR_SOURCE/tests/e2e/dataset.py" tunnels "$T/gre.pcap" gre
python3 "$WEIR_SOURCE/tests/e2e/dataset.py" tunnels "$T/erspan.pcap" erspan
python3 "$WEIR_SOURCE/tests/e2e/dataset.py" tunnels "$T/nested.pcap" nested
filter --yaml "$T/all.yml" --input "$T/gre.pcap"
check_equal 'G36 without --decap the outer addresses count' $? 0
check 'G36 and nothing of the inside is found' test ! -e "$T/out/inner/gre.pcap"
filter --yaml "$T/all.yml" --input "$T/gre.pcap" --decap
check_equal 'G36 out of GRE: IP without a link layer' \
	"$(linktype "$T/out/inner/gre.pcap") $(count "$T/out/inner/gre.pcap")" \
	'101 5'
check_equal 'G36 which tshark opens as IP' \
	"$(tshark -r "$T/out/inner/gre.pcap" -T fields -e frame.protocols \
		2>/dev/null | sort -u)" 'raw:ip:udp:data'
filter --yaml "$T/all.yml" --input "$T/erspan.pcap" --decap
check_equal 'G36 out of ERSPAN: Ethernet' \
	"$(linktype "$T/out/inner/erspan.pcap") $(count "$T/out/inner/erspan.pcap")" \
	'1 5'
for depth in 1 2; do
	filter --yaml "$T/all.yml" --input "$T/nested.pcap" --decap \
		--decap-depth $depth
	[ -e "$T/out/inner/nested.pcap" ] &&
		count "$T/out/inner/nested.pcap" >"$T/depth.$depth" ||
		echo 0 >"$T/depth.$depth"
done
check_equal 'G37 a tunnel in a tunnel: depth 1 finds nothing, 2 does' \
	"$(cat "$T/depth.1" "$T/depth.2" | tr '\n' ' ')" '0 5 '

# Doubles.
cat >"$T/any.yml" <<'YAML'
any: {conditions: [{kind: raw, match: [ip]}]}
YAML
python3 "$WEIR_SOURCE/tests/e2e/dataset.py" doubles "$T/doubles.pcap"
filter --yaml "$T/any.yml" --input "$T/doubles.pcap" --dedup
check_equal 'G38 1 s apart dropped, 10 s apart kept, other TTL a double, other source kept' \
	"$(tcpdump -tt -n -r "$T/out/any/doubles.pcap" 2>/dev/null |
		awk '{print int($1) - 1700000000}' | tr '\n' ' ')" '0 2 10 '
check_match 'G38 and the doubles are counted' '2 doubles were dropped' \
	"$T/filter.err"

# Packing and lengths.
python3 "$WEIR_SOURCE/tests/e2e/dataset.py" snapped "$T/snapped.pcap"
filter --yaml "$T/any.yml" --input "$T/snapped.pcap" --compress
check 'G39 the output is packed with gzip' gzip -t "$T/out/any/snapped.pcap.gz"
check_equal 'G39 a packet cut at 82 bytes keeps its 1500' \
	"$(tshark -r "$T/out/any/snapped.pcap.gz" -T fields -e frame.len \
		-e frame.cap_len 2>/dev/null)" '1500	82'

# Names.
mkdir -p "$T/names/x" "$T/names/y"
cp "$T/set/one.pcap" "$T/names/log.1.1600000000"
cp "$T/set/two.pcap" "$T/names/log.2.1600000000"
cp "$T/set/one.pcap" "$T/names/x/c.pcap"
cp "$T/set/two.pcap" "$T/names/y/c.pcap"
filter --yaml "$T/any.yml" --input "$T/names" --suffix 1600000000,pcap
check_equal 'G40 every input has an output of its own' \
	"$(ls "$T/out/any" | wc -l)" 4
check 'G40 log.1.x is not cut at its dots' \
	test -s "$T/out/any/log.1.1600000000.pcap"

# Mistakes.
mistake() { # NAME REGEX YAML
	printf '%s\n' "$3" >"$T/bad.yml"
	filter --yaml "$T/bad.yml" --input "$T/set"
	check_match "$1" "$2" "$T/filter.err"
}
mistake 'a wrong kind is told with its line' 'line 3: kind is subnet' \
	"$(printf 'a:\n  conditions:\n    - kind: nets\n      match: [x]')"
mistake 'a wrong network, too' 'line 1: a network such as' \
	'a: {conditions: [{kind: subnet, match: [10.0.0.0/33]}]}'
mistake 'a name that leaves the folder is refused' 'cannot be the name' \
	'../x: {conditions: [{kind: subnet, match: [10.0.0.0/8]}]}'
mistake 'an alias is refused' 'aliases are not taken' \
	'a: &x {conditions: *x}'

# EVE.
python3 "$WEIR_SOURCE/tests/e2e/dataset.py" eve "$T/eve.json"
"$WEIR" eve2filter --path-eve "$T/eve.json" --path-filter "$T/eve.yml" \
	2>"$T/eve.err"
check_equal 'G41 eve2filter ends well' $? 0
filter --yaml "$T/eve.yml" --input "$T/set/one.pcap"
check_equal 'G41 and weir filter takes what it wrote' $? 0
same 'G41 which selects that flow only' 1001 \
	'tcp and host 10.1.0.1 and port 40001 and host 10.2.0.1 and port 80'
same 'G41 also with equal ports' 1002 \
	'udp and host 10.1.0.2 and host 10.2.0.5 and src port 53 and dst port 53'
check_equal 'G41 an alert twice makes one filter, other events none' \
	"$(ls "$T/out" | tr '\n' ' ')" '1001 1002 '
check_match 'G41 a line that is no JSON is told' 'lines are not understood' \
	"$T/eve.err"

# extract.
python3 "$WEIR_SOURCE/tests/e2e/dataset.py" suricata "$T/suri"
strace -f -e trace=openat -o "$T/trace" "$WEIR" extract --dir-pcap "$T/suri" \
	--event "$T/suri/event.json" --dump-pcap "$T/flow.pcap" 2>"$T/extract.err" ||
	note "$(cat "$T/extract.err")"
check_equal 'G42 exactly the packets of the flow, both ways, over three files' \
	"$(tcpdump -n -r "$T/flow.pcap" 2>/dev/null |
		grep -c '10.1.0.1.40001 > 10.2.0.1.80\|10.2.0.1.80 > 10.1.0.1.40001') $(count "$T/flow.pcap")" \
	"$(cat "$T/suri/expected") $(cat "$T/suri/expected")"
check 'G43 only later files of the same thread are opened' \
	test "$(grep -o 'suri/pcap\.[0-9.]*' "$T/trace" | sort -u | tr '\n' ' ')" = \
	"suri/pcap.1.1700000000 suri/pcap.1.1700000100 suri/pcap.1.1700000200 suri/pcap.1.1700002000 "
check_match 'G42 it stops when the flow was silent for 600 s' \
	'packets out of 4 files' "$T/extract.err"
for tunnel in gre vxlan; do
	python3 "$WEIR_SOURCE/tests/e2e/dataset.py" tunnels "$T/suri/pcap.9.1" \
		$tunnel
	python3 "$WEIR_SOURCE/tests/e2e/dataset.py" tunnel-event \
		"$T/tunnel.json" $tunnel
	"$WEIR" extract --dir-pcap "$T/suri" --event "$T/tunnel.json" \
		--dump-pcap "$T/tunnel.pcap" 2>"$T/extract.err"
	check_equal "G44 a flow inside $tunnel is found" \
		"$(count "$T/tunnel.pcap")" 5
done
finish
