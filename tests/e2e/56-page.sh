#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The page: what is built in is what its sources give, and a browser shows it.
. "${0%/*}/lib.sh"
need node npm

cd "$WEIR_SOURCE/page" || die 'there is no page'
timeout 120 npm ci --no-audit --no-fund >"$T/npm.log" 2>&1 ||
	skip_all "npm ci does not work here: $(tail -n 1 "$T/npm.log")"
check 'page/built is what its sources give' npm run --silent check
check 'R44 the page is at most 500 KB' \
	test "$(cat built/* | wc -c)" -le 500000

SAMPLE=$WEIR_SOURCE/build/tools/sample.pcap
[ -e "$SAMPLE" ] || SAMPLE=$(dirname "$WEIR_BIN")/../tools/sample.pcap
start page "$WEIR" analyze --no-events --api-listen 127.0.0.1:0 \
	--regex 'flag\{[a-z0-9]+\}' "$SAMPLE"
wait_for 20 grep -q 'the page stays at' "$T/page.err" || die 'no page'
address=$(sed -n 's|.*the page is at http://\([^/]*\)/.*|\1|p' "$T/page.err")
if command -v chromium >/dev/null; then
	while IFS=$'\t' read -r verdict name why; do
		if [ "$verdict" = ok ]; then
			ok "$name"
		else
			not_ok "$name" "$why"
		fi
	done < <(timeout 120 node "$WEIR_SOURCE/tests/e2e/browser.mjs" \
		"$address" "$T" 2>"$T/browser.err" ||
		printf 'not\tbrowser.mjs gets to its end\t%s\n' \
			"$(head -n 5 "$T/browser.err" | tr '\n\t' '  ')")
else
	skip 'R44 a browser shows it' 'needs chromium'
fi
stop page
check_equal 'Ctrl-C ends it' "${status[page]}" 0
finish
