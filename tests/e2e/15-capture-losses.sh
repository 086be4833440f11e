#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What the kernel could not hold is counted to the packet and stands in the
# spool where it was lost; a capture that is stuck is not called alive.
. "${0%/*}/lib.sh"
. "${0%/*}/capture.sh"
need root tshark python3

ns_make a b
ns_cable a veth0 10.0.0.1 b game 10.0.0.2
spool=$T/spool/src1

# -- overflow ---------------------------------------------------------------

port=$(free_port)
capture small @b -d "$T/spool" --iface game --ring-mib 1 -f 'udp port 9' \
	-m "$port"
ns a "$BLAST" -i veth0 -n 100 -s 1000 >/dev/null
wait_for 10 has_captured "$spool" 100
kill -STOP "${pid[small]}"
ns a "$BLAST" -i veth0 -n 20000 -s 1000 --first 100 >/dev/null
kill -CONT "${pid[small]}"
balanced() { [ $(($(captured "$spool") + $(dropped "$spool"))) -eq "$1" ]; }
check 'I24 captured and dropped make what was sent, to the packet' \
	wait_for 10 balanced 20100
check "I24 the ring was too small ($(dropped "$spool") dropped)" \
	test "$(dropped "$spool")" -gt 10000
ns b curl -s "http://127.0.0.1:$port/metrics" >"$T/metrics"
check_match 'I24 the metrics say so' \
	'^weir_capture_kernel_drops_total\{src="1"\} [1-9]' "$T/metrics"
ns a "$BLAST" -i veth0 -n 100 -s 1000 --first 20100 >/dev/null
check 'capture goes on' wait_for 10 balanced 20200
stop small
python3 - "$spool" >"$T/places" <<'PY'
import glob, struct, sys
lost = at = 0
for path in sorted(glob.glob(sys.argv[1] + '/*[0-9].idx')):
    data = open(path, 'rb').read()[128:]
    for i in range(0, len(data), 64):
        if data[i] == 1:
            count, first = struct.unpack_from('<IQ', data, i + 4)
            at = first + count
        if data[i] == 2:
            where, n = struct.unpack_from('<QQ', data, i + 8)
            lost += n
            print('at', where)
print('lost', lost)
PY
check_match 'I24 the spool has the same number in its DROPs' \
	"^lost $(dropped "$spool")\$" "$T/places"
numbers "$spool" udp >"$T/numbers"
hole=$(awk 'NR > 1 && $1 != last + 1 {print NR - 1; exit} {last = $1}' \
	"$T/numbers")
check_match "I24 and the DROP stands where packets are missing ($hole)" \
	"^at $hole\$" "$T/places"

# -- the service manager -------------------------------------------------------

cat >"$T/manager.py" <<'PY'
import socket, sys, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print('bound', flush=True)
while True:
    text = s.recv(4096).decode()
    print('%.3f %s' % (time.monotonic(), text), flush=True)
PY
start manager python3 "$T/manager.py" "$T/notify"
wait_for 5 grep -q bound "$T/manager.out"
said() { grep -c " $1" "$T/manager.out"; }
says() { [ "$(said "$1")" -ge "$2" ]; }
silent_for() { # SECONDS: nothing but status lines
	local before
	before=$(said WATCHDOG)
	! wait_for "$1" says WATCHDOG $((before + 1))
}

# A file system that can be frozen stands for a disk that hangs.
truncate -s 96M "$T/disk"
mkdir "$T/mnt"
frozen=false
if mkfs.ext4 -q "$T/disk" && mount -o loop "$T/disk" "$T/mnt"; then
	trap 'umount -l "$T/mnt" 2>/dev/null; at_exit' EXIT
	frozen=true
fi
export NOTIFY_SOCKET=$T/notify WATCHDOG_USEC=1000000
capture watched @b -d "$T/mnt" --iface game
unset NOTIFY_SOCKET WATCHDOG_USEC
check 'I25 READY is said' wait_for 5 says READY=1 1
check 'I25 WATCHDOG is said while nothing is captured' \
	wait_for 5 says WATCHDOG=1 4
awk '/WATCHDOG/ {if (last) print $1 - last; last = $1}' "$T/manager.out" |
	sort -n >"$T/gaps"
check "I25 about every half second ($(tr '\n' ' ' <"$T/gaps"))" \
	awk '$1 < 0.3 || $1 > 0.9 {exit 1}' "$T/gaps"
check 'I25 the status tells of the capture' says 'STATUS=game up' 1
if $frozen; then
	# Whatever becomes of this script, the disk does not hang for ever.
	(
		sleep 5
		fsfreeze -u "$T/mnt"
	) &
	fsfreeze -f "$T/mnt"
	ns a "$BLAST" -i veth0 -n 100 -s 1000 >/dev/null
	# One may still be under way from before the packets came.
	wait_for 1 false
	check 'I25 no WATCHDOG while the disk hangs' silent_for 2
	before=$(said WATCHDOG)
	check 'I25 and again when it does not' \
		wait_for 10 says WATCHDOG $((before + 1))
else
	skip 'I25 no WATCHDOG while the disk hangs' 'no loop device'
fi
stop watched
check_equal 'I25 READY was said once' "$(said READY=1)" 1
check_equal 'STOPPING too' "$(said STOPPING=1)" 1
check_equal 'and capture ended well' "${status[watched]}" 0
finish
