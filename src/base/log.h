/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.h - one line an event, on standard error, for people or for machines.
 *
 * Text by default ("14:02:11 info  listen: collector 10.0.0.7 connected"),
 * JSON lines after log_setup(…, true).  Control bytes are escaped, a line is
 * written by one write(2), so lines of several threads and processes never
 * mix.  Never a line a packet, never a secret.  Any thread may call.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Before the first thread starts.  The default is LOG_INFO as text. */
void log_setup(enum log_level most, bool json);

/*
 * Say that a line of counters is being redrawn on the terminal, so that the
 * next log line clears it first.
 */
void log_over_status_line(bool on);

/* "error", "warn", "info", "debug"; 0 or ERR_MALFORMED. */
int log_level_of(const char *name, enum log_level *level);

bool log_wants(enum log_level level);

/* `part` is one word: who speaks. */
void log_at(enum log_level level, const char *part, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#define log_error(part, ...) log_at(LOG_ERROR, part, __VA_ARGS__)
#define log_warn(part, ...)  log_at(LOG_WARN, part, __VA_ARGS__)
#define log_info(part, ...)  log_at(LOG_INFO, part, __VA_ARGS__)
#define log_debug(part, ...) log_at(LOG_DEBUG, part, __VA_ARGS__)

#endif
