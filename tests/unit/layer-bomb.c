/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Little that wants to become much.  Each case says how much memory the
 * process took at the most while it was undone, and holds it to a bound.
 */
#include "codec/layer/chain.h"

#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

#include "layers_here.h"
#include "t.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

enum { MIB = 1 << 20, BOMB = 64 * MIB, CAP = 8 * MIB };

/* -- memory that was used ----------------------------------------- */

static long status_kib(const char *name)
{
	char line[256];
	long kib = -1;
	FILE *f = fopen("/proc/self/status", "r");

	CHECK(f != NULL);
	while (fgets(line, sizeof(line), f))
		if (strncmp(line, name, strlen(name)) == 0)
			kib = strtol(line + strlen(name), NULL, 10);
	fclose(f);
	return kib;
}

/* From here on the peak counts. */
static long begin_measure(void)
{
	int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);

	malloc_trim(0);
	if (fd >= 0) {
		CHECK_EQ(write(fd, "5", 1), 1);
		close(fd);
	}
	return status_kib("VmRSS:");
}

static void check_peak(const char *what, long before, long max_kib)
{
	long grew = status_kib("VmHWM:") - before;

	printf("# %s: at most %ld KiB more\n", what, grew);
	if (!SANITIZED && grew > max_kib)
		fail_msg("%s took %ld KiB more, the bound is %ld", what, grew,
			 max_kib);
}

/* -- bombs -------------------------------------------------------- */

static void pack_zeros(struct buf *b, int window)
{
	static uint8_t zeros[MIB];
	z_stream z = { .zalloc = NULL };

	CHECK_EQ(deflateInit2(&z, 6, Z_DEFLATED, window, 9, 0), Z_OK);
	for (int i = 0; i <= BOMB / MIB; i++) {
		z.next_in = zeros;
		z.avail_in = i < BOMB / MIB ? MIB : 0;
		do {
			z.next_out = buf_reserve(b, 64 << 10);
			z.avail_out = 64 << 10;
			deflate(&z, i < BOMB / MIB ? Z_NO_FLUSH : Z_FINISH);
			buf_added(b, (64 << 10) - z.avail_out);
		} while (!z.avail_out);
	}
	deflateEnd(&z);
}

static void gzip_bomb(struct buf *b)
{
	pack_zeros(b, 15 + 16);
}

static void zlib_bomb(struct buf *b)
{
	pack_zeros(b, 15);
}

static void raw_bomb(struct buf *b)
{
	pack_zeros(b, -15);
}

static void brotli_bomb(struct buf *b)
{
	static uint8_t zeros[MIB], out[64 << 10];
	BrotliEncoderState *e = BrotliEncoderCreateInstance(NULL, NULL, NULL);

	BrotliEncoderSetParameter(e, BROTLI_PARAM_QUALITY, 5);
	BrotliEncoderSetParameter(e, BROTLI_PARAM_LGWIN, 24);
	for (int i = 0; i <= BOMB / MIB; i++) {
		const uint8_t *in = zeros;
		size_t left = i < BOMB / MIB ? MIB : 0;

		do {
			uint8_t *to = out;
			size_t room = sizeof(out);

			CHECK(BrotliEncoderCompressStream(
				e,
				i < BOMB / MIB ? BROTLI_OPERATION_PROCESS
					       : BROTLI_OPERATION_FINISH,
				&left, &in, &room, &to, NULL));
			put_bytes(b, bytes_of(out, sizeof(out) - room));
		} while (left || BrotliEncoderHasMoreOutput(e));
	}
	BrotliEncoderDestroyInstance(e);
}

static void zstd_bomb(struct buf *b)
{
	static uint8_t zeros[MIB], out[64 << 10];
	ZSTD_CCtx *c = ZSTD_createCCtx();
	size_t left = 1;

	ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, 23);
	for (int i = 0; i <= BOMB / MIB; i++) {
		ZSTD_inBuffer in = { zeros, i < BOMB / MIB ? MIB : 0, 0 };

		do {
			ZSTD_outBuffer to = { out, sizeof(out), 0 };

			left = ZSTD_compressStream2(
				c, &to, &in,
				i < BOMB / MIB ? ZSTD_e_continue : ZSTD_e_end);
			CHECK(!ZSTD_isError(left));
			put_bytes(b, bytes_of(out, to.pos));
		} while (in.pos < in.size || (i == BOMB / MIB && left));
	}
	ZSTD_freeCCtx(c);
}

/* One compressed message. */
static void websocket_bomb(struct buf *b)
{
	struct buf packed = { 0 };

	pack_zeros(&packed, -15);
	put_u8(b, 0xc2);
	put_u8(b, 127);
	put_be64(b, packed.len);
	put_bytes(b, buf_bytes(&packed));
	buf_release(&packed);
}

static const struct bomb {
	enum layer_kind kind;
	void (*put)(struct buf *b);
	long memory_kib; /* besides the output */
} bombs[] = {
	{ LAYER_GZIP, gzip_bomb, 1024 },
	{ LAYER_ZLIB, zlib_bomb, 1024 },
	{ LAYER_DEFLATE, raw_bomb, 1024 },
	{ LAYER_RAW_DEFLATE, raw_bomb, 1024 },
	{ LAYER_BROTLI, brotli_bomb, 20 << 10 },
	{ LAYER_ZSTD, zstd_bomb, 10 << 10 },
	{ LAYER_WEBSOCKET, websocket_bomb, 20 << 10 },
};

