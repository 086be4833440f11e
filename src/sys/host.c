/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host.c - the machine itself behind struct sys.
 *
 * Every function is one system call (or the two that belong together) with
 * its errno turned into a value; nothing is kept between calls.
 */
#include "sys/sys.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"

enum { BACKLOG = 128, PORT_TEXT = 8, HOST_TEXT = 256 };

static int or_errno(int rc)
{
	return rc < 0 ? -errno : rc;
}

static ssize_t count_or_errno(ssize_t n)
{
	return n < 0 ? -errno : n;
}

/* -- files -------------------------------------------------------------- */

static int host_open(struct sys *sys, const char *path, int flags)
{
	int how = O_CLOEXEC | O_NOCTTY;

	(void)sys;
	if (!(flags & SYS_WRITE))
		how |= O_RDONLY;
	else
		how |= flags & SYS_READ ? O_RDWR : O_WRONLY;
	if (flags & SYS_CREATE)
		how |= O_CREAT;
	if (flags & SYS_EXCL)
		how |= O_EXCL;
	if (flags & SYS_TRUNCATE)
		how |= O_TRUNC;
	return or_errno(open(path, how, 0600));
}

static int host_close(struct sys *sys, int file)
{
	(void)sys;
	return or_errno(close(file));
}

static ssize_t host_pread(struct sys *sys, int file, void *to, size_t len,
			  uint64_t at)
{
	(void)sys;
	return count_or_errno(pread(file, to, len, (off_t)at));
}

static ssize_t host_pwrite(struct sys *sys, int file, const void *from,
			   size_t len, uint64_t at)
{
	(void)sys;
	return count_or_errno(pwrite(file, from, len, (off_t)at));
}

static int host_size(struct sys *sys, int file, uint64_t *bytes)
{
	struct stat st;

	(void)sys;
	if (fstat(file, &st) < 0)
		return -errno;
	*bytes = (uint64_t)st.st_size;
	return 0;
}

static int host_truncate(struct sys *sys, int file, uint64_t bytes)
{
	(void)sys;
	return or_errno(ftruncate(file, (off_t)bytes));
}

static int host_reserve(struct sys *sys, int file, uint64_t bytes)
{
	(void)sys;
	if (!bytes)
		return 0; /* fallocate() does not take nothing */
	return or_errno(fallocate(file, FALLOC_FL_KEEP_SIZE, 0, (off_t)bytes));
}

static void host_write_out(struct sys *sys, int file, uint64_t at, uint64_t len)
{
	(void)sys;
	/* Where it cannot be done it is not needed either. */
	(void)!sync_file_range(file, (off_t)at, (off_t)len,
			       SYNC_FILE_RANGE_WRITE);
}

static int host_sync(struct sys *sys, int file)
{
	(void)sys;
	return or_errno(fdatasync(file));
}

static int host_sync_dir(struct sys *sys, const char *path)
{
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc;

	(void)sys;
	if (dir < 0)
		return -errno;
	rc = or_errno(fsync(dir));
	close(dir);
	return rc;
}

static int host_rename(struct sys *sys, const char *from, const char *to)
{
	(void)sys;
	return or_errno(rename(from, to));
}

static int host_unlink(struct sys *sys, const char *path)
{
	(void)sys;
	return or_errno(unlink(path));
}

static int host_mkdir(struct sys *sys, const char *path)
{
	(void)sys;
	return or_errno(mkdir(path, 0700));
}

static int host_rmdir(struct sys *sys, const char *path)
{
	(void)sys;
	return or_errno(rmdir(path));
}

static int host_list(struct sys *sys, const char *path, sys_list_fn fn,
		     void *arg)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int rc;

	(void)sys;
	if (!dir)
		return -errno;
	while (errno = 0, (entry = readdir(dir)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 &&
		    strcmp(entry->d_name, "..") != 0)
			fn(arg, entry->d_name);
	rc = -errno;
	closedir(dir);
	return rc;
}

/*
 * Locks of the open file description: they belong to the handle, so that two
 * handles of one process exclude each other as well, and closing some other
 * handle of the file does not drop them.
 */
static int host_lock(struct sys *sys, int file)
{
	struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	(void)sys;
	if (fcntl(file, F_OFD_SETLK, &all) == 0)
		return 0;
	return errno == EACCES ? -EWOULDBLOCK : -errno;
}

static int host_locked(struct sys *sys, int file)
{
	struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	(void)sys;
	if (fcntl(file, F_OFD_GETLK, &all) < 0)
		return -errno;
	return all.l_type != F_UNLCK;
}

static int host_space(struct sys *sys, const char *path, uint64_t *free)
{
	struct statvfs st;

	(void)sys;
	if (statvfs(path, &st) < 0)
		return -errno;
	*free = (uint64_t)st.f_bavail * st.f_frsize;
	return 0;
}

/* -- clocks and chance -------------------------------------------------- */

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static uint64_t host_wall_ns(struct sys *sys)
{
	(void)sys;
	return clock_ns(CLOCK_REALTIME);
}

static uint64_t host_mono_ns(struct sys *sys)
{
	(void)sys;
	return clock_ns(CLOCK_MONOTONIC);
}

