/* SPDX-License-Identifier: Apache-2.0 */
#include "t.h"

#include <fcntl.h>
#include <lz4frame.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "codec/record.h"
#include "engine/capfile/capfile.h"
#include "engine/capfile/output.h"

static const struct pcap_head head_ns = { .linktype = 1, .snaplen = 262144 };

/* Packet i of a capture: its length and bytes follow from i. */
static struct packet make_packet(int i)
{
	static uint8_t data[2000];
	size_t len = (size_t)(i * 37 % 1500);

	memset(data, i, sizeof(data));
	return (struct packet){ .data = bytes_of(data, len),
				.time_ns = UINT64_C(1700000000000000000) +
					   (uint64_t)i * 1234567,
				.wire_len = (uint32_t)len + 4 };
}

static void check_packet(const struct packet *p, int i)
{
	struct packet want = make_packet(i);

	CHECK_BYTES(p->data, want.data);
	CHECK(p->time_ns == want.time_ns);
	CHECK_EQ(p->wire_len, want.wire_len);
}

static void put_capture(struct buf *b, int n)
{
	put_pcap_head(b, &head_ns);
	for (int i = 0; i < n; i++) {
		struct packet p = make_packet(i);

		put_record(b, &p);
	}
}

static struct capfile *open_bytes(struct bytes content)
{
	const char *path = t_path("capture");
	struct err err = ERR_NONE;
	struct capfile *f;

	t_save(path, content);
	f = capfile_open(path, &err);
	if (!f)
		fail_msg("%s", err.text);
	return f;
}

/* Read to the end; returns the last code, *n how many packets came. */
static int read_out(struct capfile *f, int *n, struct err *err)
{
	struct capfile_packet p;
	int rc;

	for (*n = 0; (rc = capfile_next(f, &p, err)) == 0; ++*n)
		check_packet(&p.packet, *n);
	return rc;
}

static void expect_all(struct bytes content, int want, const char *packed)
{
	struct capfile *f = open_bytes(content);
	struct err err = ERR_NONE;
	int n;

	CHECK_EQ(read_out(f, &n, &err), ERR_END);
	CHECK_EQ(n, want);
	CHECK(!capfile_warning(f));
	CHECK_EQ(capfile_position(f), content.len);
	CHECK_EQ(capfile_size(f), content.len);
	if (packed)
		CHECK_STR(capfile_packed_with(f), packed);
	else
		CHECK(!capfile_packed_with(f));
	capfile_close(f);
}

/* -- packing ------------------------------------------------------------ */

static void put_gzip(struct buf *out, struct bytes in)
{
	z_stream z = { .next_in = (Bytef *)in.p, .avail_in = (uInt)in.len };
	size_t room = in.len + in.len / 100 + 1000;

	deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
	z.next_out = buf_reserve(out, room);
	z.avail_out = (uInt)room;
	CHECK_EQ(deflate(&z, Z_FINISH), Z_STREAM_END);
	buf_added(out, z.total_out);
	deflateEnd(&z);
}

static void put_zstd(struct buf *out, struct bytes in)
{
	size_t room = ZSTD_compressBound(in.len);
	size_t n = ZSTD_compress(buf_reserve(out, room), room, in.p, in.len, 3);

	CHECK(!ZSTD_isError(n));
	buf_added(out, n);
}

static void put_lz4(struct buf *out, struct bytes in)
{
	size_t room = LZ4F_compressFrameBound(in.len, NULL);
	size_t n = LZ4F_compressFrame(buf_reserve(out, room), room, in.p,
				      in.len, NULL);

	CHECK(!LZ4F_isError(n));
	buf_added(out, n);
}

static const struct {
	const char *name;
	void (*put)(struct buf *out, struct bytes in);
} packings[] = {
	{ "gzip", put_gzip },
	{ "zstd", put_zstd },
	{ "lz4", put_lz4 },
};

TEST(I02_a_plain_file_is_read_packet_by_packet)
{
	struct buf b = { 0 };

	put_capture(&b, 5000);
	expect_all(buf_bytes(&b), 5000, NULL);
	buf_release(&b);
}

TEST(G08_packed_files_are_seen_by_their_content)
{
	for (int i = 0; i < 3; i++) {
		struct buf plain = { 0 }, packed = { 0 };

		put_capture(&plain, 5000);
		packings[i].put(&packed, buf_bytes(&plain));
		expect_all(buf_bytes(&packed), 5000, packings[i].name);
		buf_release(&plain);
		buf_release(&packed);
	}
}

