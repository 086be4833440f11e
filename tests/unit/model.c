/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The instrument itself: a model that forgives too much would make the tests
 * that use it worth nothing.
 */
#include <errno.h>

#include "base/buf.h"
#include "model/disk.h"
#include "model/net.h"
#include "t.h"

enum { CREATE = SYS_READ | SYS_WRITE | SYS_CREATE };

static int new_file(struct disk *d, const char *path)
{
	int file = disk_sys(d)->open(disk_sys(d), path, CREATE);

	CHECK(file >= 0);
	return file;
}

static void put(struct disk *d, int file, const char *text, uint64_t at)
{
	CHECK_EQ(sys_write_full(disk_sys(d), file, text, strlen(text), at), 0);
}

/* A file with durable name and content. */
static int settled_file(struct disk *d, const char *path, const char *text)
{
	int file = new_file(d, path);

	put(d, file, text, 0);
	CHECK_EQ(disk_sys(d)->sync(disk_sys(d), file), 0);
	CHECK_EQ(disk_sys(d)->sync_dir(disk_sys(d), "/"), 0);
	return file;
}

/* The whole file, or "-" where there is none; '.' stands for a zero byte. */
static void show(struct disk *d, const char *path, char out[64])
{
	struct sys *sys = disk_sys(d);
	int file = sys->open(sys, path, SYS_READ);
	ssize_t n;

	strcpy(out, "-");
	if (file < 0)
		return;
	n = sys->pread(sys, file, out, 63, 0);
	CHECK(n >= 0);
	out[n] = '\0';
	for (ssize_t i = 0; i < n; i++)
		if (!out[i])
			out[i] = '.';
	sys->close(sys, file);
}

/* All contents of `path` that a cut now can leave, sorted by first sight. */
static struct buf outcomes(struct disk *d, const char *path)
{
	struct disk_walk w = {
		.d = d, .from = disk_ops(d), .to = disk_ops(d), .bound = 1000
	};
	struct buf seen = { 0 };
	struct disk *state;

	put_text(&seen, "|");
	while ((state = disk_walk_next(&w)) != NULL) {
		char text[64], framed[68];

		show(state, path, text);
		snprintf(framed, sizeof(framed), "|%s|", text);
		if (!memmem(seen.p, seen.len, framed, strlen(framed)))
			put_format(&seen, "%s|", text);
		disk_free(state);
	}
	CHECK_EQ(w.whole_points, 1);
	disk_walk_end(&w);
	put_u8(&seen, 0);
	return seen;
}

static void check_outcomes(struct disk *d, const char *path, const char *want)
{
	struct buf seen = outcomes(d, path);

	CHECK_STR((char *)seen.p, want);
	buf_release(&seen);
}

TEST(what_is_synced_with_its_name_is_there_after_any_cut)
{
	struct disk *d = disk_new(1);

	settled_file(d, "f", "kept");
	check_outcomes(d, "f", "|kept|");
	disk_free(d);
}

TEST(a_synced_file_whose_directory_was_not_may_be_missing)
{
	struct disk *d = disk_new(1);
	int file = new_file(d, "f");

	put(d, file, "kept", 0);
	CHECK_EQ(disk_sys(d)->sync(disk_sys(d), file), 0);
	check_outcomes(d, "f", "|-|kept|");
	disk_free(d);
}

TEST(a_synced_name_does_not_bring_the_bytes_along)
{
	struct disk *d = disk_new(1);
	int file = new_file(d, "f");

	put(d, file, "ab", 0);
	CHECK_EQ(disk_sys(d)->sync_dir(disk_sys(d), "/"), 0);
	check_outcomes(d, "f", "||..|ab|");
	(void)file;
	disk_free(d);
}

TEST(the_names_of_one_directory_do_not_sync_another)
{
	struct disk *d = disk_new(1);
	struct sys *sys = disk_sys(d);
	int file;

	CHECK_EQ(sys->mkdir(sys, "sub"), 0);
	file = new_file(d, "sub/f");
	put(d, file, "x", 0);
	CHECK_EQ(sys->sync(sys, file), 0);
	CHECK_EQ(sys->sync_dir(sys, "sub"), 0);
	check_outcomes(d, "sub/f", "|-|x|");
	CHECK_EQ(sys->sync_dir(sys, "/"), 0);
	check_outcomes(d, "sub/f", "|x|");
	disk_free(d);
}

