/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/sys.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "model/disk.h"
#include "t.h"

enum { CREATE = SYS_READ | SYS_WRITE | SYS_CREATE };

/* -- the same files in every world -------------------------------------- */

static struct sys *in_memory(void)
{
	struct sys *sys = sys_memory_new(4 << 20);

	CHECK_EQ(sys_mkdir_all(sys, t_dir()), 0);
	return sys;
}

/* One test a world, from one body. */
#define FILES(name)                                                            \
	static void name(struct sys *sys);                                     \
	TEST(name##_on_the_host)                                               \
	{                                                                      \
		name(sys_host());                                              \
	}                                                                      \
	TEST(name##_in_memory)                                                 \
	{                                                                      \
		struct sys *memory = in_memory();                              \
                                                                               \
		name(memory);                                                  \
		sys_memory_free(memory);                                       \
	}                                                                      \
	TEST(name##_on_the_model_disk)                                         \
	{                                                                      \
		struct disk *disk = disk_new(1);                               \
                                                                               \
		CHECK_EQ(sys_mkdir_all(disk_sys(disk), t_dir()), 0);           \
		name(disk_sys(disk));                                          \
		disk_free(disk);                                               \
	}                                                                      \
	static void name(struct sys *sys)

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

FILES(a_file_gives_back_what_was_written)
{
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

FILES(open_flags_mean_what_they_say)
{
	const char *path = t_path("f");
	int file = sys->open(sys, path, SYS_READ);

	CHECK_EQ(file, -ENOENT);
	file = new_file(sys, path);
	write_text(sys, file, "abc", 0);
	CHECK_EQ(sys->close(sys, file), 0);
	CHECK_EQ(sys->open(sys, path, CREATE | SYS_EXCL), -EEXIST);

	file = sys->open(sys, path, SYS_READ);
	CHECK_EQ(sys->pwrite(sys, file, "x", 1, 0), -EBADF);
	CHECK_EQ(sys->close(sys, file), 0);
	file = sys->open(sys, path, SYS_WRITE | SYS_TRUNCATE);
	CHECK_EQ(size_of(sys, file), 0);
	CHECK_EQ(sys->close(sys, file), 0);
}

FILES(reading_past_the_end_in_full_is_an_error)
{
	int file = new_file(sys, t_path("f"));
	char got[8];

	write_text(sys, file, "abc", 0);
	CHECK_EQ(sys_read_full(sys, file, got, 3, 0), 0);
	CHECK_EQ(sys_read_full(sys, file, got, 4, 0), -EIO);
	CHECK_EQ(sys->close(sys, file), 0);
}

FILES(reserving_does_not_change_the_size)
{
	int file = new_file(sys, t_path("f"));

	CHECK_EQ(sys->reserve(sys, file, 0), 0);
	CHECK_EQ(sys->reserve(sys, file, 1 << 20), 0);
	CHECK_EQ(size_of(sys, file), 0);
	CHECK_EQ(sys->close(sys, file), 0);
}

FILES(names_are_listed_renamed_and_removed)
{
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

FILES(a_renamed_file_replaces_another_and_a_directory_takes_its_files_along)
{
	const char *a = t_path("d/a"), *b = t_path("d/b");
	int file;

	CHECK_EQ(sys->mkdir(sys, t_path("d")), 0);
	file = new_file(sys, a);
	write_text(sys, file, "a", 0);
	CHECK_EQ(sys->close(sys, file), 0);
	sys->close(sys, new_file(sys, b));
	CHECK_EQ(sys->rename(sys, a, b), 0);
	CHECK_EQ(sys->rename(sys, a, b), -ENOENT);
	CHECK_EQ(count_names(sys, t_path("d")), 1);
	CHECK_EQ(sys->rename(sys, t_path("d"), t_path("e")), 0);
	CHECK_EQ(sys->rename(sys, t_path("e"), t_path("e/f")), -EINVAL);
	CHECK_EQ(sys->list(sys, t_path("d"), put_name, NULL), -ENOENT);
	file = sys->open(sys, t_path("e/b"), SYS_READ);
	check_text(sys, file, "a", 0);
	CHECK_EQ(sys->close(sys, file), 0);
}

FILES(an_open_file_outlives_its_name)
{
	const char *path = t_path("f");
	int file = new_file(sys, path), other;

	write_text(sys, file, "still here", 0);
	CHECK_EQ(sys->unlink(sys, path), 0);
	CHECK_EQ(sys->open(sys, path, SYS_READ), -ENOENT);
	other = new_file(sys, path);
	CHECK_EQ(size_of(sys, other), 0);
	check_text(sys, file, "still here", 0);
	CHECK_EQ(sys->close(sys, file), 0);
	CHECK_EQ(sys->close(sys, other), 0);
}

FILES(two_handles_see_one_file)
{
	const char *path = t_path("f");
	int writer = new_file(sys, path);
	int reader = sys->open(sys, path, SYS_READ);

	write_text(sys, writer, "seen", 0);
	check_text(sys, reader, "seen", 0);
	CHECK_EQ(sys->close(sys, writer), 0);
	check_text(sys, reader, "seen", 0);
	CHECK_EQ(sys->close(sys, reader), 0);
}

/* D8: the second writer is refused, in this process or another. */
FILES(a_lock_is_exclusive_and_gone_with_its_handle)
{
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

FILES(missing_directories_are_made_all_the_way)
{
	CHECK_EQ(sys_mkdir_all(sys, t_path("a/b//c/")), 0);
	CHECK_EQ(sys_mkdir_all(sys, t_path("a/b/c")), 0);
	CHECK_EQ(count_names(sys, t_path("a/b/c")), 0);
	sys->close(sys, new_file(sys, t_path("a/f")));
	CHECK_EQ(sys_mkdir_all(sys, t_path("a/f/g")), -ENOTDIR);
	CHECK_EQ(sys_mkdir_all(sys, "/"), 0);
}

FILES(a_replaced_file_is_whole_and_leaves_no_second_name)
{
	const char *path = t_path("f");
	int file;

	CHECK_EQ(sys_replace_file(sys, path, "one", 3), 0);
	CHECK_EQ(sys_replace_file(sys, path, "two2", 4), 0);
	CHECK_EQ(count_names(sys, t_dir()), 1);
	file = sys->open(sys, path, SYS_READ);
	CHECK_EQ(size_of(sys, file), 4);
	check_text(sys, file, "two2", 0);
	CHECK_EQ(sys->close(sys, file), 0);
	CHECK_EQ(sys_replace_file(sys, t_path("no/f"), "x", 1), -ENOENT);
}

TEST(files_of_the_host_are_for_their_owner_only)
{
	struct stat st;

	sys_host()->close(sys_host(), new_file(sys_host(), t_path("f")));
	CHECK_EQ(sys_host()->mkdir(sys_host(), t_path("d")), 0);
	CHECK_EQ(stat(t_path("f"), &st), 0);
	CHECK_EQ(st.st_mode & 0777, 0600);
	CHECK_EQ(stat(t_path("d"), &st), 0);
	CHECK_EQ(st.st_mode & 0777, 0700);
}

/* -- streams ------------------------------------------------------------ */

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

/* -- memory only -------------------------------------------------------- */

static uint64_t room(struct sys *sys)
{
	uint64_t free = UINT64_MAX;

	CHECK_EQ(sys->space(sys, ".", &free), 0);
	return free;
}

TEST(memory_has_a_limit_and_gives_back_what_is_let_go)
{
	struct sys *sys = sys_memory_new(1000);
	int a = sys->open(sys, "a", CREATE), b = sys->open(sys, "b", CREATE);
	char block[600] = "";

	CHECK_EQ(sys->pwrite(sys, a, block, 600, 0), 600);
	CHECK_EQ(sys->pwrite(sys, b, block, 401, 0), -ENOSPC);
	CHECK_EQ(size_of(sys, b), 0);
	CHECK_EQ(sys->reserve(sys, b, 401), -ENOSPC);
	CHECK_EQ(sys->reserve(sys, b, 400), 0);
	CHECK_EQ(room(sys), 0);
	CHECK_EQ(sys->pwrite(sys, b, block, 400, 0), 400); /* into its own */
	CHECK_EQ(sys->pwrite(sys, a, block, 600, 0), 600);
	CHECK_EQ(sys->truncate(sys, a, 601), -ENOSPC);
	CHECK_EQ(sys->truncate(sys, b, 100), 0);
	CHECK_EQ(room(sys), 300);

	/* Bytes stay while a handle does. */
	CHECK_EQ(sys->unlink(sys, "a"), 0);
	CHECK_EQ(room(sys), 300);
	CHECK_EQ(sys->close(sys, a), 0);
	CHECK_EQ(room(sys), 900);
	CHECK_EQ(sys->pwrite(sys, b, "x", 1, UINT64_MAX), -EFBIG);
	sys_memory_free(sys); /* with b open and named */
	sys_memory_free(NULL);
}

TEST(a_memory_file_goes_into_a_socket)
{
	struct sys *sys = sys_memory_new(1000);
	int file = sys->open(sys, "f", CREATE);
	struct pair p = connect_to(sys, "127.0.0.1:0");
	uint64_t at = 1;
	char got[8] = "";

	write_text(sys, file, "abc", 0);
	CHECK_EQ(sys->send_file(sys, p.ours, file, &at, 2), 2);
	wait_for(p.theirs, POLLIN);
	CHECK_EQ(sys->recv(sys, p.theirs, got, sizeof(got)), 2);
	CHECK_STR(got, "bc");
	close_pair(sys, &p);
	sys_memory_free(sys);
}

static void *churn(void *arg)
{
	struct sys *sys = arg;
	char path[32], text[8];

	snprintf(path, sizeof(path), "f%p", (void *)&path);
	for (int i = 0; i < 200; i++) {
		int file = sys->open(sys, path, CREATE);

		if (sys_write_full(sys, file, "abcd", 4, 0) < 0 ||
		    sys_read_full(sys, file, text, 4, 0) < 0 ||
		    memcmp(text, "abcd", 4) != 0 || sys->unlink(sys, path) < 0)
			return arg;
		sys->close(sys, file);
	}
	return NULL;
}

TEST(threads_share_a_memory)
{
	struct sys *sys = sys_memory_new(1 << 20);
	pthread_t threads[4];
	void *failed = NULL;

	for (int i = 0; i < 4; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, churn, sys), 0);
	for (int i = 0; i < 4; i++) {
		CHECK_EQ(pthread_join(threads[i], &failed), 0);
		CHECK(failed == NULL);
	}
	CHECK_EQ(room(sys), 1 << 20);
	sys_memory_free(sys);
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

/* -- clocks and chance -------------------------------------------------- */

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

/* -- network ------------------------------------------------------------ */

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
	static const char *const bad[] = {
		"",	  "localhost",	  "127.0.0.1:",
		"::1:80", "127.0.0.1:8o", "127.0.0.1:123456789",
		"127.0.0.1:65536"
	};
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
