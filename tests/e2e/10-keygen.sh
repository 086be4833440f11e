#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# weir keygen makes key files as ipcap does, and guards them.
. "${0%/*}/lib.sh"

key='[A-Za-z0-9+/]{43}='

"$WEIR" keygen --out "$T/a.key" >"$T/out" 2>"$T/err" || die "keygen failed"
check_equal 'I27 the key file has mode 0600' "$(stat -c %a "$T/a.key")" 600
check_match 'I27 the key file is a line of base64' "^$key\$" "$T/a.key"
check_equal 'I27 the key file has 45 bytes' "$(stat -c %s "$T/a.key")" 45
check_match 'I27 the public key is printed' "^public key: $key\$" "$T/out"
check_equal 'I27 nothing else is printed' "$(wc -l <"$T/out")" 1

check_equal 'I27 --public prints the matching public key, and only that' \
	"$("$WEIR" keygen --public "$T/a.key")" "$(sed 's/^public key: //' "$T/out")"

cp "$T/a.key" "$T/before"
"$WEIR" keygen --out "$T/a.key" >"$T/out2" 2>"$T/err"
check_equal 'I27 an existing key is not overwritten' $? 1
check 'I27 and stays what it was' cmp "$T/a.key" "$T/before"
check_match 'I27 the sentence names --force' 'a\.key.*--force' "$T/err"
check_equal 'I27 and no public key is printed' "$(wc -c <"$T/out2")" 0

"$WEIR" keygen --force --out "$T/a.key" >"$T/out2" 2>/dev/null
check_equal 'I27 --force replaces it' $? 0
check_equal 'I27 with another key' \
	"$(cmp -s "$T/a.key" "$T/before" && echo same)" ''
check_equal 'I27 the new file has mode 0600' "$(stat -c %a "$T/a.key")" 600

"$WEIR" keygen --public "$T/nowhere.key" >/dev/null 2>"$T/err"
check_equal 'a key that is not there is a failure' $? 1
check_match 'and the sentence says how to make one' \
	'keygen --out .*nowhere.key' "$T/err"

chmod 644 "$T/a.key"
"$WEIR" keygen --public "$T/a.key" >/dev/null 2>"$T/err"
check_equal 'a key that others may read is refused' $? 1
check_match 'and the sentence says chmod 600' 'chmod 600' "$T/err"
check 'unless --any-key-mode allows it' \
	"$WEIR" keygen --any-key-mode --public "$T/a.key"

"$WEIR" keygen >"$T/pair"
check_match 'I27 without --out the secret key is printed' \
	"^private: $key\$" "$T/pair"
check_match 'I27 and the public one' "^public:  $key\$" "$T/pair"
sed -n 's/^private: //p' "$T/pair" >"$T/b.key"
chmod 600 "$T/b.key"
check_equal 'I27 the two belong together' \
	"$("$WEIR" keygen --public "$T/b.key")" \
	"$(sed -n 's/^public:  //p' "$T/pair")"

"$WEIR" keygen --out "$T/c.key" --public "$T/a.key" 2>/dev/null
check_equal 'both --out and --public are wrong use' $? 2
"$WEIR" keygen >/dev/full 2>/dev/null
check_equal 'keys that cannot be printed are a failure' $? 1
finish
