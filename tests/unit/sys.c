/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/sys.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "t.h"

enum { CREATE = SYS_READ | SYS_WRITE | SYS_CREATE };

/* -- files --------------------------------------------------------------- */

static int new_file(struct sys *sys, const char *path)
{
	int file = sys->open(sys, path, CREATE | SYS_EXCL);

	CHECK(file >= 0);
	return file;
}

static void write_text(struct sys *sys, int file, const char *text, uint64_t at)
{
	CHECK_EQ(sys_write_full(sys, file, text, strlen(text), at), 0);
}

static void check_text(struct sys *sys, int file, const char *text, uint64_t at)
{
	char got[64] = "";

	CHECK_EQ(sys_read_full(sys, file, got, strlen(text), at), 0);
	CHECK_STR(got, text);
}

static uint64_t size_of(struct sys *sys, int file)
{
	uint64_t bytes = UINT64_MAX;

	CHECK_EQ(sys->size(sys, file, &bytes), 0);
	return bytes;
}

static void put_name(void *arg, const char *name)
{
	put_format(arg, "%s ", name);
}

static size_t count_names(struct sys *sys, const char *path)
{
	struct buf names = { 0 };
	size_t n = 0;

	CHECK_EQ(sys->list(sys, path, put_name, &names), 0);
	for (size_t i = 0; i < names.len; i++)
		n += names.p[i] == ' ';
	buf_release(&names);
	return n;
}

TEST(a_file_gives_back_what_was_written)
{
	struct sys *sys = sys_host();
	int file = new_file(sys, t_path("f"));

	write_text(sys, file, "hello", 0);
	write_text(sys, file, "world", 8);
	CHECK_EQ(size_of(sys, file), 13);
	check_text(sys, file, "hello", 0);
	check_text(sys, file, "world", 8);
	CHECK_EQ(sys->truncate(sys, file, 5), 0);
	CHECK_EQ(size_of(sys, file), 5);
	CHECK_EQ(sys->sync(sys, file), 0);
	CHECK_EQ(sys->sync_dir(sys, t_dir()), 0);
	CHECK_EQ(sys->close(sys, file), 0);
	CHECK_EQ(sys->close(sys, file), -EBADF);
}

TEST(open_flags_mean_what_they_say)
{
	struct sys *sys = sys_host();
	const char *path = t_path("f");
	int file = sys->open(sys, path, SYS_READ);
	struct stat st;

	CHECK_EQ(file, -ENOENT);
	file = new_file(sys, path);
	write_text(sys, file, "abc", 0);
	CHECK_EQ(sys->close(sys, file), 0);
	CHECK_EQ(stat(path, &st), 0);
	CHECK_EQ(st.st_mode & 0777, 0600);
	CHECK_EQ(sys->open(sys, path, CREATE | SYS_EXCL), -EEXIST);

	file = sys->open(sys, path, SYS_READ);
	CHECK_EQ(sys->pwrite(sys, file, "x", 1, 0), -EBADF);
	CHECK_EQ(sys->close(sys, file), 0);
	file = sys->open(sys, path, SYS_WRITE | SYS_TRUNCATE);
	CHECK_EQ(size_of(sys, file), 0);
	CHECK_EQ(sys->close(sys, file), 0);
}

TEST(reading_past_the_end_in_full_is_an_error)
{
	struct sys *sys = sys_host();
	int file = new_file(sys, t_path("f"));
	char got[8];

	write_text(sys, file, "abc", 0);
	CHECK_EQ(sys_read_full(sys, file, got, 3, 0), 0);
	CHECK_EQ(sys_read_full(sys, file, got, 4, 0), -EIO);
	CHECK_EQ(sys->close(sys, file), 0);
}

TEST(reserving_does_not_change_the_size)
{
	struct sys *sys = sys_host();
	int file = new_file(sys, t_path("f"));

	CHECK_EQ(sys->reserve(sys, file, 0), 0);
	CHECK_EQ(sys->reserve(sys, file, 1 << 20), 0);
	CHECK_EQ(size_of(sys, file), 0);
	CHECK_EQ(sys->close(sys, file), 0);
}