TEST(of_two_writes_any_subset_may_arrive)
{
	struct disk *d = disk_new(1);
	int file = settled_file(d, "f", "--");

	put(d, file, "A", 0);
	put(d, file, "B", 1);
	check_outcomes(d, "f", "|--|-B|A-|AB|");
	disk_free(d);
}

TEST(a_grown_file_may_have_its_size_before_its_bytes)
{
	struct disk *d = disk_new(1);
	int file = settled_file(d, "f", "a");

	put(d, file, "b", 1);
	put(d, file, "c", 2);
	check_outcomes(d, "f", "|a|a.|ab|a..|a.c|ab.|abc|");
	disk_free(d);
}

TEST(a_write_is_torn_at_sectors_and_nowhere_else)
{
	struct disk *d = disk_new(1);
	int file = new_file(d, "f");
	char old[1536], new[1536], got[1536];
	unsigned seen = 0;

	memset(old, 'o', sizeof(old));
	memset(new, 'n', sizeof(new));
	CHECK_EQ(sys_write_full(disk_sys(d), file, old, 1536, 0), 0);
	CHECK_EQ(disk_sys(d)->sync(disk_sys(d), file), 0);
	CHECK_EQ(disk_sys(d)->sync_dir(disk_sys(d), "/"), 0);
	CHECK_EQ(sys_write_full(disk_sys(d), file, new, 1536, 0), 0);

	for (uint64_t seed = 0; seed < 200; seed++) {
		struct disk *state =
			disk_crash(d, disk_ops(d), DISK_BY_CHANCE, seed);
		unsigned which = 0;
		int f = new_file(state, "f");

		CHECK_EQ(sys_read_full(disk_sys(state), f, got, 1536, 0), 0);
		for (int s = 0; s < 3; s++) {
			const char *want = got[512 * s] == 'n' ? new : old;

			CHECK(memcmp(got + 512 * s, want, 512) == 0);
			which |= (unsigned)(want == new) << s;
		}
		seen |= 1u << which;
		disk_free(state);
	}
	CHECK_EQ(seen, 0xff);
	disk_free(d);
}

TEST(reserved_blocks_may_show_what_another_file_had_there)
{
	struct disk *d = disk_new(1);
	int file;

	settled_file(d, "old", "secret");
	file = settled_file(d, "f", "a");
	CHECK_EQ(disk_sys(d)->reserve(disk_sys(d), file, 4096), 0);
	put(d, file, "bcd", 1);
	check_outcomes(d, "f", "|a|a...|aecr|abcd|");
	disk_free(d);
}

TEST(a_rename_happened_or_not_or_left_both_names)
{
	struct disk *d = disk_new(1);
	struct disk_walk w = { .d = d, .bound = 100 };
	struct disk *state;
	unsigned seen = 0;

	settled_file(d, "a", "x");
	settled_file(d, "b", "y");
	CHECK_EQ(disk_sys(d)->rename(disk_sys(d), "a", "b"), 0);
	w.from = w.to = disk_ops(d);
	while ((state = disk_walk_next(&w)) != NULL) {
		char a[64], b[64];

		show(state, "a", a);
		show(state, "b", b);
		if (strcmp(a, "x") == 0 && strcmp(b, "y") == 0)
			seen |= 1;
		else if (strcmp(a, "x") == 0 && strcmp(b, "x") == 0)
			seen |= 2;
		else if (strcmp(a, "-") == 0 && strcmp(b, "x") == 0)
			seen |= 4;
		else
			fail_msg("a is %s and b is %s", a, b);
		disk_free(state);
	}
	disk_walk_end(&w);
	CHECK_EQ(w.states, 3);
	CHECK_EQ(seen, 7);
	disk_free(d);
}

TEST(unlinks_may_arrive_in_any_order)
{
	struct disk *d = disk_new(1);
	struct disk *state;
	struct disk_walk w = { .d = d, .bound = 100 };
	bool out_of_order = false;

	settled_file(d, "1", "x");
	settled_file(d, "2", "y");
	CHECK_EQ(disk_sys(d)->unlink(disk_sys(d), "1"), 0);
	CHECK_EQ(disk_sys(d)->unlink(disk_sys(d), "2"), 0);
	w.from = w.to = disk_ops(d);
	while ((state = disk_walk_next(&w)) != NULL) {
		char one[64], two[64];

		show(state, "1", one);
		show(state, "2", two);
		out_of_order |= one[0] == 'x' && two[0] == '-';
		disk_free(state);
	}
	disk_walk_end(&w);
	CHECK(out_of_order);
	disk_free(d);
}

