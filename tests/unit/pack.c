/* SPDX-License-Identifier: Apache-2.0 */
#include "t.h"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include "base/buf.h"
#include "engine/pack/gzip.h"
#include "engine/pack/unpack.h"

/* Bytes that pack a little. */
static void put_random(struct buf *b, size_t n)
{
	while (n--)
		put_u8(b, t_random_below(4) ? (uint8_t)t_random_below(16)
					    : (uint8_t)t_random());
}

static struct bytes packed_here(struct bytes in, size_t piece)
{
	const char *path = t_path("packed.gz");
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	struct gzip *g = gzip_new(fd, path);
	struct err err = ERR_NONE;

	while (in.len) {
		size_t n = in.len < piece ? in.len : piece;

		CHECK_OK(gzip_write(g, bytes_of(in.p, n), &err), &err);
		in = bytes_of(in.p + n, in.len - n);
	}
	CHECK_OK(gzip_finish(g, &err), &err);
	gzip_free(g);
	close(fd);
	return t_load(path);
}

static int unpack_all(struct bytes in, struct buf *out)
{
	const char *foreign;
	struct unpack *u = unpack_new(in, &foreign);
	uint8_t room[1000];
	size_t made;
	int rc = 0;

	CHECK(u != NULL);
	do {
		rc = unpack_step(u, &in, room, sizeof(room), &made);
		put_bytes(out, bytes_of(room, made));
	} while (rc == 0 && (made || in.len));
	if (rc == 0 && !unpack_whole(u))
		rc = ERR_DAMAGED;
	unpack_free(u);
	return rc;
}

TEST(G29_what_is_packed_unpacks_to_itself_with_both_libraries)
{
	static const size_t sizes[] = { 0, 1, 100, 65536, 1000000 };
	struct buf b = { 0 }, out = { 0 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct bytes packed;
		gzFile z;

		buf_clear(&b);
		put_random(&b, sizes[i]);
		packed = packed_here(buf_bytes(&b), 1 + t_random_below(70000));
		buf_clear(&out);
		CHECK_EQ(unpack_all(packed, &out), 0);
		CHECK_BYTES(buf_bytes(&out), buf_bytes(&b));
		z = gzopen(t_path("packed.gz"), "rb");
		buf_clear(&out);
		CHECK_EQ(gzread(z, buf_reserve(&out, sizes[i] + 1),
				(unsigned)sizes[i] + 1),
			 (int)sizes[i]);
		CHECK_EQ(memcmp(out.p, b.p ? b.p : out.p, sizes[i]), 0);
		gzclose(z);
	}
	buf_release(&b);
	buf_release(&out);
}

TEST(a_packed_file_changed_anywhere_is_refused_or_the_same)
{
	struct buf b = { 0 }, out = { 0 };
	struct bytes packed;
	uint8_t *copy;

	put_random(&b, 3000);
	packed = packed_here(buf_bytes(&b), 500);
	copy = malloc(packed.len);
	for (int i = 0; i < 3000; i++) {
		size_t at = 10 + t_random_below(packed.len - 10);

		memcpy(copy, packed.p, packed.len);
		copy[at] ^= (uint8_t)(1u << t_random_below(8));
		buf_clear(&out);
		if (unpack_all(bytes_of(copy, packed.len), &out) == 0)
			CHECK_BYTES(buf_bytes(&out), buf_bytes(&b));
	}
	for (size_t cut = 4; cut < packed.len; cut++) {
		buf_clear(&out);
		CHECK(unpack_all(bytes_of(packed.p, cut), &out) < 0);
	}
	free(copy);
	buf_release(&b);
	buf_release(&out);
}