static uint64_t boot;

/* FNV-1a over the kernel's boot id; 0 stays the word for "unknown". */
static void read_boot_id(void)
{
	char text[64];
	ssize_t n = -1;
	int file =
		open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

	if (file >= 0) {
		n = read(file, text, sizeof(text));
		close(file);
	}
	if (n <= 0)
		return;
	boot = UINT64_C(0xcbf29ce484222325);
	for (ssize_t i = 0; i < n; i++)
		boot = (boot ^ (unsigned char)text[i]) *
		       UINT64_C(0x100000001b3);
	if (!boot)
		boot = 1;
}

static uint64_t host_boot_id(struct sys *sys)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)sys;
	pthread_once(&once, read_boot_id);
	return boot;
}

static void host_random(struct sys *sys, void *to, size_t len)
{
	uint8_t *p = to;

	(void)sys;
	while (len) {
		ssize_t n = getrandom(p, len, 0);

		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
}

/* -- network ------------------------------------------------------------ */

/* "host:port", "[::1]:port" or ":port" into its two texts. */
static int split_address(const char *address, char host[HOST_TEXT],
			 char port[PORT_TEXT])
{
	const char *colon = strrchr(address, ':');
	const char *from = address;
	size_t len;

	if (!colon || !colon[1] || strlen(colon + 1) >= PORT_TEXT ||
	    strspn(colon + 1, "0123456789") != strlen(colon + 1))
		return -EINVAL;
	len = (size_t)(colon - address);
	if (len >= 2 && from[0] == '[' && from[len - 1] == ']') {
		from++;
		len -= 2;
	} else if (memchr(from, ':', len)) {
		return -EINVAL; /* an IPv6 address needs its brackets */
	}
	if (len >= HOST_TEXT)
		return -EINVAL;
	memcpy(host, from, len);
	host[len] = '\0';
	strcpy(port, colon + 1);
	return 0;
}

static int errno_of_resolver(int rc)
{
	switch (rc) {
	case EAI_SYSTEM:
		return -errno;
	case EAI_AGAIN:
		return -EAGAIN;
	case EAI_MEMORY:
		return -ENOMEM;
	case EAI_SERVICE:
		return -EINVAL;
	default:
		return -ENXIO; /* no such host */
	}
}

/*
 * All addresses of a name.  Literal ones are tried first, since a static
 * program has no resolver for the others to rely on.
 */
static int resolve(const char *address, bool passive, struct addrinfo **list)
{
	char host[HOST_TEXT], port[PORT_TEXT];
	struct addrinfo want = {
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
	};
	int rc = split_address(address, host, port);
	uint64_t number;

	if (rc < 0)
		return rc;
	/* The resolver would take 70000 for 4464. */
	if (text_to_uint(port, &number) < 0 || number > UINT16_MAX)
		return -EINVAL;
	if (!host[0] && !passive)
		return -EINVAL;
	if (passive)
		want.ai_flags |= AI_PASSIVE;
	rc = getaddrinfo(host[0] ? host : NULL, port, &want, list);
	if (rc == EAI_NONAME) {
		want.ai_flags &= ~AI_NUMERICHOST;
		rc = getaddrinfo(host, port, &want, list);
	}
	return rc ? errno_of_resolver(rc) : 0;
}

static int stream_socket(const struct addrinfo *at)
{
	return or_errno(socket(at->ai_family,
			       SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

/* Batches are written whole; waiting for more only adds delay. */
static void no_delay(int socket)
{
	int on = 1;

	setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static int dial_one(const struct addrinfo *at)
{
	int s = stream_socket(at);
	int rc;

	if (s < 0)
		return s;
	no_delay(s);
	if (connect(s, at->ai_addr, at->ai_addrlen) == 0 ||
	    errno == EINPROGRESS)
		return s;
	rc = -errno;
	close(s);
	return rc;
}

/*
 * A name may have several addresses, of which some lead nowhere.  We can see
 * only an immediate refusal here, so every dial begins with the next one: a
 * caller that dials again comes around.
 */
static int host_dial(struct sys *sys, const char *address)
{
	static atomic_uint turn;
	struct addrinfo *list, *at;
	unsigned n = 0, start;
	int rc = resolve(address, false, &list);

	(void)sys;
	if (rc < 0)
		return rc;
	for (at = list; at; at = at->ai_next)
		n++;
	start = n > 1 ? atomic_fetch_add(&turn, 1) % n : 0;
	rc = -ENXIO;
	for (unsigned i = 0; i < n && rc < 0; i++) {
		at = list;
		for (unsigned skip = (start + i) % n; skip; skip--)
			at = at->ai_next;
		rc = dial_one(at);
	}
	freeaddrinfo(list);
	return rc;
}

static int host_dialled(struct sys *sys, int socket)
{
	struct pollfd p = { .fd = socket, .events = POLLOUT };
	socklen_t len = sizeof(int);
	int why = 0;

	(void)sys;
	if (poll(&p, 1, 0) < 0)
		return -errno;
	if (!(p.revents & (POLLOUT | POLLERR | POLLHUP | POLLNVAL)))
		return -EINPROGRESS;
	if (getsockopt(socket, SOL_SOCKET, SO_ERROR, &why, &len) < 0)
		return -errno;
	return -why;
}

static int listen_one(const struct addrinfo *at, bool both_families)
{
	int s = stream_socket(at);
	int on = 1, off = 0, rc;

	if (s < 0)
		return s;
	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (at->ai_family == AF_INET6 && both_families)
		setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(s, at->ai_addr, at->ai_addrlen) == 0 &&
	    listen(s, BACKLOG) == 0)
		return s;
	rc = -errno;
	close(s);
	return rc;
}

/* ":port" is one IPv6 socket that takes both families, where IPv6 exists. */
static int host_listen(struct sys *sys, const char *address)
{
	struct addrinfo *list;
	bool all = address[0] == ':';
	int rc = resolve(address, true, &list);

	(void)sys;
	if (rc < 0)
		return rc;
	rc = -ENXIO;
	for (int round = all ? 0 : 1; round < 2 && rc < 0; round++)
		for (struct addrinfo *at = list; at && rc < 0; at = at->ai_next)
			if (round == 1 || at->ai_family == AF_INET6)
				rc = listen_one(at, all);
	freeaddrinfo(list);
	return rc;
}

/* "10.0.0.7:80", "[::1]:80"; an IPv4 peer of an IPv6 socket as IPv4. */
static void put_peer(char out[SYS_PEER_MAX], const struct sockaddr_storage *at)
{
	char text[INET6_ADDRSTRLEN];
	const struct sockaddr_in6 *six = (const void *)at;
	const struct sockaddr_in *four = (const void *)at;

	if (at->ss_family == AF_INET) {
		inet_ntop(AF_INET, &four->sin_addr, text, sizeof(text));
		snprintf(out, SYS_PEER_MAX, "%s:%u", text,
			 ntohs(four->sin_port));
	} else if (IN6_IS_ADDR_V4MAPPED(&six->sin6_addr)) {
		inet_ntop(AF_INET, six->sin6_addr.s6_addr + 12, text,
			  sizeof(text));
		snprintf(out, SYS_PEER_MAX, "%s:%u", text,
			 ntohs(six->sin6_port));
	} else {
		inet_ntop(AF_INET6, &six->sin6_addr, text, sizeof(text));
		snprintf(out, SYS_PEER_MAX, "[%s]:%u", text,
			 ntohs(six->sin6_port));
	}
}

static int host_bound(struct sys *sys, int socket, char here[SYS_PEER_MAX])
{
	struct sockaddr_storage at = { .ss_family = AF_UNSPEC };
	socklen_t len = sizeof(at);

	(void)sys;
	if (getsockname(socket, (struct sockaddr *)&at, &len) < 0)
		return -errno;
	put_peer(here, &at);
	return 0;
}

static int host_accept(struct sys *sys, int socket, char peer[SYS_PEER_MAX])
{
	struct sockaddr_storage at = { .ss_family = AF_UNSPEC };
	socklen_t len = sizeof(at);
	int s = accept4(socket, (struct sockaddr *)&at, &len,
			SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)sys;
	if (s < 0)
		return -errno;
	no_delay(s);
	put_peer(peer, &at);
	return s;
}

static ssize_t host_recv(struct sys *sys, int socket, void *to, size_t len)
{
	(void)sys;
	return count_or_errno(recv(socket, to, len, 0));
}

static ssize_t host_send(struct sys *sys, int socket, const void *from,
			 size_t len)
{
	(void)sys;
	return count_or_errno(send(socket, from, len, MSG_NOSIGNAL));
}

static ssize_t host_send_file(struct sys *sys, int socket, int file,
			      uint64_t *at, size_t len)
{
	off_t from = (off_t)*at;
	ssize_t n = sendfile(socket, file, &from, len);

	(void)sys;
	if (n < 0)
		return -errno;
	*at = (uint64_t)from;
	return n;
}

static int host_hang_up(struct sys *sys, int socket)
{
	(void)sys;
	return or_errno(close(socket));
}

struct sys *sys_host(void)
{
	static struct sys host = {
		.open = host_open,
		.close = host_close,
		.pread = host_pread,
		.pwrite = host_pwrite,
		.size = host_size,
		.truncate = host_truncate,
		.reserve = host_reserve,
		.write_out = host_write_out,
		.sync = host_sync,
		.sync_dir = host_sync_dir,
		.rename = host_rename,
		.unlink = host_unlink,
		.mkdir = host_mkdir,
		.rmdir = host_rmdir,
		.list = host_list,
		.lock = host_lock,
		.locked = host_locked,
		.space = host_space,
		.wall_ns = host_wall_ns,
		.mono_ns = host_mono_ns,
		.boot_id = host_boot_id,
		.random = host_random,
		.dial = host_dial,
		.dialled = host_dialled,
		.listen = host_listen,
		.bound = host_bound,
		.accept = host_accept,
		.recv = host_recv,
		.send = host_send,
		.send_file = host_send_file,
		.hang_up = host_hang_up,
	};

	return &host;
}