TEST(a_failed_sync_loses_the_bytes_though_the_next_one_succeeds)
{
	struct disk *d = disk_new(1);
	struct sys *sys = disk_sys(d);
	int file = settled_file(d, "f", "a");
	char now[64];

	put(d, file, "b", 0);
	disk_fail(d, (struct disk_fault){ .calls = DISK_SYNC, .error = EIO });
	CHECK_EQ(sys->sync(sys, file), -EIO);
	CHECK_EQ(sys->sync(sys, file), 0);
	show(d, "f", now);
	CHECK_STR(now, "b");
	check_outcomes(d, "f", "|a|b|");
	put(d, file, "c", 0);
	CHECK_EQ(sys->sync(sys, file), 0);
	check_outcomes(d, "f", "|c|");
	disk_free(d);
}

TEST(the_nth_call_fails_once_or_from_then_on)
{
	struct disk *d = disk_new(1);
	struct sys *sys = disk_sys(d);
	int file = new_file(d, "f");

	disk_fail(d, (struct disk_fault){ .calls = DISK_WRITE | DISK_SYNC,
					  .nth = 1,
					  .error = ENOSPC });
	CHECK_EQ(sys->pwrite(sys, file, "ab", 2, 0), 2);
	CHECK_EQ(sys->sync(sys, file), -ENOSPC);
	CHECK_EQ(sys->sync(sys, file), 0);
	CHECK_EQ(disk_fault_calls(d), 3);

	disk_fail(d, (struct disk_fault){ .calls = DISK_WRITE,
					  .nth = 1,
					  .error = EIO,
					  .sticky = true });
	CHECK_EQ(sys->pwrite(sys, file, "ab", 2, 0), 2);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(sys->pwrite(sys, file, "ab", 2, 0), -EIO);
	CHECK_EQ(sys->sync(sys, file), 0);

	disk_fail(d, (struct disk_fault){ .calls = DISK_WRITE });
	CHECK_EQ(sys->pwrite(sys, file, "abcd", 4, 0), 2);
	CHECK_EQ(sys->pwrite(sys, file, "abcd", 4, 0), 4);
	disk_free(d);
}

TEST(a_full_disk_says_so_and_has_room_again)
{
	struct disk *d = disk_new(1);
	struct sys *sys = disk_sys(d);
	int file = new_file(d, "f");

	disk_limit(d, 10);
	CHECK_EQ(sys->reserve(sys, file, 11), -ENOSPC);
	CHECK_EQ(sys->pwrite(sys, file, "12345678", 8, 0), 8);
	CHECK_EQ(sys->pwrite(sys, file, "xyz", 3, 8), -ENOSPC);
	CHECK_EQ(sys->truncate(sys, file, 2), 0);
	CHECK_EQ(sys->pwrite(sys, file, "xyz", 3, 2), 3);
	disk_free(d);
}

TEST(a_killed_process_leaves_its_bytes_and_no_lock)
{
	struct disk *d = disk_new(1);
	struct sys *sys = disk_sys(d);
	int file = new_file(d, "f"), other;
	char text[64];

	put(d, file, "kept", 0);
	CHECK_EQ(sys->lock(sys, file), 0);
	disk_kill(d);
	CHECK_EQ(sys->close(sys, file), -EBADF);
	CHECK_EQ(sys->unlink(sys, "f"), -EIO);
	disk_start(d);
	show(d, "f", text);
	CHECK_STR(text, "kept");
	other = new_file(d, "f");
	CHECK_EQ(sys->lock(sys, other), 0);
	disk_free(d);
}

