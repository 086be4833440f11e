/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/text.h"

enum { LINE_MAX_BYTES = 2048, MESSAGE_MAX = 1024 };

static const char *const names[] = { "error", "warn", "info", "debug" };

/* Set once before threads start. */
static enum log_level most = LOG_INFO;
static bool as_json;
static bool over_status_line;

void log_setup(enum log_level level, bool json)
{
	most = level;
	as_json = json;
}

void log_over_status_line(bool on)
{
	over_status_line = on;
}

int log_level_of(const char *name, enum log_level *level)
{
	for (int i = 0; i <= LOG_DEBUG; i++)
		if (strcmp(names[i], name) == 0) {
			*level = (enum log_level)i;
			return 0;
		}
	return ERR_MALFORMED;
}

bool log_wants(enum log_level level)
{
	return level <= most;
}

/* A peer's text may not drive the terminal: control bytes become '?'. */
static void make_printable(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

static int text_line(char *line, const struct tm *tm, enum log_level level,
		     const char *part, char *message)
{
	make_printable(message);
	return snprintf(line, LINE_MAX_BYTES, "%s%02d:%02d:%02d %-5s %s: %s\n",
			over_status_line ? "\r\033[K" : "", tm->tm_hour,
			tm->tm_min, tm->tm_sec, names[level], part, message);
}

static int json_line(char *line, const struct tm *tm, long ms,
		     enum log_level level, const char *part,
		     const char *message)
{
	char escaped[LINE_MAX_BYTES - 160];

	text_to_json(escaped, sizeof(escaped), message);
	return snprintf(line, LINE_MAX_BYTES,
			"{\"time\":\"%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ\","
			"\"level\":\"%s\",\"part\":\"%s\",\"message\":\"%s\"}\n",
			tm->tm_year + 1900, tm->tm_mon + 1, tm->tm_mday,
			tm->tm_hour, tm->tm_min, tm->tm_sec, ms, names[level],
			part, escaped);
}

void log_at(enum log_level level, const char *part, const char *fmt, ...)
{
	char message[MESSAGE_MAX];
	char line[LINE_MAX_BYTES];
	struct timespec now;
	struct tm tm;
	va_list ap;
	int len;

	if (!log_wants(level))
		return;
	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);

	clock_gettime(CLOCK_REALTIME, &now);
	if (as_json) {
		gmtime_r(&now.tv_sec, &tm);
		len = json_line(line, &tm, now.tv_nsec / 1000000, level, part,
				message);
	} else {
		localtime_r(&now.tv_sec, &tm);
		len = text_line(line, &tm, level, part, message);
	}
	if (len > 0) {
		size_t n = (size_t)len < sizeof(line) ? (size_t)len
						      : sizeof(line) - 1;
		ssize_t done = write(STDERR_FILENO, line, n);

		(void)done; /* nobody is left to tell */
	}
}