TEST(G08_members_and_frames_may_follow_one_another)
{
	for (int i = 0; i < 3; i++) {
		struct buf plain = { 0 }, packed = { 0 };
		size_t cut;

		put_capture(&plain, 300);
		cut = t_random_below(plain.len);
		packings[i].put(&packed, bytes_of(plain.p, cut));
		packings[i].put(&packed, bytes_of("", 0));
		packings[i].put(&packed, buf_from(&plain, cut));
		expect_all(buf_bytes(&packed), 300, packings[i].name);
		buf_release(&plain);
		buf_release(&packed);
	}
}

TEST(zeros_behind_a_gzip_member_are_left_alone)
{
	struct buf plain = { 0 }, packed = { 0 };
	struct err err = ERR_NONE;
	struct capfile *f;
	int n;

	put_capture(&plain, 10);
	put_gzip(&packed, buf_bytes(&plain));
	put_zeros(&packed, 512);
	f = open_bytes(buf_bytes(&packed));
	CHECK_EQ(read_out(f, &n, &err), ERR_END);
	CHECK_EQ(n, 10);
	CHECK(!capfile_warning(f));
	capfile_close(f);
	buf_release(&plain);
	buf_release(&packed);
}

TEST(a_packed_file_cut_anywhere_gives_what_it_can_and_warns)
{
	for (int i = 0; i < 3; i++) {
		struct buf plain = { 0 }, packed = { 0 };

		put_capture(&plain, 40);
		packings[i].put(&packed, buf_bytes(&plain));
		for (size_t cut = 4; cut < packed.len; cut++) {
			struct capfile *f = open_bytes(bytes_of(packed.p, cut));
			struct err err = ERR_NONE;
			int n;

			CHECK_EQ(read_out(f, &n, &err), ERR_END);
			CHECK(capfile_warning(f));
			capfile_close(f);
		}
		buf_release(&plain);
		buf_release(&packed);
	}
}

/* How many packets come, up to the first that is not as it was made. */
static int count_as_made(struct capfile *f, int *rc, struct err *err)
{
	struct capfile_packet p;
	int n = 0, same = 0;

	for (; (*rc = capfile_next(f, &p, err)) == 0; n++) {
		struct packet want = make_packet(n);

		same += same == n && bytes_equal(p.packet.data, want.data) &&
			p.packet.time_ns == want.time_ns &&
			p.packet.wire_len == want.wire_len;
	}
	return same;
}

TEST(a_gzip_whose_content_changed_never_ends_as_if_nothing_were)
{
	struct buf plain = { 0 }, packed = { 0 };

	put_capture(&plain, 40);
	put_gzip(&packed, buf_bytes(&plain));
	for (size_t at = 10; at < packed.len; at++) {
		struct capfile_packet p;
		struct err err = ERR_NONE;
		struct capfile *f;
		int rc, same;

		packed.p[at] ^= 0x10;
		f = open_bytes(buf_bytes(&packed));
		same = count_as_made(f, &rc, &err);
		/* Some changes mean the same: a match one period earlier. */
		CHECK(rc != ERR_END || capfile_warning(f) || same == 40);
		CHECK(rc == ERR_END || err.text[0]);
		CHECK_EQ(capfile_next(f, &p, &err), rc);
		capfile_close(f);
		packed.p[at] ^= 0x10;
	}
	buf_release(&plain);
	buf_release(&packed);
}

/* -- sentences ---------------------------------------------------------- */

TEST(a_cut_file_ends_with_a_warning_that_names_file_offset_and_packets)
{
	struct buf b = { 0 };
	struct err err = ERR_NONE;
	struct capfile *f;
	char want[64];
	size_t good;
	int n;

	put_capture(&b, 7);
	good = b.len;
	buf_clear(&b);
	put_capture(&b, 8);
	f = open_bytes(bytes_of(b.p, b.len - 1));
	CHECK_EQ(read_out(f, &n, &err), ERR_END);
	CHECK_EQ(n, 7);
	CHECK(strstr(capfile_warning(f), "/capture is damaged at byte "));
	snprintf(want, sizeof(want), "at byte %zu:", good);
	CHECK(strstr(capfile_warning(f), want));
	CHECK(strstr(capfile_warning(f), "the 7 packets before it were read"));
	CHECK_EQ(read_out(f, &n, &err), ERR_END);
	capfile_close(f);
	buf_release(&b);
}

TEST(I12_a_record_over_16_MiB_fails_after_the_packets_before_it)
{
	struct buf b = { 0 };
	struct err err = ERR_NONE;
	struct capfile *f;
	int n;

	put_capture(&b, 3);
	put_bytes(&b, t_hex("01000000 01000000 01000001 01000001"));
	f = open_bytes(buf_bytes(&b));
	CHECK_EQ(read_out(f, &n, &err), ERR_LIMIT);
	CHECK_EQ(n, 3);
	CHECK(strstr(err.text, "16 MiB"));
	CHECK(strstr(err.text, "the 3 packets before it were read"));
	capfile_close(f);
	buf_release(&b);
}

