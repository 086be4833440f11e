/* SPDX-License-Identifier: Apache-2.0 */
/*
 * retain.c - rows and payload that have had their time.
 *
 * Streams that are open, or pinned, stay.  Their own time decides, not the
 * clock on the wall: a capture of last year is kept as long as one of today.
 */
#include "engine/store/store_priv.h"

#include <stdlib.h>
#include <time.h>

#include "base/buf.h"
#include "base/mem.h"

#define LOOK_NS UINT64_C(1000000000)

enum {
	AT_ONCE = 4096, /* rows removed by one rule at one look */
	PARTS = 8	/* of the cap on rows: one is made free */
};

uint64_t store_mono_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static int remove_rows(struct store *s, const char *condition, uint64_t n,
		       struct err *err)
{
	uint64_t removed = 0;
	int rc = rows_remove(&s->rows, condition, n, &removed, err);

	s->own.removed_streams += removed;
	return rc;
}

/* -- by number and by bytes ------------------------------------------------------ */

static int bound_number(struct store *s, struct err *err)
{
	if (s->rows.streams <= s->cfg.streams_max)
		return 0;
	return remove_rows(s, "1", s->rows.streams - s->cfg.streams_max, err);
}

static int bound_bytes(struct store *s, struct err *err)
{
	uint64_t bytes, over;

	if (rows_bytes(&s->rows, &bytes, err) < 0)
		return err->code;
	s->own.rows_bytes = bytes;
	if (!s->cfg.rows_max || bytes <= s->cfg.rows_max)
		return 0;
	/* Down to what leaves some room, as far as one can tell. */
	over = bytes - s->cfg.rows_max / PARTS * (PARTS - 1);
	return remove_rows(s, "1", s->rows.streams * over / bytes + 1, err);
}

/* -- by age ----------------------------------------------------------------------- */

/* Names are ours or the user's; a quote in one must not end the text. */
static void put_sql_text(struct buf *b, const char *text)
{
	put_u8(b, '\'');
	for (; *text; text++) {
		put_u8(b, (uint8_t)*text);
		if (*text == '\'')
			put_u8(b, '\'');
	}
	put_u8(b, '\'');
}

static void put_services(struct buf *b, const struct store *s,
			 const struct store_keep *k)
{
	if (k->service[0]) {
		put_text(b, " AND service=");
		put_sql_text(b, k->service);
		return;
	}
	for (size_t i = 0; i < s->cfg.n_keep; i++) {
		if (!s->keep[i].service[0])
			continue;
		put_text(b, " AND service<>");
		put_sql_text(b, s->keep[i].service);
	}
}

static int bound_age(struct store *s, const struct store_keep *k,
		     struct err *err)
{
	struct buf b = { 0 };
	long long limit;
	int rc;

	if (s->newest_ns <= k->age_ns)
		return 0;
	limit = (long long)(s->newest_ns - k->age_ns);
	put_format(&b, "first_ns<%lld AND last_ns<%lld", limit, limit);
	put_services(&b, s, k);
	put_u8(&b, 0);
	rc = remove_rows(s, (const char *)b.p, AT_ONCE, err);
	buf_release(&b);
	return rc;
}

/* Ages need no look at each commit. */
int retain_rows(struct store *s, struct err *err)
{
	uint64_t now = store_mono_ns();
	int rc = bound_number(s, err);

	if (rc == 0)
		rc = bound_bytes(s, err);
	if (rc < 0 || now - s->retained_ns < LOOK_NS)
		return rc;
	s->retained_ns = now;
	for (size_t i = 0; rc == 0 && i < s->cfg.n_keep; i++)
		rc = bound_age(s, &s->keep[i], err);
	return rc;
}

/* -- payload ------------------------------------------------------------------------ */

/* What has lost its rows lies in the oldest segments, more or less. */
int retain_payload(struct store *s, struct err *err)
{
	struct payload *p = &s->payload;

	(void)err;
	if (!s->cfg.n_keep || p->n < 2 || s->own.removed_streams == s->swept)
		return 0;
	if (writer_segment_needed(s, &p->at[0]))
		s->swept = s->own.removed_streams;
	else
		payload_bury(p, p->at[0].number);
	return 0;
}