TEST(names_are_listed_renamed_and_removed)
{
	struct sys *sys = sys_host();
	const char *sub = t_path("sub");
	const char *a = t_path("sub/a"), *b = t_path("sub/b");

	CHECK_EQ(sys->mkdir(sys, sub), 0);
	CHECK_EQ(sys->mkdir(sys, sub), -EEXIST);
	CHECK_EQ(count_names(sys, sub), 0);
	sys->close(sys, new_file(sys, a));
	CHECK_EQ(count_names(sys, sub), 1);
	CHECK_EQ(sys->rename(sys, a, b), 0);
	CHECK_EQ(sys->open(sys, a, SYS_READ), -ENOENT);
	CHECK_EQ(sys->rmdir(sys, sub), -ENOTEMPTY);
	CHECK_EQ(sys->unlink(sys, b), 0);
	CHECK_EQ(sys->unlink(sys, b), -ENOENT);
	CHECK_EQ(sys->rmdir(sys, sub), 0);
	CHECK_EQ(sys->list(sys, sub, put_name, NULL), -ENOENT);
}

/* D8: the second writer is refused, in this process or another. */
TEST(a_lock_is_exclusive_and_gone_with_its_handle)
{
	struct sys *sys = sys_host();
	const char *path = t_path("lock");
	int first = new_file(sys, path);
	int second = sys->open(sys, path, CREATE);

	CHECK_EQ(sys->locked(sys, second), 0);
	CHECK_EQ(sys->lock(sys, first), 0);
	CHECK_EQ(sys->locked(sys, first), 0); /* somebody else's? no */
	CHECK_EQ(sys->locked(sys, second), 1);
	CHECK_EQ(sys->lock(sys, second), -EWOULDBLOCK);

	/* Closing another handle of the file must not drop it. */
	CHECK_EQ(sys->close(sys, sys->open(sys, path, SYS_READ)), 0);
	CHECK_EQ(sys->lock(sys, second), -EWOULDBLOCK);

	CHECK_EQ(sys->close(sys, first), 0);
	CHECK_EQ(sys->lock(sys, second), 0);
	CHECK_EQ(sys->close(sys, second), 0);
}

TEST(missing_directories_are_made_all_the_way)
{
	struct sys *sys = sys_host();

	CHECK_EQ(sys_mkdir_all(sys, t_path("a/b//c/")), 0);
	CHECK_EQ(sys_mkdir_all(sys, t_path("a/b/c")), 0);
	CHECK_EQ(count_names(sys, t_path("a/b/c")), 0);
	sys->close(sys, new_file(sys, t_path("a/f")));
	CHECK_EQ(sys_mkdir_all(sys, t_path("a/f/g")), -ENOTDIR);
	CHECK_EQ(sys_mkdir_all(sys, "/"), 0);
}

TEST(a_replaced_file_is_whole_and_leaves_no_second_name)
{
	struct sys *sys = sys_host();
	const char *path = t_path("f");

	CHECK_EQ(sys_replace_file(sys, path, "one", 3), 0);
	CHECK_EQ(sys_replace_file(sys, path, "two2", 4), 0);
	CHECK_BYTES(t_load(path), bytes_of_text("two2"));
	CHECK_EQ(count_names(sys, t_dir()), 1);
	CHECK_EQ(sys_replace_file(sys, t_path("no/f"), "x", 1), -ENOENT);
}

/* A disk on which every call moves a byte at most, and may be interrupted. */
struct slow {
	struct sys sys;
	int calls;
	int dead; /* nothing moves any more */
};

static ssize_t slow_pread(struct sys *sys, int file, void *to, size_t len,
			  uint64_t at)
{
	struct slow *slow = (struct slow *)sys;

	if (slow->dead)
		return 0;
	if (slow->calls++ % 2)
		return -EINTR;
	return sys_host()->pread(sys, file, to, len ? 1 : 0, at);
}