static void expect_sentence(struct bytes content, const char *want)
{
	struct capfile *f = open_bytes(content);
	struct capfile_packet p;
	struct err err = ERR_NONE;

	CHECK(capfile_next(f, &p, &err) == ERR_UNKNOWN);
	if (!strstr(err.text, want))
		fail_msg("\"%s\" does not say \"%s\"", err.text, want);
	capfile_close(f);
}

TEST(what_is_no_capture_is_named_for_what_it_is)
{
	struct err err = ERR_NONE;

	expect_sentence(bytes_of_text(""), "it is empty");
	expect_sentence(bytes_of_text("abc"), "too short");
	expect_sentence(bytes_of_text("GET / HTTP/1.1"), "is not a capture");
	expect_sentence(t_hex("fd377a58 5a00"), "packed with xz");
	expect_sentence(bytes_of_text("BZh9..."), "packed with bzip2");
	CHECK(!capfile_open(t_path("nothing"), &err));
	CHECK(strstr(err.text, "nothing cannot be opened: No such file"));
}

TEST(a_directory_is_refused_with_its_name)
{
	struct capfile_packet p;
	struct err err = ERR_NONE;
	struct capfile *f = capfile_open(t_dir(), &err);

	CHECK(f);
	CHECK_EQ(capfile_next(f, &p, &err), ERR_FAILED);
	CHECK(strstr(err.text, "Is a directory"));
	capfile_close(f);
}

/* -- pipes -------------------------------------------------------------- */

TEST(a_pipe_gives_each_packet_as_soon_as_it_is_whole)
{
	struct packet batch[16];
	struct packet_source source;
	struct err err = ERR_NONE;
	struct capfile *f;
	struct buf b = { 0 };
	int fds[2], got = 0, n;

	CHECK_EQ(pipe2(fds, O_NONBLOCK), 0);
	f = capfile_open_fd(fds[0], "the pipe");
	source = capfile_source(f);
	put_capture(&b, 20);
	for (size_t i = 0; i < b.len; i++) {
		CHECK_EQ(write(fds[1], b.p + i, 1), 1);
		n = source.take(source.self, batch, 16, &err);
		CHECK(n == 0 || n == 1);
		if (n)
			check_packet(&batch[0], got);
		got += n;
		CHECK_EQ(source.take(source.self, batch, 16, &err), 0);
	}
	CHECK_EQ(got, 20);
	close(fds[1]);
	CHECK_EQ(source.take(source.self, batch, 16, &err), ERR_END);
	CHECK(!capfile_warning(f));
	CHECK_EQ(capfile_size(f), 0);
	capfile_close(f);
	buf_release(&b);
}

/* -- link types --------------------------------------------------------- */

/* Little-endian: a section, interfaces of types 1 and 113, six packets. */
static struct bytes mixed_capture(void)
{
	static const char *const text =
		"0a0d0d0a 1c000000 4d3c2b1a 01000000 ffffffffffffffff 1c000000"
		"01000000 14000000 01000000 00000000 14000000"
		"01000000 14000000 71000000 00000000 14000000";
	static const int interfaces[] = { 1, 1, 0, 0, 1, 0 };
	static struct buf b;

	buf_clear(&b);
	put_bytes(&b, t_hex(text));
	for (int i = 0; i < 6; i++) {
		put_le32(&b, 6);
		put_le32(&b, 36);
		put_le32(&b, (uint32_t)interfaces[i]);
		put_le32(&b, 0);
		put_le32(&b, (uint32_t)i + 1);
		put_le32(&b, 4);
		put_le32(&b, 4);
		put_le32(&b, (uint32_t)i);
		put_le32(&b, 36);
	}
	return buf_bytes(&b);
}

TEST(G09_a_batch_never_mixes_link_types)
{
	static const struct {
		uint32_t linktype;
		int n;
	} want[] = { { 113, 2 }, { 1, 2 }, { 113, 1 }, { 1, 1 } };
	struct capfile *f = open_bytes(mixed_capture());
	struct packet_source source = capfile_source(f);
	struct packet batch[16];
	struct err err = ERR_NONE;
	uint32_t linktype;

	for (int i = 0; i < 4; i++) {
		CHECK_OK(capfile_linktype(f, &linktype, &err), &err);
		CHECK_EQ(linktype, want[i].linktype);
		CHECK_EQ(source.take(source.self, batch, 16, &err), want[i].n);
	}
	CHECK_EQ(source.take(source.self, batch, 16, &err), ERR_END);
	CHECK_EQ(capfile_format(f), PCAPSTREAM_PCAPNG);
	capfile_close(f);
}