static struct layer_chain *one(enum layer_kind kind,
			       const struct layer_limits *limits)
{
	struct layer_plan plan = { .kind = { kind }, .n = 1 };

	return layer_chain_new(&plan, limits);
}

static void feed_all(struct layer_chain *c, struct bytes in)
{
	for (size_t at = 0; at < in.len; at += 16 << 10) {
		size_t n = in.len - at < 16 << 10 ? in.len - at : 16 << 10;

		if (!layer_chain_feed(c, bytes_of(in.p + at, n)))
			break;
	}
	layer_chain_end(c, NULL);
}

TEST(R38_a_bomb_in_each_coding_stops_at_the_cap)
{
	struct layer_limits limits = { .out_max = CAP };

	for (size_t i = 0; i < sizeof(bombs) / sizeof(*bombs); i++) {
		struct buf in = { 0 };
		struct layer_chain *c;
		long before;

		bombs[i].put(&in);
		before = begin_measure();
		c = one(bombs[i].kind, &limits);
		feed_all(c, buf_bytes(&in));
		/* A buffer that grows may be there twice for a moment. */
		check_peak(layer_name(bombs[i].kind), before,
			   2 * (CAP / 1024) + bombs[i].memory_kib);
		CHECK_EQ(layer_chain_output(c).len, CAP);
		CHECK_EQ(layer_chain_result(c, 0)->status, LAYER_STOPPED);
		CHECK(strstr(layer_chain_result(c, 0)->why,
			     "longer than the cap"));
		CHECK(layer_chain_held(c) <
		      (size_t)CAP * 2 + (size_t)bombs[i].memory_kib * 1024);
		layer_chain_free(c);
		buf_release(&in);
	}
}

TEST(R38_a_bomb_stops_at_the_proportion_that_is_allowed)
{
	struct layer_limits limits = { .out_max = UINT64_C(1) << 40,
				       .ratio_max = 100,
				       .ratio_free = MIB };

	for (size_t i = 0; i < sizeof(bombs) / sizeof(*bombs); i++) {
		struct buf in = { 0 };
		struct layer_chain *c;
		const struct layer_result *r;

		if (bombs[i].kind == LAYER_WEBSOCKET)
			continue; /* a message has its own cap, below this */
		bombs[i].put(&in);
		c = one(bombs[i].kind, &limits);
		feed_all(c, buf_bytes(&in));
		r = layer_chain_result(c, 0);
		CHECK_EQ(r->status, LAYER_STOPPED);
		CHECK(strstr(r->why, "proportion"));
		CHECK(r->out >= MIB);
		CHECK(r->out <= (in.len < MIB / 100 ? MIB : 100 * in.len));
		layer_chain_free(c);
		buf_release(&in);
	}
}

TEST(R38_a_bomb_in_a_bomb_costs_no_more)
{
	struct layer_limits limits = { .out_max = CAP };
	struct layer_plan plan = { .kind = { LAYER_GZIP, LAYER_BROTLI,
					     LAYER_ZSTD, LAYER_GZIP },
				   .n = 4 };
	struct buf a = { 0 }, b = { 0 };
	struct layer_chain *c;
	long before;

	gzip_bomb(&a);
	put_zstd(&b, buf_bytes(&a));
	buf_clear(&a);
	put_brotli(&a, buf_bytes(&b));
	buf_clear(&b);
	put_gzip(&b, buf_bytes(&a));
	CHECK(b.len < 4096);
	buf_release(&a);
	before = begin_measure();
	c = layer_chain_new(&plan, &limits);
	feed_all(c, buf_bytes(&b));
	check_peak("gzip in zstd in brotli in gzip", before,
		   2 * (CAP / 1024) + (20 << 10));
	CHECK_EQ(layer_chain_output(c).len, CAP);
	CHECK_EQ(layer_chain_result(c, 3)->status, LAYER_STOPPED);
	CHECK_EQ(layer_chain_result(c, 0)->status, LAYER_STOPPED);
	layer_chain_free(c);
	buf_release(&b);
}

/* A gzip file that contains itself could be decoded for ever. */
TEST(R38_a_file_of_many_members_stops_as_well)
{
	struct layer_limits limits = { .out_max = CAP };
	struct layer_chain *c = one(LAYER_GZIP, &limits);
	struct buf member = { 0 }, plain = { 0 };

	put_zeros(&plain, 100000);
	put_gzip(&member, buf_bytes(&plain));
	for (int i = 0; i < 1000; i++)
		layer_chain_feed(c, buf_bytes(&member));
	layer_chain_end(c, NULL);
	CHECK_EQ(layer_chain_result(c, 0)->status, LAYER_STOPPED);
	CHECK_EQ(layer_chain_output(c).len, CAP);
	layer_chain_free(c);
	buf_release(&member);
	buf_release(&plain);
}

TEST(the_cap_itself_is_no_stop)
{
	struct layer_limits limits = { .out_max = 5 };
	struct layer_chain *c = one(LAYER_HEX, &limits);

	layer_chain_feed(c, bytes_of_text("48656c6c6f"));
	layer_chain_end(c, NULL);
	CHECK_EQ(layer_chain_result(c, 0)->status, LAYER_OK);
	layer_chain_free(c);
	c = one(LAYER_HEX, &limits);
	layer_chain_feed(c, bytes_of_text("48656c6c6f21"));
	layer_chain_end(c, NULL);
	CHECK_EQ(layer_chain_result(c, 0)->status, LAYER_STOPPED);
	CHECK_BYTES(layer_chain_output(c), bytes_of_text("Hello"));
	layer_chain_free(c);
}