static ssize_t slow_pwrite(struct sys *sys, int file, const void *from,
			   size_t len, uint64_t at)
{
	struct slow *slow = (struct slow *)sys;

	if (slow->dead)
		return 0;
	if (slow->calls++ % 2)
		return -EINTR;
	return sys_host()->pwrite(sys, file, from, len ? 1 : 0, at);
}

TEST(short_and_interrupted_calls_are_carried_on)
{
	struct slow slow = { .sys = *sys_host() };
	int file;

	slow.sys.pread = slow_pread;
	slow.sys.pwrite = slow_pwrite;
	file = new_file(&slow.sys, t_path("f"));
	write_text(&slow.sys, file, "in small steps", 0);
	check_text(&slow.sys, file, "in small steps", 0);
	slow.dead = 1;
	CHECK_EQ(sys_write_full(&slow.sys, file, "x", 1, 0), -EIO);
	CHECK_EQ(slow.sys.close(&slow.sys, file), 0);
}

/* -- clocks and chance --------------------------------------------------- */

TEST(clocks_run_and_chance_differs)
{
	struct sys *sys = sys_host();
	uint64_t before = sys->mono_ns(sys), a = 0, b = 0, free = 0;

	CHECK(sys->mono_ns(sys) >= before);
	CHECK(sys->wall_ns(sys) > UINT64_C(1600000000) * 1000000000);
	CHECK(sys->boot_id(sys) == sys->boot_id(sys));
	sys->random(sys, &a, sizeof(a));
	sys->random(sys, &b, sizeof(b));
	CHECK(a != b);
	CHECK_EQ(sys->space(sys, t_dir(), &free), 0);
	CHECK(free > 0);
}

/* -- network ------------------------------------------------------------- */

static void wait_for(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	CHECK_EQ(poll(&p, 1, 10000), 1);
}

struct pair {
	int listener, ours, theirs;
	char here[SYS_PEER_MAX], peer[SYS_PEER_MAX];
};

static struct pair connect_to(struct sys *sys, const char *address)
{
	struct pair p = { .listener = sys->listen(sys, address) };

	CHECK(p.listener >= 0);
	CHECK_EQ(sys->accept(sys, p.listener, p.peer), -EAGAIN);
	CHECK_EQ(sys->bound(sys, p.listener, p.here), 0);
	p.ours = sys->dial(sys, p.here);
	CHECK(p.ours >= 0);
	wait_for(p.listener, POLLIN);
	p.theirs = sys->accept(sys, p.listener, p.peer);
	CHECK(p.theirs >= 0);
	wait_for(p.ours, POLLOUT);
	CHECK_EQ(sys->dialled(sys, p.ours), 0);
	return p;
}

static void close_pair(struct sys *sys, struct pair *p)
{
	CHECK_EQ(sys->hang_up(sys, p->theirs), 0);
	CHECK_EQ(sys->hang_up(sys, p->listener), 0);
	CHECK_EQ(sys->hang_up(sys, p->ours), 0);
}

TEST(bytes_travel_both_ways_and_the_end_is_seen)
{
	struct sys *sys = sys_host();
	struct pair p = connect_to(sys, "127.0.0.1:0");
	char got[8] = "";

	CHECK(strncmp(p.peer, "127.0.0.1:", 10) == 0);
	CHECK_EQ(sys->recv(sys, p.ours, got, sizeof(got)), -EAGAIN);
	CHECK_EQ(sys->send(sys, p.theirs, "ping", 4), 4);
	wait_for(p.ours, POLLIN);
	CHECK_EQ(sys->recv(sys, p.ours, got, sizeof(got)), 4);
	CHECK_STR(got, "ping");
	CHECK_EQ(sys->hang_up(sys, p.ours), 0);
	wait_for(p.theirs, POLLIN);
	CHECK_EQ(sys->recv(sys, p.theirs, got, sizeof(got)), 0);
	CHECK_EQ(sys->hang_up(sys, p.theirs), 0);
	CHECK_EQ(sys->hang_up(sys, p.listener), 0);
}