TEST(G09_one_link_type_may_be_chosen_and_the_others_are_counted)
{
	struct capfile *f = open_bytes(mixed_capture());
	struct capfile_packet p;
	struct err err = ERR_NONE;
	uint32_t linktype;
	int n = 0;

	CHECK_OK(capfile_linktype(f, &linktype, &err), &err);
	capfile_only(f, 1);
	while (capfile_next(f, &p, &err) == 0) {
		CHECK_EQ(p.linktype, 1);
		CHECK_EQ(p.interface, 0);
		n++;
	}
	CHECK_EQ(n, 3);
	CHECK_EQ(capfile_other_linktype(f), 3);
	capfile_close(f);
}

static void count_item(void *arg, const struct pcapstream_item *item)
{
	int *n = arg;

	n[item->kind]++;
}

TEST(items_that_are_no_packets_are_told)
{
	struct capfile *f = open_bytes(mixed_capture());
	struct err err = ERR_NONE;
	uint32_t linktype;
	int n[8] = { 0 };

	capfile_on_item(f, count_item, n);
	CHECK_OK(capfile_linktype(f, &linktype, &err), &err);
	CHECK_EQ(n[PCAPSTREAM_SECTION], 1);
	CHECK_EQ(n[PCAPSTREAM_INTERFACE], 2);
	capfile_close(f);
}

TEST(an_empty_capture_still_has_a_link_type)
{
	struct buf b = { 0 };
	struct err err = ERR_NONE;
	struct capfile_packet p;
	struct capfile *f;
	uint32_t linktype;

	put_capture(&b, 0);
	f = open_bytes(buf_bytes(&b));
	CHECK_OK(capfile_linktype(f, &linktype, &err), &err);
	CHECK_EQ(linktype, 1);
	CHECK_EQ(capfile_next(f, &p, &err), ERR_END);
	capfile_close(f);
	buf_release(&b);
}

/* -- writing ------------------------------------------------------------ */

static void write_capture(const struct pcap_head *head, int n)
{
	struct err err = ERR_NONE;
	struct capfile_output *o =
		capfile_output_open(t_path("out"), head, &err);
	struct packet_sink sink = capfile_output_sink(o);

	CHECK(o);
	for (int i = 0; i < n; i++) {
		struct packet p = make_packet(i);

		CHECK_OK(sink.give(sink.self, &p, 1, &err), &err);
	}
	CHECK_OK(capfile_output_close(o, &err), &err);
}

TEST(I03_what_is_written_in_nanoseconds_reads_back_equal)
{
	struct err err = ERR_NONE;
	struct capfile *f;
	int n;

	write_capture(&head_ns, 3000);
	f = capfile_open(t_path("out"), &err);
	CHECK_EQ(read_out(f, &n, &err), ERR_END);
	CHECK_EQ(n, 3000);
	capfile_close(f);
}

TEST(I03_what_is_written_in_microseconds_loses_three_digits_only)
{
	struct pcap_head head = head_ns;
	struct err err = ERR_NONE;
	struct capfile_packet p;
	struct capfile *f;

	head.micro = true;
	write_capture(&head, 100);
	f = capfile_open(t_path("out"), &err);
	for (int i = 0; i < 100; i++) {
		uint64_t want = make_packet(i).time_ns;

		CHECK_OK(capfile_next(f, &p, &err), &err);
		CHECK(p.packet.time_ns == want - want % 1000);
	}
	CHECK_EQ(capfile_next(f, &p, &err), ERR_END);
	capfile_close(f);
}

TEST(a_full_disk_leaves_whole_records_and_a_sentence)
{
	struct rlimit old, small = { .rlim_cur = 100000 };
	struct err err = ERR_NONE;
	struct capfile_output *o =
		capfile_output_open(t_path("out"), &head_ns, &err);
	struct capfile *f;
	int n, rc = 0;

	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	small.rlim_max = old.rlim_max;
	setrlimit(RLIMIT_FSIZE, &small);
	for (int i = 0; i < 3000 && rc == 0; i++) {
		struct packet p = make_packet(i);

		rc = capfile_output_put(o, &p, 1, &err);
	}
	CHECK_EQ(rc, ERR_FAILED);
	CHECK(strstr(err.text, "/out cannot be written past byte "));
	CHECK_EQ(capfile_output_close(o, &err), ERR_FAILED);
	setrlimit(RLIMIT_FSIZE, &old);

	CHECK(t_load(t_path("out")).len > 100000 - 2100);
	f = capfile_open(t_path("out"), &err);
	CHECK_EQ(read_out(f, &n, &err), ERR_END);
	CHECK(n > 50);
	CHECK(!capfile_warning(f));
	capfile_close(f);
}
