#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# weir up: one command, packets on a port, and a clean end.
. "${0%/*}/lib.sh"
need tshark editcap capinfos script

sample=${WEIR_BIN%/src/weir}/tools/sample.pcap

# The processes that a process has started.
children_of() { # PID
	cat "/proc/$1/task/$1/children"
}

all_gone() { # PID...
	local p
	for p; do
		! kill -0 "$p" 2>/dev/null || return 1
	done
}

announced() { # NAME
	grep -q '^Packets of ' "$T/$1.out"
}

# How many packets come from a port, of at most so many, within some seconds.
read_packets() { # PORT COUNT SECONDS
	timeout "$3" tshark -i "TCP@127.0.0.1:$1" -c "$2" -w - 2>/dev/null |
		tshark -r - -T fields -e frame.len 2>/dev/null | wc -l
}

# -- the sample, looping ---------------------------------------------------

port=$(free_port)
start up "$WEIR" up --state-dir "$T/state" --listen "127.0.0.1:$port"
wait_for 20 announced up || die 'weir up does not say where packets are'
check_match 'a tshark line to try is printed' "tshark -i TCP@127.0.0.1:$port" \
	"$T/up.out"
check_match 'and a tcpdump line' "tcpdump -nr - </dev/tcp/127.0.0.1/$port" \
	"$T/up.out"
check_equal 'tshark reads packets of the sample' \
	"$(read_packets "$port" 300 60)" 300
timeout 30 bash -c "tcpdump -c 20 -nr - </dev/tcp/127.0.0.1/$port" \
	>"$T/tcpdump" 2>/dev/null
check_equal 'the tcpdump line works as printed' "$(wc -l <"$T/tcpdump")" 20

# -- what a second one, and a taken port, are told -------------------------

"$WEIR" up --state-dir "$T/state" --listen "127.0.0.1:$(free_port)" \
	>/dev/null 2>"$T/second"
check_equal 'a second one on the same folder exits 1' $? 1
check_match 'and says what to do' 'another weir up uses .*state; .*--state-dir' \
	"$T/second"
"$WEIR" up --state-dir "$T/other" --listen "127.0.0.1:$port" \
	>/dev/null 2>"$T/taken"
check_equal 'a taken port exits 1' $? 1
check_match 'and says what to do about it' \
	"another program listens on 127.0.0.1:$port; .*--listen" "$T/taken"
check 'before anything was made' test ! -e "$T/other"

"$WEIR" up --state-dir "$T/other" --listen 127.0.0.1:4242,form=live \
	>/dev/null 2>"$T/options"
check_equal "a listener's option that is not there exits 2" $? 2
check_match 'and the nearest one is offered' 'did you mean from' "$T/options"
"$WEIR" up --state-dir "$T/other" --listen 127.0.0.1:70000 >/dev/null \
	2>"$T/options"
check_equal 'so does a port over 65535' $? 2

# -- a crash ----------------------------------------------------------------

victim=
for p in $(children_of "${pid[up]}"); do
	! tr '\0' ' ' <"/proc/$p/cmdline" | grep -q ' collector ' || victim=$p
done
kill -KILL "$victim"
check 'a killed child is started again, and that is said' wait_for 10 \
	logged up 'collector was ended by signal 9 .*; it starts again in 1.0 s'
wait_for 20 listening "$port"
check_equal 'packets flow again' "$(read_packets "$port" 100 60)" 100
check 'in a pipe a line of counters comes every 10 s' wait_for 25 logged up \
	'up: [0-9]+ packets, [0-9]+/s, lag [0-9]+, drops [0-9]+, .* in the mirror'
check 'and nothing is redrawn' bash -c "! grep -q $'\r' '$T/up.err'"

# -- Ctrl-C -----------------------------------------------------------------

read -ra children <<<"$(children_of "${pid[up]}")"
check_equal 'there are four children' "${#children[@]}" 4
before=$(date +%s%N)
stop up INT 10
check_equal 'Ctrl-C ends it with status 0' "${status[up]}" 0
check 'within 5 s' test $((($(date +%s%N) - before) / 1000000)) -le 5500
check 'and none of its children is left' all_gone "${children[@]}"