TEST(a_file_goes_into_a_socket_and_its_place_moves_on)
{
	struct sys *sys = sys_host();
	struct pair p = connect_to(sys, "127.0.0.1:0");
	int file = new_file(sys, t_path("f"));
	uint64_t at = 2;
	char got[8] = "";

	write_text(sys, file, "abcdef", 0);
	CHECK_EQ(sys->send_file(sys, p.ours, file, &at, 3), 3);
	CHECK_EQ(at, 5);
	wait_for(p.theirs, POLLIN);
	CHECK_EQ(sys->recv(sys, p.theirs, got, sizeof(got)), 3);
	CHECK_STR(got, "cde");
	CHECK_EQ(sys->close(sys, file), 0);
	close_pair(sys, &p);
}

TEST(ipv6_names_and_every_address_are_reached)
{
	struct sys *sys = sys_host();
	static const char *const on[] = { "[::1]:0", "localhost:0", ":0" };

	for (size_t i = 0; i < 3; i++) {
		char dial[32], here[SYS_PEER_MAX];
		int listener = sys->listen(sys, on[i]), s;

		if (listener == -EADDRNOTAVAIL || listener == -EAFNOSUPPORT)
			continue; /* no IPv6 here */
		CHECK(listener >= 0);
		CHECK_EQ(sys->bound(sys, listener, here), 0);
		snprintf(dial, sizeof(dial), "%s:%s",
			 i == 2 ? "127.0.0.1" : "localhost",
			 strrchr(here, ':') + 1);
		s = sys->dial(sys, i == 0 ? here : dial);
		CHECK(s >= 0);
		wait_for(listener, POLLIN);
		CHECK_EQ(sys->hang_up(sys, s), 0);
		s = sys->accept(sys, listener, here);
		CHECK(s >= 0);
		if (i == 2)
			CHECK(strncmp(here, "127.0.0.1:", 10) == 0);
		CHECK_EQ(sys->hang_up(sys, s), 0);
		CHECK_EQ(sys->hang_up(sys, listener), 0);
	}
}

TEST(a_port_where_nobody_listens_is_refused)
{
	struct sys *sys = sys_host();
	int listener = sys->listen(sys, "127.0.0.1:0");
	char here[SYS_PEER_MAX];
	int s, rc;

	CHECK_EQ(sys->bound(sys, listener, here), 0);
	CHECK_EQ(sys->listen(sys, here), -EADDRINUSE);
	CHECK_EQ(sys->hang_up(sys, listener), 0);
	s = sys->dial(sys, here);
	if (s < 0) {
		CHECK_EQ(s, -ECONNREFUSED);
		return;
	}
	wait_for(s, POLLOUT);
	rc = sys->dialled(sys, s);
	CHECK_EQ(rc, -ECONNREFUSED);
	CHECK_EQ(sys->hang_up(sys, s), 0);
}

TEST(addresses_that_are_none_are_refused)
{
	static const char *const bad[] = { "",	     "localhost", "127.0.0.1:",
					   "::1:80", "127.0.0.1:8o",
					   "127.0.0.1:123456789" };
	struct sys *sys = sys_host();

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		CHECK_EQ(sys->dial(sys, bad[i]), -EINVAL);
		CHECK_EQ(sys->listen(sys, bad[i]), -EINVAL);
	}
	CHECK_EQ(sys->dial(sys, ":80"), -EINVAL);
}

TEST(writing_to_a_closed_peer_is_an_error_not_a_signal)
{
	struct sys *sys = sys_host();
	struct pair p = connect_to(sys, "127.0.0.1:0");
	ssize_t n = 1;

	signal(SIGPIPE, SIG_DFL);
	CHECK_EQ(sys->hang_up(sys, p.theirs), 0);
	for (int i = 0; i < 1000 && n > 0; i++) {
		wait_for(p.ours, POLLOUT);
		n = sys->send(sys, p.ours, "x", 1);
	}
	CHECK(n == -EPIPE || n == -ECONNRESET);
	CHECK_EQ(sys->hang_up(sys, p.ours), 0);
	CHECK_EQ(sys->hang_up(sys, p.listener), 0);
}
