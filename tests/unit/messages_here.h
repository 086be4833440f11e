/* SPDX-License-Identifier: Apache-2.0 */
/*
 * messages_here.h - messages as lines of text, so that tests can compare what
 * a parser said when it was fed in other pieces.
 */
#ifndef TESTS_UNIT_MESSAGES_HERE_H
#define TESTS_UNIT_MESSAGES_HERE_H

#include "base/buf.h"
#include "codec/message.h"

static inline const char *kind_here(enum message_kind kind)
{
	static const char *const names[] = { "request", "response", "frame",
					     "record", "error" };

	return names[kind];
}

/* "0 request complete [0,18) body 18+0: GET /" and a line end, into a buf. */
static inline void note_message(void *self, const struct message *m)
{
	struct buf *b = self;

	put_format(b, "%d %s %s [%llu,%llu) body %llu+%llu: %s\n", m->way,
		   kind_here(m->kind), message_status_name(m->status),
		   (unsigned long long)m->all.start,
		   (unsigned long long)m->all.end,
		   (unsigned long long)m->body.start,
		   (unsigned long long)m->body_bytes, m->summary);
}

static inline const char *text_here(struct buf *b)
{
	put_u8(b, 0);
	b->len--;
	return (const char *)b->p;
}

#endif
