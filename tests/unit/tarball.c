/* SPDX-License-Identifier: Apache-2.0 */
#include "t.h"

#include "base/buf.h"
#include "codec/tarball.h"

/* One header block, ustar, with its checksum. */
static void put_header(struct buf *b, const char *name, char type,
		       uint64_t size)
{
	uint8_t h[TARBALL_BLOCK] = { 0 };
	unsigned sum = 0;

	snprintf((char *)h, 100, "%s", name);
	memcpy(h + 100, "0000644\0", 8);
	snprintf((char *)h + 124, 12, "%011o", (unsigned)size);
	memset(h + 148, ' ', 8);
	h[156] = (uint8_t)type;
	memcpy(h + 257,
	       "ustar\0"
	       "00",
	       8);
	for (int i = 0; i < TARBALL_BLOCK; i++)
		sum += h[i];
	snprintf((char *)h + 148, 8, "%06o", sum);
	put_bytes(b, bytes_of(h, sizeof(h)));
}

static void put_content(struct buf *b, const char *text, size_t len)
{
	put_bytes(b, bytes_of(text, len));
	put_zeros(b, (TARBALL_BLOCK - len % TARBALL_BLOCK) % TARBALL_BLOCK);
}

static void put_member(struct buf *b, const char *name, const char *text)
{
	put_header(b, name, '0', strlen(text));
	put_content(b, text, strlen(text));
}

/* Everything that comes out, as text: "name type size content\n". */
static int read_pieces(struct bytes in, size_t piece, struct buf *out)
{
	struct tarball *t = tarball_new();
	struct tarball_item item;
	int rc = ERR_AGAIN;

	while (rc == ERR_AGAIN) {
		size_t n = in.len < piece ? in.len : piece;
		struct bytes now = bytes_of(in.p, n);

		in = bytes_of(in.p + n, in.len - n);
		while ((rc = tarball_next(t, &now, &item)) == 0) {
			if (item.kind == TARBALL_MEMBER)
				put_format(out, "%s %d %llu ", item.name,
					   item.type,
					   (unsigned long long)item.size);
			else if (item.kind == TARBALL_DATA)
				put_bytes(out, item.data);
			else
				put_text(out, "\n");
		}
		if (rc == ERR_AGAIN && !in.len) {
			rc = tarball_end(t);
			break;
		}
	}
	if (rc < 0 && rc != ERR_END)
		CHECK(tarball_why(t) != NULL);
	tarball_free(t);
	return rc == ERR_END ? 0 : rc;
}

static void put_sample(struct buf *b)
{
	char long_name[300];

	put_member(b, "a.pcap", "first");
	put_member(b, "empty", "");
	put_header(b, "dir/", '5', 0);
	put_header(b, "link", '2', 77); /* its size means nothing */
	memset(long_name, 'n', sizeof(long_name));
	memcpy(long_name + 290, "/end.pcap", 10);
	put_header(b, "././@LongLink", 'L', 300);
	put_content(b, long_name, 300);
	put_member(b, "cut-short", "long name");
	put_header(b, "PaxHeaders/x", 'x', 35);
	put_content(b, "26 path=some/where/b.pcap\n9 size=4\n", 35);
	put_member(b, "x", "four");
	put_zeros(b, (size_t)2 * TARBALL_BLOCK);
}

TEST(G28_members_come_out_the_same_however_the_bytes_are_cut)
{
	static const size_t pieces[] = { 1, 7, 511, 512, 513, 100000 };
	struct buf b = { 0 }, whole = { 0 }, out = { 0 };

	put_sample(&b);
	CHECK_EQ(read_pieces(buf_bytes(&b), b.len, &whole), 0);
	put_u8(&whole, 0);
	CHECK(strstr((char *)whole.p, "a.pcap 0 5 first\n"));
	CHECK(strstr((char *)whole.p, "empty 0 0 \n"));
	CHECK(strstr((char *)whole.p, "dir/ 1 0 \n"));
	CHECK(strstr((char *)whole.p, "link 2 0 \n"));
	CHECK(strstr((char *)whole.p, "n/end.pcap 0 9 long name\n"));
	CHECK(strstr((char *)whole.p, "some/where/b.pcap 0 4 four\n"));
	whole.len--;
	for (size_t i = 0; i < sizeof(pieces) / sizeof(*pieces); i++) {
		buf_clear(&out);
		CHECK_EQ(read_pieces(buf_bytes(&b), pieces[i], &out), 0);
		CHECK_BYTES(buf_bytes(&out), buf_bytes(&whole));
	}
	buf_release(&b);
	buf_release(&whole);
	buf_release(&out);
}

TEST(G33_an_archive_cut_inside_a_member_is_damaged_and_between_two_is_not)
{
	struct buf b = { 0 }, out = { 0 };

	put_member(&b, "a", "first");
	put_member(&b, "b", "second");
	for (size_t cut = 1; cut < b.len; cut++) {
		int rc = read_pieces(bytes_of(b.p, cut), 4096, &out);

		CHECK_EQ(rc, cut % 1024 == 0 ? 0 : ERR_DAMAGED);
	}
	buf_release(&b);
	buf_release(&out);
}

TEST(G33_a_header_changed_anywhere_is_noticed)
{
	struct buf b = { 0 }, out = { 0 };

	put_member(&b, "name", "content");
	for (size_t i = 0; i < TARBALL_BLOCK; i++) {
		b.p[i] ^= 0x40;
		CHECK_EQ(read_pieces(buf_bytes(&b), 4096, &out), ERR_MALFORMED);
		b.p[i] ^= 0x40;
	}
	buf_release(&b);
	buf_release(&out);
}

TEST(lengths_beyond_the_bounds_are_refused_before_anything_is_kept)
{
	struct buf b = { 0 }, out = { 0 };

	put_header(&b, "x", 'x', TARBALL_EXTENDED_MAX + 1);
	CHECK_EQ(read_pieces(buf_bytes(&b), 4096, &out), ERR_LIMIT);
	buf_clear(&b);
	put_header(&b, "l", 'L', TARBALL_NAME_MAX + 1);
	put_zeros(&b, TARBALL_NAME_MAX + 512);
	memset(b.p + TARBALL_BLOCK, 'n', TARBALL_NAME_MAX + 1);
	CHECK_EQ(read_pieces(buf_bytes(&b), 4096, &out), ERR_LIMIT);
	buf_release(&b);
	buf_release(&out);
}

TEST(broken_pax_records_are_refused)
{
	static const char *const bad[] = {
		"5 a=b",	 "0 path=x\n",
		"x path=y\n",	 "99 path=x\n",
		"9 path=x",	 "8 pathxx\n",
		"3 \n",		 "11 size=-1\n",
		"12 size=abc\n", "30 size=99999999999999999999999\n",
	};
	struct buf b = { 0 }, out = { 0 };

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		buf_clear(&b);
		put_header(&b, "p", 'x', strlen(bad[i]));
		put_content(&b, bad[i], strlen(bad[i]));
		put_member(&b, "a", "x");
		CHECK_EQ(read_pieces(buf_bytes(&b), 4096, &out), ERR_MALFORMED);
	}
	buf_release(&b);
	buf_release(&out);
}

TEST(an_empty_archive_is_whole_and_zeros_alone_are_one)
{
	static const uint8_t zeros[10240];
	struct buf out = { 0 };

	CHECK_EQ(read_pieces(bytes_of(zeros, sizeof(zeros)), 512, &out), 0);
	CHECK_EQ(out.len, 0);
	buf_release(&out);
}
