/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/intake/intake.h"

#include <poll.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/buf.h"
#include "codec/record.h"
#include "sys/sys.h"
#include "t.h"

/* A sink that writes down what it gets. */
struct seen {
	atomic_int packets, begins, ended;
	uint32_t linktype[32], snaplen[32];
	uint64_t first_ns;
	bool refuse;
};

static int on_begin(void *self, uint32_t linktype, uint32_t snaplen,
		    struct err *err)
{
	struct seen *s = self;

	(void)err;
	s->linktype[s->begins] = linktype;
	s->snaplen[s->begins] = snaplen;
	s->begins++;
	return 0;
}

static int on_give(void *self, const struct packet *p, int n, struct err *err)
{
	struct seen *s = self;

	if (s->refuse)
		return err_set(err, ERR_FULL, "no room");
	if (s->packets == 0)
		s->first_ns = p->time_ns;
	s->packets += n;
	return 0;
}

static void on_ended(void *arg)
{
	((struct seen *)arg)->ended++;
}

static struct intake *begin(struct seen *s, int fd, const char *address)
{
	struct intake_config cfg = { .sys = sys_host(),
				     .name = "the test",
				     .fd = fd,
				     .address = address,
				     .sink = { on_begin, on_give, s },
				     .ended = on_ended,
				     .arg = s };
	struct err err = ERR_NONE;
	struct intake *i = intake_start(&cfg, &err);

	CHECK(i != NULL);
	return i;
}

static void wait_until(atomic_int *what, int at_least)
{
	for (int i = 0; *what < at_least; i++) {
		CHECK(i < 2000);
		poll(NULL, 0, 5);
	}
}

static void put_capture(struct buf *b, uint32_t linktype, int packets)
{
	struct pcap_head head = { .linktype = linktype, .snaplen = 1000 };

	put_pcap_head(b, &head);
	for (int i = 0; i < packets; i++) {
		struct packet p = { .data = bytes_of_text("0123456789"),
				    .time_ns =
					    1700000000123456789 + (uint64_t)i,
				    .wire_len = 10 };

		put_record(b, &p);
	}
}

/* Write it in pieces of `piece` and close; it is less than a pipe holds. */
static int pipe_of(const struct buf *b, size_t piece)
{
	int p[2];

	CHECK_EQ(pipe(p), 0);
	for (size_t at = 0; at < b->len; at += piece) {
		size_t n = b->len - at < piece ? b->len - at : piece;

		CHECK_EQ(write(p[1], b->p + at, n), n);
	}
	close(p[1]);
	return p[0];
}

TEST(B02_a_stream_in_any_pieces_gives_its_packets)
{
	for (size_t piece = 1; piece < 20000; piece = piece * 3 + 1) {
		struct seen s = { 0 };
		struct buf b = { 0 };
		struct err err = ERR_NONE;
		struct intake *i;
		int fd;

		put_capture(&b, 113, 1300);
		fd = pipe_of(&b, piece);
		i = begin(&s, fd, NULL);
		wait_until(&s.ended, 1);
		CHECK_EQ(atomic_load(&intake_counters(i)->packets), 1300);
		CHECK_EQ(atomic_load(&intake_counters(i)->bytes), b.len);
		CHECK_OK(intake_stop(i, &err), &err);
		CHECK_EQ(s.packets, 1300);
		CHECK_EQ(s.begins, 1);
		CHECK_EQ(s.linktype[0], 113);
		CHECK_EQ(s.snaplen[0], 1000);
		CHECK_EQ(s.first_ns, 1700000000123456789);
		close(fd);
		buf_release(&b);
	}
}

TEST(the_link_type_is_told_before_the_first_packet)
{
	struct seen s = { 0 };
	struct buf b = { 0 };
	struct err err = ERR_NONE;
	struct intake *i;
	int p[2];

	put_capture(&b, 101, 0);
	CHECK_EQ(pipe(p), 0);
	i = begin(&s, p[0], NULL);
	CHECK_EQ(write(p[1], b.p, b.len), b.len);
	wait_until(&s.begins, 1);
	CHECK_EQ(s.packets, 0);
	close(p[1]);
	CHECK_OK(intake_stop(i, &err), &err);
	close(p[0]);
	buf_release(&b);
}

TEST(a_cut_record_costs_only_itself)
{
	struct seen s = { 0 };
	struct buf b = { 0 };
	struct err err = ERR_NONE;
	struct intake *i;
	int fd;

	put_capture(&b, 1, 10);
	b.len -= 3;
	fd = pipe_of(&b, b.len);
	i = begin(&s, fd, NULL);
	wait_until(&s.ended, 1);
	CHECK_OK(intake_stop(i, &err), &err);
	CHECK_EQ(s.packets, 9);
	close(fd);
	buf_release(&b);
}