TEST(the_same_seed_gives_the_same_disk)
{
	struct disk *d = disk_new(7);
	int file = new_file(d, "f");
	char a[64], b[64];

	for (int i = 0; i < 20; i++)
		put(d, file, "abc", (uint64_t)i);
	for (uint64_t seed = 0; seed < 50; seed++) {
		struct disk *one = disk_crash(d, 15, DISK_BY_CHANCE, seed);
		struct disk *two = disk_crash(d, 15, DISK_BY_CHANCE, seed);

		show(one, "f", a);
		show(two, "f", b);
		CHECK_STR(a, b);
		disk_free(one);
		disk_free(two);
	}
	disk_free(d);
}

TEST(a_walk_over_its_bound_still_sees_both_ends)
{
	struct disk *d = disk_new(7);
	int file = settled_file(d, "f", "----------");
	struct disk_walk w = { .d = d, .bound = 50 };
	struct disk *state;
	unsigned seen = 0;

	for (int i = 0; i < 10; i++)
		put(d, file, "X", (uint64_t)i);
	w.from = w.to = disk_ops(d);
	while ((state = disk_walk_next(&w)) != NULL) {
		char text[64];

		show(state, "f", text);
		seen |= strcmp(text, "----------") == 0;
		seen |= (strcmp(text, "XXXXXXXXXX") == 0) * 2u;
		seen |= (strchr(text, '-') && strchr(text, 'X')) * 4u;
		disk_free(state);
	}
	CHECK_EQ(w.states, 50);
	CHECK_EQ(w.whole_points, 0);
	CHECK_EQ(seen, 7);
	disk_walk_end(&w);
	disk_free(d);
}

/* -- the network -------------------------------------------------------- */

/* Two machines with a connection between them. */
struct wire {
	struct net *net;
	struct disk *a, *b;
	int listener, dialler, accepted;
	char peer[SYS_PEER_MAX];
};

static struct wire new_wire(void)
{
	struct wire w = { .net = net_new(),
			  .a = disk_new(1),
			  .b = disk_new(2) };

	net_join(w.net, w.a, "a");
	net_join(w.net, w.b, "b");
	w.listener = disk_sys(w.b)->listen(disk_sys(w.b), ":7000");
	CHECK(w.listener >= 0);
	return w;
}

static void dial(struct wire *w)
{
	struct sys *b = disk_sys(w->b);

	w->dialler = disk_sys(w->a)->dial(disk_sys(w->a), "b:7000");
	CHECK(w->dialler >= 0);
	net_advance(w->net, net_weather(w->net)->latency_ns);
	w->accepted = b->accept(b, w->listener, w->peer);
	CHECK(w->accepted >= 0);
}

static void free_wire(struct wire *w)
{
	net_free(w->net);
	disk_free(w->a);
	disk_free(w->b);
}

static ssize_t say(struct wire *w, const char *text)
{
	struct sys *a = disk_sys(w->a);

	return a->send(a, w->dialler, text, strlen(text));
}

/* What b has received; the last return value tells how it goes on. */
static ssize_t hear(struct wire *w, char out[64])
{
	struct sys *b = disk_sys(w->b);
	size_t n = 0;
	ssize_t got;

	while ((got = b->recv(b, w->accepted, out + n, 63 - n)) > 0)
		n += (size_t)got;
	out[n] = '\0';
	return got;
}

TEST(a_connection_takes_its_time_and_carries_bytes)
{
	struct wire w = new_wire();
	struct sys *a = disk_sys(w.a), *b = disk_sys(w.b);
	char text[64];
	int s;

	net_weather(w.net)->latency_ns = 1000;
	s = a->dial(a, "b:7000");
	CHECK_EQ(a->dialled(a, s), -EINPROGRESS);
	CHECK_EQ(b->accept(b, w.listener, text), -EAGAIN);
	CHECK(net_advance_to_next(w.net));
	CHECK_EQ(net_now(w.net), 1000);
	CHECK_EQ(a->dialled(a, s), 0);
	w.dialler = s;
	w.accepted = b->accept(b, w.listener, w.peer);
	CHECK(strncmp(w.peer, "a:", 2) == 0);
	CHECK_EQ(say(&w, "ping"), 4);
	CHECK_EQ(hear(&w, text), -EAGAIN);
	CHECK_STR(text, "");
	net_advance(w.net, 1000);
	CHECK_EQ(hear(&w, text), -EAGAIN);
	CHECK_STR(text, "ping");
	CHECK_EQ(disk_clock(w.a)->mono_ns, disk_clock(w.b)->mono_ns);
	CHECK_EQ(a->hang_up(a, w.dialler), 0);
	CHECK_EQ(hear(&w, text), -EAGAIN);
	net_advance(w.net, 1000);
	CHECK_EQ(hear(&w, text), 0);
	CHECK(!net_advance_to_next(w.net));
	free_wire(&w);
}

