#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Options out of a file: for every command, overridden by flags, and
# gophercap's own files.
. "${0%/*}/lib.sh"
. "${0%/*}/dataset.sh"
need python3 jq

export HOME=$T/home
mkdir -p "$HOME"
for n in 1 2 3; do
	python3 "$WEIR_SOURCE/tests/e2e/dataset.py" numbered "$T/set/$n.pcap" 10 10
done

"$WEIR" --config "$T/weir.yml" example-config
check_equal 'G45 example-config writes the file' "$? $(test -s "$T/weir.yml" &&
	echo there)" '0 there'
check "G45 also by gophercap's name" "$WEIR" exampleConfig
missing=
for command in map replay tar-extract filter extract eve2filter broker \
	collector analyze; do
	grep -q "^$command:" "$T/weir.yml" || missing="$missing $command"
done
check_equal 'G45 with every command in it' "$missing" ''
"$WEIR" --config "$T/weir.yml" example-config 2>/dev/null
check_equal 'a file that is there is not overwritten' $? 1
for command in map replay tar-extract filter extract eve2filter streams; do
	"$WEIR" --config "$T/weir.yml" $command >"$T/$command.out" 2>&1
	if grep -q "weir.yml" "$T/$command.out"; then
		not_ok "G45 weir $command takes it unchanged" \
			"$(cat "$T/$command.out")"
	else
		ok "G45 weir $command takes it unchanged"
	fi
done

cat >"$T/own.yml" <<YAML
global:
  dump:
    json: $T/own.json
map:
  dir.src: $T/set
  file-suffix: [pcap]
replay:
  out_file: $T/own.pcap
YAML
"$WEIR" map --config "$T/own.yml" 2>"$T/map.err"
check_equal 'G45 keys may be nested or dotted' \
	"$(jq '.files | length' "$T/own.json")" 3
"$WEIR" map --config="$T/own.yml" --file-regexp '2\.pcap' \
	--dump-json "$T/flag.json" 2>/dev/null
check_equal 'G45 a flag comes before the file' \
	"$(jq '.files | length' "$T/flag.json")" 1
WEIR_MAP_DUMP_JSON=$T/env.json "$WEIR" --config "$T/own.yml" map 2>/dev/null
check 'G45 so does the environment' test -s "$T/env.json"
"$WEIR" --config "$T/own.yml" replay 2>/dev/null
check 'G45 one file for all commands' test -s "$T/own.pcap"

# gophercap's sample.
cat >"$HOME/.go-replay.yaml" <<YAML
global:
  dump:
    json: $T/gopher.json
  file:
    regexp: ""
map:
  dir:
    src: $T/set
  file:
    suffix: pcap
    workers: 4
replay:
  disable_wait: false
  loop:
    count: 2
    infinite: false
  out:
    bpf: ""
    interface: eth0
  skip:
    out_of_order: false
    mtu: 1514
  reorder:
    enabled: false
  time:
    from: ""
    modifier: "1"
    scale:
      duration: 1h0m0s
      enabled: false
      perfile: false
    to: ""
tarball:
  dryrun: false
  in:
    file: ""
  out:
    dir: ""
    gzip: false
YAML
"$WEIR" map 2>/dev/null
check "G45 gophercap's file in the home directory is read" \
	test -s "$T/gopher.json"
"$WEIR" replay --out-file "$T/gopher.pcap" --report "$T/report" 2>"$T/replay.err"
check_equal 'G45 its names of options are understood' \
	"$(jq .sent "$T/report")" 60

mistake() { # NAME REGEX YAML
	printf '%s\n' "$3" >"$T/bad.yml"
	"$WEIR" map --config "$T/bad.yml" "$T/set" 2>"$T/bad.err"
	check_equal "$1: used wrongly" $? 2
	check_match "$1: told with its line" "$2" "$T/bad.err"
}
mistake 'an option that is not there' 'bad.yml, line 2: weir map has no option' \
	"$(printf 'map:\n  dir-sorce: /x')"
mistake 'a wrong value' 'bad.yml, line 1: --file-workers takes' \
	'map: {file-workers: many}'
mistake 'no YAML' 'bad.yml, line [12]: ' 'map: ['
mistake 'an alias' 'aliases are not taken' 'map: {dir-src: &a /x, file-suffix: *a}'
"$WEIR" map --config "$T/none.yml" "$T/set" 2>"$T/bad.err"
check_equal 'a file that is not there' $? 2
check_match 'G46 the version is the build, not "development"' \
	'[0-9a-f]{7}|[0-9]+\.[0-9]+' <("$WEIR" version)
finish