TEST(what_is_no_capture_is_refused_in_a_sentence)
{
	struct seen s = { 0 };
	struct buf b = { 0 };
	struct err err = ERR_NONE;
	struct intake *i;
	int fd;

	put_text(&b, "tcpdump: eth0: You don't have permission\n");
	fd = pipe_of(&b, b.len);
	i = begin(&s, fd, NULL);
	wait_until(&s.ended, 1);
	CHECK_EQ(intake_stop(i, &err), ERR_UNKNOWN);
	CHECK(strncmp(err.text, "the test at byte 0: ", 20) == 0);
	close(fd);
	buf_release(&b);
}

TEST(a_sink_that_fails_ends_it)
{
	struct seen s = { .refuse = true };
	struct buf b = { 0 };
	struct err err = ERR_NONE;
	struct intake *i;
	int fd;

	put_capture(&b, 1, 10);
	fd = pipe_of(&b, b.len);
	i = begin(&s, fd, NULL);
	wait_until(&s.ended, 1);
	CHECK_EQ(intake_stop(i, &err), ERR_FULL);
	CHECK_STR(err.text, "no room");
	close(fd);
	buf_release(&b);
}

TEST(it_stops_while_the_source_is_silent)
{
	struct seen s = { 0 };
	struct err err = ERR_NONE;
	struct intake *i;
	int p[2];

	CHECK_EQ(pipe(p), 0);
	i = begin(&s, p[0], NULL);
	CHECK_OK(intake_stop(i, &err), &err);
	close(p[0]);
	close(p[1]);
}

/* A pcapng whose two interfaces take turns. */
static void put_turns(struct buf *b, int packets)
{
	static const uint16_t types[] = { 1, 101 };

	put_le32(b, 0x0a0d0d0a);
	put_le32(b, 28);
	put_le32(b, 0x1a2b3c4d);
	put_le32(b, 1);
	put_le64(b, UINT64_MAX);
	put_le32(b, 28);
	for (int i = 0; i < 2; i++) {
		put_le32(b, 1);
		put_le32(b, 20);
		put_le16(b, types[i]);
		put_le16(b, 0);
		put_le32(b, 0);
		put_le32(b, 20);
	}
	for (int i = 0; i < packets; i++) {
		put_le32(b, 6);
		put_le32(b, 36);
		put_le32(b, (uint32_t)i % 2);
		put_le32(b, 0);
		put_le32(b, 1000 + (uint32_t)i);
		put_le32(b, 4);
		put_le32(b, 4);
		put_le32(b, 0xabcdef01);
		put_le32(b, 36);
	}
}

TEST(link_types_that_take_turns_change_the_sink_only_so_often)
{
	struct seen s = { 0 };
	struct buf b = { 0 };
	struct err err = ERR_NONE;
	struct intake *i;
	int fd;

	put_turns(&b, 100);
	fd = pipe_of(&b, b.len);
	i = begin(&s, fd, NULL);
	wait_until(&s.ended, 1);
	CHECK_EQ(s.begins, INTAKE_CHANGES_MAX + 1);
	CHECK_EQ(s.linktype[0], 1);
	CHECK_EQ(s.linktype[1], 101);
	/* 17 of the first 17, then every other one of the 83 left. */
	CHECK_EQ(s.packets, 17 + 41);
	CHECK_EQ(atomic_load(&intake_counters(i)->left_out), 42);
	CHECK_OK(intake_stop(i, &err), &err);
	close(fd);
	buf_release(&b);
}

/* Take one connection and give it a capture. */
static void serve_once(int listening, uint32_t linktype, int packets)
{
	struct sys *sys = sys_host();
	struct buf b = { 0 };
	char peer[SYS_PEER_MAX];
	int s;

	for (int i = 0; (s = sys->accept(sys, listening, peer)) < 0; i++) {
		CHECK(i < 2000);
		poll(NULL, 0, 5);
	}
	put_capture(&b, linktype, packets);
	CHECK_EQ(sys->send(sys, s, b.p, b.len), b.len);
	sys->hang_up(sys, s);
	buf_release(&b);
}

TEST(another_feed_is_dialled_again_when_it_ends)
{
	struct sys *sys = sys_host();
	struct seen s = { 0 };
	struct err err = ERR_NONE;
	char address[SYS_PEER_MAX];
	struct intake *i;
	int listening = sys->listen(sys, "127.0.0.1:0");

	CHECK(listening >= 0);
	CHECK_EQ(sys->bound(sys, listening, address), 0);
	i = begin(&s, -1, address);
	serve_once(listening, 1, 5);
	wait_until(&s.packets, 5);
	serve_once(listening, 113, 7);
	wait_until(&s.packets, 12);
	CHECK_EQ(s.begins, 2);
	CHECK_EQ(s.linktype[1], 113);
	CHECK_OK(intake_stop(i, &err), &err);
	sys->hang_up(sys, listening);
}
