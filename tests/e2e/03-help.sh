#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every command of the table has help, a manual page, and an answer to misuse.
. "${0%/*}/lib.sh"

pages=${WEIR_BIN%/src/weir}/doc/man
commands() {
	"$WEIR" help | sed -n '/^Commands:/,/^$/s/^  \([a-z0-9 -]*[a-z0-9]\)  .*/\1/p'
}

# Warnings of the formatter are mistakes in the page.
page_is_clean() { # PAGE
	[ -s "$1" ] || return
	! command -v groff >/dev/null || [ -z "$(groff -K utf8 -man -Tutf8 -ww -z "$1" 2>&1)" ]
}

commands >"$T/commands"
check 'there are commands' test "$(wc -l <"$T/commands")" -ge 2
check 'weir(1) is a page' page_is_clean "$pages/weir.1"
while read -r command; do
	read -ra words <<<"$command"
	"$WEIR" help "${words[@]}" >"$T/help"
	check_match "help $command says how to use it" "^Usage: weir $command" \
		"$T/help"
	"$WEIR" "${words[@]}" --help >"$T/help2"
	check "$command --help is the same" cmp "$T/help" "$T/help2"
	check_equal "help $command fits a terminal" \
		"$(LC_ALL=C.UTF-8 grep -E '.{80}' "$T/help")" ''
	check "weir-${command// /-}(1) is a page" \
		page_is_clean "$pages/weir-${command// /-}.1"
	"$WEIR" "${words[@]}" --no-such-option 2>"$T/wrong" >/dev/null
	check_equal "$command with a wrong option exits 2" $? 2
	check_match "$command says which option was wrong" \
		'there is no option --no-such-option' "$T/wrong"
done <"$T/commands"
finish
