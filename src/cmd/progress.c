/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

enum { LINE_MAX_BYTES = 512, EVERY_MS = 200 };

static const char clear_line[] = "\r\033[K";

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static size_t terminal_width(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col < 2)
		return 79;
	/* The last column stays free: some terminals wrap when it is used. */
	return size.ws_col - 1;
}

static void write_text(const char *text, size_t len)
{
	ssize_t done = write(STDERR_FILENO, text, len);

	(void)done; /* nobody is left to tell */
}

void progress_begin(struct progress *p)
{
	*p = (struct progress){ .terminal = isatty(STDERR_FILENO) };
}

bool progress_due(const struct progress *p)
{
	return p->terminal && now_ns() >= p->next_ns;
}

void progress_draw(struct progress *p, const char *fmt, ...)
{
	char line[LINE_MAX_BYTES];
	size_t start = sizeof(clear_line) - 1, width = terminal_width();
	size_t len;
	va_list ap;

	if (!p->terminal)
		return;
	memcpy(line, clear_line, start);
	va_start(ap, fmt);
	vsnprintf(line + start, sizeof(line) - start, fmt, ap);
	va_end(ap);

	/* One write, so that a log line of another thread never splits it. */
	len = strlen(line + start);
	write_text(line, start + (len < width ? len : width));
	if (!p->drawn)
		log_over_status_line(true);
	p->drawn = true;
	p->next_ns = now_ns() + UINT64_C(1000000) * EVERY_MS;
}

void progress_end(struct progress *p)
{
	if (!p->drawn)
		return;
	write_text(clear_line, sizeof(clear_line) - 1);
	log_over_status_line(false);
	p->drawn = false;
}