# Its own death leaves nothing behind either.
start up2 "$WEIR" up --state-dir "$T/state" --listen "127.0.0.1:$port"
wait_for 20 announced up2 || die 'it does not start again on its folder'
read -ra children <<<"$(children_of "${pid[up2]}")"
stop up2 KILL
check 'killed, it takes its children along' wait_for 10 all_gone "${children[@]}"

# -- a file, once -----------------------------------------------------------

tshark -r "$sample" -c 500 -w "$T/500.pcap" -F nsecpcap 2>/dev/null
start file "$WEIR" up --state-dir "$T/state" --listen "127.0.0.1:$port" \
	--top-speed "$T/500.pcap"
check 'a file is played to its end' wait_for 30 logged file \
	'500.pcap is at its end; its packets stay on'
check_equal 'and read whole by who comes later' \
	"$(read_packets "$port" 500 60)" 500
tshark -r "$T/500.pcap" -T fields -e frame.time_epoch -e tcp.seq_raw \
	>"$T/want" 2>/dev/null
timeout 60 tshark -i "TCP@127.0.0.1:$port" -c 500 -w "$T/got.pcap" 2>/dev/null
tshark -r "$T/got.pcap" -T fields -e frame.time_epoch -e tcp.seq_raw \
	2>/dev/null | sed 's/^\([0-9]*\.[0-9]\{6\}\)[0-9]*/\1/' >"$T/got"
sed -i 's/^\([0-9]*\.[0-9]\{6\}\)[0-9]*/\1/' "$T/want"
check 'with its times and its content' cmp "$T/want" "$T/got"
stop file INT
check_equal 'it ends with status 0' "${status[file]}" 0

# Another link type begins another spool, whose numbers begin at 0 again.
editcap -T rawip4 "$T/500.pcap" "$T/raw.pcap"
start raw "$WEIR" up --state-dir "$T/state" --listen "127.0.0.1:$port" \
	--top-speed "$T/raw.pcap"
wait_for 30 logged raw 'raw.pcap is at its end'
timeout 60 tshark -i "TCP@127.0.0.1:$port" -c 500 -w "$T/raw-got.pcap" \
	2>/dev/null
check_equal 'a file of another link type is read whole, too' \
	"$(capinfos -rTE "$T/raw-got.pcap" | cut -f 2)" rawip4
stop raw INT

echo 'no capture at all' >"$T/nonsense"
start wrong "$WEIR" up --state-dir "$T/state" --listen "127.0.0.1:$port" \
	"$T/nonsense"
join wrong 20
check_equal 'a file that is no capture is a failure' "${status[wrong]}" 1
check_match 'with a sentence that names it' 'nonsense' "$T/wrong.err"
"$WEIR" up --state-dir "$T/state" --listen "127.0.0.1:$port" nowhere0 \
	2>"$T/nowhere"
check_match 'what is neither file nor interface is said' \
	'nowhere0 is neither a file that can be read nor an interface' \
	"$T/nowhere"

# -- an interface -------------------------------------------------------------

if may_network; then
	ns_make a b
	ns_cable a wire 10.9.0.1 b wire 10.9.0.2
	start iface @a "$WEIR" up --state-dir "$T/live" wire
	wait_for 20 announced iface || die 'weir up wire does not start'
	# Send until the reader, which begins with what comes then, has enough.
	start reader @a timeout 60 tshark -i TCP@127.0.0.1:4242 -c 30 \
		-Y 'udp.dstport == 4711' -T fields -e ip.dst
	start sender @a bash -c \
		'while :; do echo x >/dev/udp/10.9.0.2/4711; sleep 0.02; done'
	join reader 60
	check 'packets of an interface are read' \
		test "$(grep -c '^10.9.0.2$' "$T/reader.out")" -ge 10
	stop sender KILL
	check 'and it ends' stop iface INT
else
	skip 'packets of an interface are read' 'needs root'
fi

# -- a terminal ---------------------------------------------------------------

start tty script -qec "$WEIR up --state-dir $T/state --listen 127.0.0.1:$port" \
	"$T/typescript"
check 'on a terminal one line of counters is redrawn' wait_for 20 \
	grep -qE $'\r\x1b\\[K[0-9]+ packets, [0-9]+/s, lag' "$T/typescript"
stop tty TERM
finish
