#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# From a fresh clone, one command: packets on a port.
. "${0%/*}/lib.sh"
need git tshark curl

[ -e "$WEIR_SOURCE/.git" ] || skip_all 'not a clone of the project'
git clone -q "$WEIR_SOURCE" "$T/clone" || die 'the project cannot be cloned'

# What is shown is that nothing is missing; an optimizer has no part in that.
export CFLAGS='-O0 -Wno-cpp'
port=$(free_port)
begun=$(date +%s)
start up "$T/clone/up" --state-dir "$T/state" --listen "127.0.0.1:$port"
check 'X01 ./up of a fresh clone says where packets are, within 3 minutes' \
	wait_for 180 grep -q '^Packets of ' "$T/up.out"
timeout 60 tshark -i "TCP@127.0.0.1:$port" -c 200 -T fields -e frame.len \
	>"$T/read" 2>/dev/null
check_equal 'X01 and tshark reads them' "$(wc -l <"$T/read")" 200
page=$(sed -n 's|^The page is at \(http://.*/\)$|\1|p' "$T/up.out")
check 'X01 the page answers' curl -sf -o "$T/page" "$page"
has_streams() {
	curl -sf "${page}api/streams" | grep -q '"stream_id_hex"'
}
check 'X01 with streams in it' wait_for 20 has_streams
note "from the clone to packets: $(($(date +%s) - begun)) s"
check 'it ends when asked' stop up INT
check_equal 'with status 0' "${status[up]}" 0
check_equal 'and the clone is as it was' \
	"$(git -C "$T/clone" status --porcelain)" ''
finish
