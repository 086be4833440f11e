#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What is left out of a capture is left out both ways, behind every header,
# and nothing else is.
. "${0%/*}/lib.sh"
. "${0%/*}/capture.sh"
need root tshark socat

ns_make a b
ns_cable a veth0 10.0.0.1 b game 10.0.0.2

# Numbered packets from both ends: what a peer sends comes without its outer
# tag, what this end sends comes with it.
from_both() { # BLAST-OPTIONS...
	ns a "$BLAST" -i veth0 -n 10 "$@" >/dev/null || die "blast $*"
	ns b "$BLAST" -i game -n 10 "$@" >/dev/null || die "blast $*"
}

tags=('' '--tag 8100:0005' '--tag 88a8:0006 --tag 8100:0007')
tag_names=('no tag' 'one tag' 'two tags')
sides4='--src 10.9.0.1 --dst 10.9.0.2'
sides6='--src fd00::1 --dst fd00::2'

# Everything, for each header: excluded to and from, and a port that is not.
blast_all() {
	local t sides
	for t in "${tags[@]}"; do
		for sides in "$sides4" "$sides6"; do
			# shellcheck disable=SC2086
			{
				from_both --tcp --to-port 7878 $sides $t
				from_both --tcp --from-port 7878 $sides $t
				from_both --tcp --to-port 80 $sides $t
				from_both --to-port 7878 $sides $t
			}
		done
	done
}

# -- ports ------------------------------------------------------------------

capture ports @b -d "$T/ports" --iface game --exclude-port 7878,1 \
	--exclude-port 2
check_match 'I17 a log line says what is hidden' \
	'TCP port 7878, TCP port 1, TCP port 2' "$T/ports.err"
blast_all
wait_for 10 has_captured "$T/ports/src1" 240
stop ports
check_equal 'I17 no packet to or from TCP 7878 is spooled' \
	"$(how_many "$T/ports/src1" 'tcp.port == 7878')" 0
for i in 0 1 2; do
	case $i in
	0) vlan='!vlan' ;;
	1) vlan='vlan.id == 5' ;;
	2) vlan='ieee8021ad.id == 6 && vlan.id == 7' ;;
	esac
	for ip in ip ipv6; do
		check_equal "I17 TCP 80 over $ip with ${tag_names[i]} is" \
			"$(how_many "$T/ports/src1" \
				"tcp.dstport == 80 && $ip && $vlan")" 20
		check_equal "I17 UDP 7878 over $ip with ${tag_names[i]} is" \
			"$(how_many "$T/ports/src1" \
				"udp.dstport == 7878 && $ip && $vlan")" 20
	done
done

# -- hosts ------------------------------------------------------------------

capture hosts @b -d "$T/hosts" --iface game --mgmt 10.0.0.0/8,fd00::/64
blast_all
from_both --src 192.0.2.1 --dst 10.200.0.9
from_both --src 10.200.0.9 --dst 192.0.2.1 --fragment 100
from_both --src 192.0.2.1 --dst 11.0.0.1
from_both --src fd00:0:0:1::1 --dst 2001:db8::1
wait_for 10 has_captured "$T/hosts/src1" 40
stop hosts
check_equal 'I18 no packet to or from 10.0.0.0/8 is spooled' "$(how_many \
	"$T/hosts/src1" 'ip.addr == 10.0.0.0/8')" 0
check_equal 'I18 nor of fd00::/64' "$(how_many "$T/hosts/src1" \
	'ipv6.addr == fd00::/64')" 0
check_equal 'I18 other networks are' "$(how_many "$T/hosts/src1" \
	'ip.addr == 11.0.0.1 || ipv6.addr == 2001:db8::1')" 40

# -- fragments ---------------------------------------------------------------

# 8 bytes into a datagram there is payload where the ports were.
capture fragments @b -d "$T/fragments" --iface game --exclude-port 7878
from_both --tcp --to-port 7878 --fragment 1
from_both --tcp --from-port 7878 --fragment 8193
from_both --tcp --to-port 7878 --fragment 8192
wait_for 10 has_captured "$T/fragments/src1" 40
stop fragments
check_equal 'I19 fragments that are not the first are kept' "$(how_many \
	"$T/fragments/src1" 'ip.frag_offset > 0')" 40
check_equal 'I19 the first one has its ports and goes' "$(how_many \
	"$T/fragments/src1" 'ip.frag_offset == 0 && ip.proto == 6')" 0

# -- live links ----------------------------------------------------------------

mkdir "$T/links"
capture links @b -d "$T/links" --iface game
from_both --tcp --to-port 7878 --src 10.0.0.1 --dst 10.0.0.2
wait_for 10 has_captured "$T/links/src1" 20
echo '10.0.0.2 7878 10.0.0.1 40000' >"$T/links/links.tmp"
mv "$T/links/links.tmp" "$T/links/links"
wait_for 10 logged links 'live links left out: 1'
from_both --tcp --to-port 7878 --src 10.0.0.1 --dst 10.0.0.2
from_both --tcp --from-port 7878 --to-port 40000 --src 10.0.0.2 \
	--dst 10.0.0.1
from_both --tcp --to-port 7878 --src 10.0.0.3 --dst 10.0.0.2
from_both --tcp --to-port 7878 --from-port 40001
wait_for 10 has_captured "$T/links/src1" 60
: >"$T/links/links.tmp"
mv "$T/links/links.tmp" "$T/links/links"
wait_for 10 logged links 'live links left out: 0'
from_both --tcp --to-port 7878 --src 10.0.0.1 --dst 10.0.0.2
wait_for 10 has_captured "$T/links/src1" 80
stop links
check_equal 'a live link is left out while it lives, both ways' "$(how_many \
	"$T/links/src1" 'ip.addr == 10.0.0.1 && tcp.port == 40000')" 40
check_equal 'its port is no blind spot for other hosts' "$(how_many \
	"$T/links/src1" 'ip.src == 10.0.0.3')" 20
check_equal 'nor for other ports' "$(how_many \
	"$T/links/src1" 'tcp.port == 40001')" 20
finish
