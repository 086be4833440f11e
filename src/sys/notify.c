/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/notify.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"

enum { STATUS_TEXT = 256 };

struct notify {
	int fd; /* -1: nobody listens */
	bool ready;
	uint64_t watchdog_ns;
	char status[STATUS_TEXT];
};

static int dial(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	size_t len = strlen(path);
	int fd;

	if ((path[0] != '/' && path[0] != '@') || len >= sizeof(a.sun_path))
		return -1;
	memcpy(a.sun_path, path, len);
	if (path[0] == '@')
		a.sun_path[0] = 0;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 &&
	    connect(fd, (struct sockaddr *)&a,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) <
		    0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static uint64_t watchdog_from_environment(void)
{
	const char *period = getenv("WATCHDOG_USEC");
	const char *who = getenv("WATCHDOG_PID");
	uint64_t usec, pid;

	if (!period || text_to_uint(period, &usec) < 0 ||
	    usec > UINT64_MAX / 1000)
		return 0;
	if (who && (text_to_uint(who, &pid) < 0 || pid != (uint64_t)getpid()))
		return 0;
	return usec * 1000 / 2;
}

struct notify *notify_open(void)
{
	struct notify *n = mem_alloc(sizeof(*n));
	const char *path = getenv("NOTIFY_SOCKET");

	n->fd = path ? dial(path) : -1;
	if (n->fd >= 0)
		n->watchdog_ns = watchdog_from_environment();
	return n;
}

void notify_close(struct notify *n)
{
	if (!n)
		return;
	if (n->fd >= 0)
		close(n->fd);
	free(n);
}

static void say(struct notify *n, const char *text)
{
	if (n->fd >= 0)
		(void)send(n->fd, text, strlen(text), MSG_NOSIGNAL);
}

void notify_ready(struct notify *n)
{
	if (!n->ready)
		say(n, "READY=1");
	n->ready = true;
}

void notify_status(struct notify *n, const char *fmt, ...)
{
	char text[STATUS_TEXT] = "STATUS=";
	size_t head = strlen(text);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text + head, sizeof(text) - head, fmt, ap);
	va_end(ap);
	if (strcmp(text, n->status) != 0)
		say(n, text);
	memcpy(n->status, text, sizeof(text));
}

void notify_stopping(struct notify *n)
{
	say(n, "STOPPING=1");
}

uint64_t notify_watchdog_ns(const struct notify *n)
{
	return n->watchdog_ns;
}

void notify_watchdog(struct notify *n)
{
	say(n, "WATCHDOG=1");
}
