#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Packets of an interface reach the spool whole, in order, with their tags.
. "${0%/*}/lib.sh"
. "${0%/*}/capture.sh"
need root tshark tcpdump

ns_make a b
ns_cable a veth0 10.0.0.1 b game 10.0.0.2
spool=$T/spool

# -- all of them, in order -------------------------------------------------

capture one @b -d "$spool" --iface game -n first
ns a "$BLAST" -i veth0 -n 10000 -s 200 >/dev/null
wait_for 10 has_captured "$spool/src1" 10000
stop one
check_equal 'capture ends with status 0 on SIGTERM' "${status[one]}" 0
numbers "$spool/src1" 'udp.dstport == 9' >"$T/numbers"
check_equal 'I01 10 000 numbered packets are in the spool, in order' \
	"$(cksum <"$T/numbers")" "$(seq 0 9999 | cksum)"
check_match 'the spool has the name that was given' '^name first$' \
	"$spool/src1/id"
check_match 'I21 a veth has link type 1' '^linktype 1$' "$spool/src1/id"

# -- one writer --------------------------------------------------------------

capture one @b -d "$spool" --iface game
ns b "$WEIR" agent capture -d "$spool" --iface game 2>"$T/second"
check_equal 'I26 a second capture into the same directory fails' $? 1
check_match 'I26 and says why' 'spool/src1' "$T/second"
stop one

# -- tags and long frames, both directions --------------------------------------

both_ways() { # NAME BLAST-OPTIONS...: the same bytes from either end
	local name=$1 dir=$T/$1
	shift
	# The second "vlan" is the one inside the first.
	capture "$name" @b -d "$dir" --iface game -f "udp port 1234 or
		(vlan and udp port 1234) or (vlan and udp port 1234)"
	ns a "$BLAST" -i veth0 --to-port 1234 "$@" >/dev/null
	ns b "$BLAST" -i game --to-port 1234 "$@" >/dev/null
	wait_for 10 has_captured "$dir/src1" 2
	stop "$name"
	tcpdump -xx -n -t -r "$dir/src1/00000000000000000000.pcap" \
		>"$T/$name.hex" 2>/dev/null
	check_equal "$name: both directions, the bytes as they were sent" \
		"$(grep -c 0x0000: "$T/$name.hex") $(grep 0x00 "$T/$name.hex" |
			sort -u | wc -l)" \
		"2 $(grep 0x00 "$T/$name.hex" | wc -l | awk '{print $1 / 2}')"
}
both_ways plain -s 100
both_ways tagged -s 100 --tag 8100:6005
check_match 'tagged: type, priority and number are there' \
	'0x0000:  0200 0000 0002 0200 0000 0001 8100 6005' "$T/tagged.hex"
both_ways zero -s 100 --tag 8100:0000
check_match 'zero: number 0 is a tag too' \
	'0x0000:  0200 0000 0002 0200 0000 0001 8100 0000' "$T/zero.hex"
both_ways qinq -s 100 --tag 88a8:e001 --tag 8100:2002
check_match 'qinq: both tags, each with its type' \
	'0x0000:  0200 0000 0002 0200 0000 0001 88a8 e001' "$T/qinq.hex"
check_match 'qinq: the inner one behind it' '0x0010:  8100 2002 0800' \
	"$T/qinq.hex"

# An offloaded segment is longer than any wire's frame.
if command -v socat >/dev/null; then
	capture long @b -d "$T/long" --iface game -f 'tcp port 4444'
	start server @b socat -u TCP-LISTEN:4444,reuseaddr OPEN:/dev/null
	wait_for 5 listening 4444 @b
	head -c 20000000 /dev/zero | ns a socat -u -b 1000000 - \
		TCP:10.0.0.2:4444
	join server 10
	stop long
	longest=$(fields "$T/long/src1" tcp frame.len | sort -n | tail -n 1)
	check "frames beyond the MTU are whole (the longest: $longest)" \
		test "$longest" -gt 1514
	check_equal 'and none was cut' "$(how_many "$T/long/src1" \
		'frame.cap_len < frame.len')" 0
fi

# -- every kind of link --------------------------------------------------------

if [ -c /dev/net/tun ] || mknod /dev/net/tun c 10 200 2>/dev/null; then
	mkfifo "$T/hold"
	ns b ip tuntap add mode tun name tun5
	ns b ip link set tun5 up
	capture tun @b -d "$T/tun" --iface tun5
	exec 9<>"$T/hold"
	start tunblast @b bash -c "exec '$BLAST' -t tun5 -n 20 <'$T/hold'"
	wait_for 10 has_captured "$T/tun/src1" 20
	stop tun
	echo >&9
	join tunblast 5
	check_match 'I21 a TUN device has link type 101' '^linktype 101$' \
		"$T/tun/src1/id"
	check_equal 'I21 and its packets are bare IP' \
		"$(numbers "$T/tun/src1" 'raw && udp.dstport == 9' | cksum)" \
		"$(seq 0 19 | cksum)"
else
	skip 'I21 a TUN device has link type 101' 'no /dev/net/tun'
fi

capture any @b -d "$T/any" --iface any -f 'not ip6 and not arp'
ns a "$BLAST" -i veth0 -n 5 >/dev/null
ns a "$BLAST" -i veth0 -n 5 --tag 8100:0005 >/dev/null
ns b bash -c 'for i in 1 2 3; do echo x >/dev/udp/127.0.0.1/9; done'
wait_for 10 has_captured "$T/any/src1" 13
stop any
check_match 'any interface is cooked, link type 276' '^linktype 276$' \
	"$T/any/src1/id"
check_equal 'any: packets of the cable' "$(how_many "$T/any/src1" \
	'sll && udp.dstport == 9 && ip.src == 10.0.0.1 && !vlan')" 5
check_equal 'any: with their tags' "$(how_many "$T/any/src1" \
	'vlan.id == 5 && udp.dstport == 9')" 5
check_equal 'any: loopback, each once' "$(how_many "$T/any/src1" \
	'ip.dst == 127.0.0.1 && udp.dstport == 9 && !icmp')" 3

# -- options ---------------------------------------------------------------------

capture cut @b -d "$T/cut" --iface game -s 64 -f 'udp port 9'
ns a "$BLAST" -i veth0 -n 3 -s 900 --tag 8100:0001 >/dev/null
ns a "$BLAST" -i veth0 -n 3 -s 900 >/dev/null
wait_for 10 has_captured "$T/cut/src1" 3
stop cut
check_equal 'snaplen cuts and the length is kept; the filter sees the tag' \
	"$(fields "$T/cut/src1" frame frame.cap_len frame.len | sort -u)" \
	$'64\t900'

ns b "$WEIR" agent capture -d "$T/x" --iface game -f 'tcp prot 80' 2>"$T/bad"
check_equal 'a wrong filter is wrong use' $? 2
check 'and captures nothing' test ! -e "$T/x"
finish
