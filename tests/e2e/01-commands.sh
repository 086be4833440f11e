#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a person meets first: the list of commands, help, and being corrected.
. "${0%/*}/lib.sh"

check 'weir version prints one line' \
	bash -c '[ "$("$WEIR_BIN" version | wc -l)" -eq 1 ]'
"$WEIR" help >"$T/help"
check_match 'weir help lists the commands' '^  version ' "$T/help"

"$WEIR" >/dev/null 2>"$T/none"
check_equal 'without a command it is used wrongly' $? 2
"$WEIR" versoin >/dev/null 2>"$T/typo"
check_equal 'a command that is not there exits 2' $? 2
check_match 'the nearest right spelling is offered' 'did you mean version' \
	"$T/typo"
finish