TEST(bytes_come_in_pieces_and_wait_when_the_window_is_full)
{
	struct wire w = new_wire();
	struct sys *b = disk_sys(w.b);
	char text[64];

	dial(&w);
	net_weather(w.net)->piece_max = 1;
	net_weather(w.net)->window_max = 3;
	CHECK_EQ(say(&w, "abcd"), 3);
	CHECK_EQ(say(&w, "d"), -EAGAIN);
	CHECK_EQ(b->recv(b, w.accepted, text, sizeof(text)), 1);
	CHECK_EQ(say(&w, "d"), 1);
	CHECK_EQ(hear(&w, text), -EAGAIN);
	CHECK_STR(text, "bcd");
	free_wire(&w);
}

TEST(a_cut_comes_behind_exactly_so_many_bytes)
{
	for (uint64_t at = 0; at < 5; at++) {
		struct wire w = new_wire();
		char text[64];

		net_cut_next(w.net, NET_FROM_DIALLER, at);
		dial(&w);
		CHECK_EQ(say(&w, "abcdef"), at ? (ssize_t)at : -ECONNRESET);
		CHECK_EQ(say(&w, "x"), -ECONNRESET);
		CHECK_EQ(hear(&w, text), -ECONNRESET);
		CHECK_EQ(strlen(text), at);
		CHECK_EQ(net_carried(w.net, NET_FROM_DIALLER), at);
		dial(&w); /* the next one is whole */
		CHECK_EQ(say(&w, "abcdef"), 6);
		CHECK_EQ(net_dials(w.net), 2);
		free_wire(&w);
	}
}

TEST(a_partition_holds_everything_up_and_loses_nothing)
{
	struct wire w = new_wire();
	struct sys *a = disk_sys(w.a);
	char text[64];
	int s;

	dial(&w);
	net_weather(w.net)->partition = true;
	CHECK_EQ(say(&w, "late"), 4);
	s = a->dial(a, "b:7000");
	net_advance(w.net, UINT64_C(1000000000));
	CHECK_EQ(a->dialled(a, s), -EINPROGRESS);
	CHECK_EQ(hear(&w, text), -EAGAIN);
	CHECK_STR(text, "");
	net_weather(w.net)->partition = false;
	CHECK_EQ(hear(&w, text), -EAGAIN);
	CHECK_STR(text, "late");
	CHECK_EQ(a->dialled(a, s), 0);
	free_wire(&w);
}

TEST(a_machine_that_dies_resets_its_peers_and_may_come_again)
{
	struct wire w = new_wire();
	struct sys *a = disk_sys(w.a);
	struct disk *again;
	char text[64];
	int s;

	dial(&w);
	net_leave(w.net, w.a);
	CHECK_EQ(hear(&w, text), -ECONNRESET);
	again = disk_crash(w.a, disk_ops(w.a), DISK_LOSE_ALL, 1);
	disk_free(w.a);
	w.a = again;
	net_join(w.net, w.a, "a");
	dial(&w);
	CHECK_EQ(say(&w, "back"), 4);
	net_reset_all(w.net);
	CHECK_EQ(hear(&w, text), -ECONNRESET);
	CHECK_STR(text, "");
	a = disk_sys(w.a);
	s = a->dial(a, "b:7001");
	CHECK_EQ(a->dialled(a, s), -ECONNREFUSED);
	free_wire(&w);
}

TEST(a_model_file_goes_into_a_model_socket)
{
	struct wire w = new_wire();
	struct sys *a = disk_sys(w.a);
	int file = new_file(w.a, "f");
	uint64_t at = 1;
	char text[64];

	put(w.a, file, "abc", 0);
	dial(&w);
	CHECK_EQ(a->send_file(a, w.dialler, file, &at, 10), 2);
	CHECK_EQ(at, 3);
	CHECK_EQ(hear(&w, text), -EAGAIN);
	CHECK_STR(text, "bc");
	free_wire(&w);
}
