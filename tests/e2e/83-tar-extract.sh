#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Members out of archives: chosen, packed, hostile, damaged.
. "${0%/*}/lib.sh"
. "${0%/*}/dataset.sh"
need python3 zstd xz gzip

extract() { # OPTIONS...
	rm -rf "$T/out"
	"$WEIR" tar-extract --out-dir "$T/out" "$@" >"$T/extract.out" \
		2>"$T/extract.err"
}

mkdir -p "$T/in/set/x" "$T/in/set/y"
for f in set/one.pcap set/x/c.pcap set/y/c.pcap; do
	python3 "$WEIR_SOURCE/tests/e2e/dataset.py" numbered "$T/in/$f" 5000 10 0 \
		$((${#f} * 20))
done
(cd "$T/in" && tar cf "$T/a.tar" set)
gzip -k "$T/a.tar"
zstd -q "$T/a.tar"
xz -k "$T/a.tar"
(cd "$T/in" && python3 -c "
import zipfile, os
with zipfile.ZipFile('$T/a.zip', 'w', zipfile.ZIP_DEFLATED) as z:
    for at, dirs, files in os.walk('set'):
        for f in files:
            z.write(os.path.join(at, f))")

for kind in tar tar.gz tar.zst tar.xz zip; do
	extract --in-tarball "$T/a.$kind" --file-regexp 'one\.pcap$'
	check_equal "G28 one of three out of $kind" "$? $(ls "$T/out")" '0 one.pcap'
	check "G28 which is what went into $kind" \
		cmp "$T/in/set/one.pcap" "$T/out/one.pcap"
	extract --in-tarball "$T/a.$kind"
	check_equal "G31 two of one name out of $kind: both are kept" \
		"$(cat "$T/out"/*c.pcap | wc -c)" \
		"$(cat "$T/in"/set/?/c.pcap | wc -c)"
done
"$WEIR" tarExtract --in-tarball - --out-dir "$T/pipe" <"$T/a.tar.gz" \
	2>"$T/extract.err"
check "G28 from a pipe, and by gophercap's name of the command" \
	cmp "$T/in/set/one.pcap" "$T/pipe/one.pcap"

extract --in-tarball "$T/a.tar.gz" --out-gzip
check_equal 'G29 with --out-gzip every output is packed' \
	"$(ls "$T/out" | grep -c '\.gz$')" 3
check 'G29 and unpacks to the member' \
	cmp "$T/in/set/one.pcap" <(zcat "$T/out/one.pcap.gz")
extract --in-tarball "$T/a.tar.gz" --out-zstd
check 'and with zstd' cmp "$T/in/set/one.pcap" <(zstd -dcq "$T/out/one.pcap.zst")
python3 - "$T/many.tar" <<'PY'
import io, sys, tarfile
with tarfile.open(sys.argv[1], 'w') as t:
    for i in range(5000):
        m = tarfile.TarInfo('many/%d.pcap' % i)
        m.size = 100
        t.addfile(m, io.BytesIO(b'%100d' % i))
PY
(
	ulimit -n 64
	extract --in-tarball "$T/many.tar" --out-gzip
)
check_equal 'G29 5000 members with 64 descriptors' "$(ls "$T/out" | wc -l)" 5000

rm -rf "$T/out"
"$WEIR" tar-extract --in-tarball "$T/a.tar.gz" --dryrun --out-dir "$T/out" \
	>"$T/list" 2>/dev/null
check_equal 'G30 a dry run lists the three' "$(wc -l <"$T/list")" 3
check 'G30 and makes nothing' test ! -e "$T/out"

# A member that is longer than memory should be, if anything kept it.
head -c 300M /dev/zero >"$T/in/zeros.pcap"
(cd "$T/in" && tar c zeros.pcap zeros.pcap zeros.pcap | zstd -q -1 >"$T/big.tar.zst")
/usr/bin/env python3 - "$WEIR" "$T" >"$T/memory" <<'PY'
import resource, subprocess, sys
subprocess.run([sys.argv[1], 'tar-extract', '--in-tarball',
                sys.argv[2] + '/big.tar.zst', '--out-dir', sys.argv[2] + '/out',
                '--out-gzip', '--log', 'error'], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
PY
check "G28 memory stays flat on 900 MB ($(cat "$T/memory") KiB)" \
	test "$(cat "$T/memory")" -lt 100000

# -- hostile archives --------------------------------------------------------

python3 - "$T/evil" <<'PY'
import io, os, sys, tarfile, zipfile
os.makedirs(sys.argv[1])
def member(t, name, kind=tarfile.REGTYPE, link='', data=b'evil'):
    m = tarfile.TarInfo(name)
    m.type = kind
    m.linkname = link
    m.size = len(data) if kind == tarfile.REGTYPE else 0
    m.mode = 0o6777
    t.addfile(m, io.BytesIO(data) if m.size else None)
for form, name in ((tarfile.USTAR_FORMAT, 'ustar'), (tarfile.GNU_FORMAT, 'gnu'),
                   (tarfile.PAX_FORMAT, 'pax')):
    with tarfile.open('%s/%s.tar' % (sys.argv[1], name), 'w', format=form) as t:
        member(t, '../../up.pcap')
        member(t, '/etc/absolute.pcap')
        member(t, 'a/..')
        member(t, 'dir/')
        member(t, 'link.pcap', tarfile.SYMTYPE, '/etc/passwd')
        member(t, 'link.pcap', data=b'behind a link')
        member(t, 'hard.pcap', tarfile.LNKTYPE, '/etc/passwd')
        member(t, 'null.pcap', tarfile.CHRTYPE)
        member(t, 'pipe.pcap', tarfile.FIFOTYPE)
        if form != tarfile.USTAR_FORMAT:
            member(t, 'x' * 150 + '/' + 'y' * 120 + '.pcap')
with zipfile.ZipFile(sys.argv[1] + '/evil.zip', 'w') as z:
    z.writestr('../../up.pcap', 'evil')
    z.writestr('/etc/absolute.pcap', 'evil')
    link = zipfile.ZipInfo('link.pcap')
    link.create_system = 3
    link.external_attr = 0o120777 << 16
    z.writestr(link, '/etc/passwd')
PY
for kind in ustar.tar gnu.tar pax.tar evil.zip; do
	rm -rf "$T/deep"
	mkdir -p "$T/deep/er"
	"$WEIR" tar-extract --in-tarball "$T/evil/$kind" --out-dir \
		"$T/deep/er/out" 2>"$T/extract.err"
	check_equal "G32 nothing of $kind leaves the folder" \
		"$(find "$T/deep" -type f -not -path "$T/deep/er/out/*" | wc -l) $(
		ls /etc/absolute.pcap 2>/dev/null | wc -l)" '0 0'
	check_equal "G32 no link, no device of $kind is made" \
		"$(find "$T/deep" -not -type f -not -type d | wc -l)" 0
	check_match "G32 and what was passed over of $kind is told" \
		'no plain file: link.pcap' "$T/extract.err"
	check_equal "G32 what stays inside of $kind is there, without set-id bits" \
		"$(find "$T/deep/er/out" -name up.pcap -not -perm /6000 | wc -l)" 1
done

# -- damaged ones --------------------------------------------------------------

size=$(stat -c %s "$T/a.tar.gz")
for at in 0 1 100 $((size / 2)) $((size - 10)); do
	head -c "$at" "$T/a.tar.gz" >"$T/cut.tar.gz"
	extract --in-tarball "$T/cut.tar.gz"
	check_equal "G33 cut at byte $at: status 1" $? 1
	check_equal "G33 cut at byte $at: nothing half-done is left" \
		"$(ls "$T/out" 2>/dev/null | grep -c part)" 0
	check_match "G33 cut at byte $at: a sentence" 'cut.tar.gz (is|has|cannot)' \
		"$T/extract.err"
done
cp "$T/a.tar" "$T/rot.tar"
python3 -c "
import tarfile
at = tarfile.open('$T/rot.tar').getmembers()[3].offset
f = open('$T/rot.tar', 'r+b'); f.seek(at + 10); f.write(b'rot')"
extract --in-tarball "$T/rot.tar"
check_equal 'G33 a header that rotted: status 1' $? 1
python3 -c "
import zipfile
d = open('$T/a.zip', 'rb').read()
open('$T/rot.zip', 'wb').write(d[:300] + b'rot' + d[303:])
open('$T/cut.zip', 'wb').write(d[:-30])"
extract --in-tarball "$T/rot.zip"
check_equal 'G33 a zip whose bytes rotted: status 1' $? 1
extract --in-tarball "$T/cut.zip"
check_equal 'G33 a zip without its end: status 1' $? 1
check_match 'G33 told' 'list of members is not found' "$T/extract.err"
head -c 100000 /dev/urandom >"$T/noise"
extract --in-tarball "$T/noise"
check_match 'what is no archive is told so' 'is no archive' "$T/extract.err"

# -- bombs ---------------------------------------------------------------------

head -c 200M /dev/zero | gzip -9 >"$T/bomb.gz"
(cd "$T/in" && tar cz zeros.pcap >"$T/bomb.tar.gz")
extract --in-tarball "$T/bomb.tar.gz" --max-bytes 10MiB
check_equal 'a bomb stops at the limit: status 1' $? 1
check_match 'and says so' 'the limit; is it a bomb' "$T/extract.err"
check_equal 'and leaves nothing' "$(ls "$T/out" | wc -l)" 0
"$WEIR" tar-extract 2>"$T/extract.err"
check_equal 'without an archive it was used wrongly' $? 2
finish
