#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The sources of a broker that need a network: an interface, and another
# machine's interface over ssh.  Neither shows the broker's own connections.
. "${0%/*}/lib.sh"
need root python3 tcpdump socat

PCAP="python3 $WEIR_SOURCE/tests/e2e/pcap.py"
readonly PCAP

ns_make here there
ns_cable here cable 10.77.1.1 there cable 10.77.1.2

# Read a feed in namespace `here` until it has told of enough words.
words() { # FILE
	tcpdump -nr "$1" -A 'udp port 777' 2>/dev/null | grep -c 'word-[0-9]'
}

speak() { # FROM TO-ADDRESS
	local i
	for i in $(seq 20); do
		echo "word-$i" | ns "$1" socat -u - "UDP:$2:777"
	done
}

# -- an interface ----------------------------------------------------------------

start iface @here "$WEIR" broker -n --iface any --listen 10.77.1.1:4242
wait_for 10 listening 4242 @here || die 'it does not listen'
start out @there socat -u TCP:10.77.1.1:4242 "CREATE:$T/iface.pcap"
wait_for 10 test -s "$T/iface.pcap" || die 'no header comes'
speak there 10.77.1.1
wait_for 10 bash -c "[ \$(tcpdump -nr '$T/iface.pcap' 'udp port 777' \
	2>/dev/null | wc -l) -ge 20 ]"
check_equal 'B01 an interface is a source' "$(words "$T/iface.pcap")" 20
check_equal 'B16 the feed does not show itself' \
	"$(tcpdump -nr "$T/iface.pcap" 'tcp port 4242 and greater 200' \
		2>/dev/null | wc -l)" 0
check 'B16 nor does it grow by itself' \
	test "$(stat -c %s "$T/iface.pcap")" -lt 100000
stop iface
check_equal 'B12 it ends well' "${status[iface]}" 0
join out

# -- ssh ---------------------------------------------------------------------------

if ! [ -x /usr/sbin/sshd ] || ! command -v ssh >/dev/null; then
	skip 'B16 over ssh' 'needs openssh-server and ssh'
	finish
fi
ssh-keygen -q -t ed25519 -N '' -f "$T/host_key"
ssh-keygen -q -t ed25519 -N '' -f "$T/user_key"
cp "$T/user_key.pub" "$T/authorized_keys"
cat >"$T/sshd_config" <<END
Port 2222
ListenAddress 10.77.1.2
HostKey $T/host_key
AuthorizedKeysFile $T/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
END
mkdir -p /run/sshd
start sshd @there /usr/sbin/sshd -D -e -f "$T/sshd_config"
wait_for 10 listening 2222 @there || die 'sshd does not listen'

# doc/feed.md, "A capture over ssh", with a port and keys of its own.
ssh="ssh -p 2222 -i $T/user_key -o UserKnownHostsFile=$T/known_hosts"
ssh="$ssh -o StrictHostKeyChecking=no -o BatchMode=yes root@10.77.1.2"
remote='BPF=$(echo $SSH_CLIENT | awk "{printf \"not (host %s and port %s and
	%s)\", \$1, \$2, \$3;}") && tcpdump -U --immediate-mode -ni cable $BPF
	-s 65535 -w -'
start ssh @here "$WEIR" broker -n --listen 127.0.0.1:4242 \
	--cmd "$ssh '$(tr -d '\n' <<<"$remote")'"
wait_for 20 logged ssh 'listening on cable' || die 'no tcpdump over ssh'
start read @here socat -u TCP:127.0.0.1:4242 "CREATE:$T/ssh.pcap"
wait_for 10 test -s "$T/ssh.pcap" || die 'no header comes'
speak here 10.77.1.2
wait_for 10 bash -c "[ \$(tcpdump -nr '$T/ssh.pcap' 'udp port 777' \
	2>/dev/null | wc -l) -ge 20 ]"
check_equal 'B16 a capture over ssh gives its packets' "$(words "$T/ssh.pcap")" \
	20
check_equal 'B16 without the connection that carries it' \
	"$(tcpdump -nr "$T/ssh.pcap" 'port 2222' 2>/dev/null | wc -l)" 0
check 'B16 whose own bytes would be many' test "$(stat -c %s \
	"$T/ssh.pcap")" -lt 20000
check_match 'B09 what the far tcpdump says is in the log' \
	'command: .*listening on cable' "$T/ssh.err"
stop ssh
check_equal 'B12 it ends well' "${status[ssh]}" 0
join read
stop sshd
finish
