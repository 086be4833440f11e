#!/usr/bin/env bash
# weir-agent is one static file that runs where there is nothing else.
. "${0%/*}/lib.sh"

agent=${WEIR_AGENT:-${WEIR%/*}/weir-agent}
[ -x "$agent" ] || skip_all "weir-agent is not built here (sanitizers)"
need strip ldd readelf

check_match 'I68 weir-agent is statically linked' 'static' \
	<(ldd "$agent" 2>&1)
check_equal 'I68 it asks for no loader' \
	"$(readelf -lW "$agent" | grep -c INTERP)" 0
check_equal 'I68 it needs no library' \
	"$(readelf -dW "$agent" | grep -c NEEDED)" 0

mkdir -p "$T/root"
strip -o "$T/root/weir-agent" "$agent" || die "strip failed"
size=$(stat -c %s "$T/root/weir-agent")
check "I68 it has at most 8 MiB when stripped ($size bytes)" \
	test "$size" -le $((8 << 20))

for command in listen keygen version; do
	check "I68 it has the command $command" "$agent" help "$command"
done
"$agent" keygne >/dev/null 2>"$T/err"
check_equal 'a wrong word is wrong use' $? 2
check_match 'and the right one is named' 'weir-agent:.*keygen' "$T/err"

# An empty root: no loader, no library, no /etc, no /dev.
[ "$(id -u)" -eq 0 ] || {
	skip 'I68 it runs in an empty root' 'chroot needs root'
	finish
}
inside() {
	chroot "$T/root" /weir-agent "$@"
}
check 'I68 it runs in an empty root' inside version
check_equal 'I68 it tells the same version' \
	"$(inside version)" "$("$agent" version)"
inside keygen --out /agent.key >"$T/public" 2>/dev/null
check_equal 'I68 it makes a key in an empty root' $? 0
check_equal 'I68 which the other program reads' \
	"$("$WEIR" keygen --public "$T/root/agent.key")" "$(cat "$T/public")"
finish
