/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/rebuild.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cursor.h"
#include "base/err.h"
#include "base/mem.h"
#include "codec/record.h"
#include "engine/flow/defrag.h"
#include "engine/flow/flow.h"
#include "engine/spool/reader.h"
#include "engine/store/store.h"
#include "engine/store/view.h"
#include "sys/sys.h"

enum { MARGIN = 4096 }; /* fragments may lie so far before their packet */

struct rebuilt {
	const struct store_row *row;
	char *dir; /* owned, the folder too */
	struct store *store;
	struct store_view *view;
	struct store_stream *stream;

	/* While packets are read. */
	struct flow_table *flows;
	struct defrag *defrag;
	uint64_t now_ns;
	bool begun;
};

/* -- the stream goes into the store ------------------------------------------- */

static struct store_row row_now(const struct rebuilt *r, const struct flow *f)
{
	struct store_row row = *r->row;

	row.flow = *f;
	return row;
}

static void on_opened(void *self, struct flow *f)
{
	struct rebuilt *r = self;
	struct store_row row = row_now(r, f);
	const struct flow_way *w = r->row->flow.way;

	r->begun = true;
	if (r->row->over)
		f->packets_known = w[0].packets + w[1].packets;
	r->stream = store_begin(store_shard(r->store, 0), &row);
}

static void on_slice(void *self, struct flow *f, const struct flow_slice *s)
{
	struct rebuilt *r = self;

	store_append(r->stream, s->way, s->offset, s->data,
		     s->from ? s->from->time_ns : f->last_ns,
		     s->from ? s->from->index : f->first_index);
}

static void on_gap(void *self, struct flow *f, int way, uint64_t offset,
		   uint64_t len, enum flow_gap why, uint64_t time_ns)
{
	struct rebuilt *r = self;

	(void)f;
	store_gap(r->stream, way, offset, len, why, time_ns);
}

static void on_closed(void *self, struct flow *f)
{
	struct rebuilt *r = self;
	struct store_row row = row_now(r, f);

	store_end(r->stream, &row);
	r->stream = NULL;
}

/* -- packets ------------------------------------------------------------------------ */

static bool same_end(const struct flow_endpoint *e, const struct address *a,
		     uint16_t port)
{
	return e->port == port && e->address.version == a->version &&
	       memcmp(e->address.b, a->b, sizeof(a->b)) == 0;
}

static bool is_ours(const struct store_row *row, const struct decoded *d)
{
	const struct flow_endpoint *end = row->flow.end;

	if (d->protocol != row->flow.protocol)
		return false;
	return (same_end(&end[0], &d->src, d->src_port) &&
		same_end(&end[1], &d->dst, d->dst_port)) ||
	       (same_end(&end[1], &d->src, d->src_port) &&
		same_end(&end[0], &d->dst, d->dst_port));
}

static void take_packet(void *self, uint32_t linktype, const struct packet *p,
			uint64_t index)
{
	struct rebuilt *r = self;
	struct flow_packet packet = { .index = index,
				      .time_ns = p->time_ns,
				      .wire_len = p->wire_len,
				      .frame = p->data };
	struct decoded d;

	decode_frame(linktype, p->data, p->wire_len, &d);
	if (p->time_ns > r->now_ns)
		r->now_ns = p->time_ns;
	if (d.status == DECODE_FRAGMENT && !defrag_put(r->defrag, &d, r->now_ns))
		return;
	if (d.status != DECODE_OK || index < r->row->flow.first_index ||
	    !is_ours(r->row, &d))
		return;
	packet.past = index == r->row->flow.first_index ? FLOW_PAST_BEGINS
							: FLOW_PAST_GOES_ON;
	flow_table_clock(r->flows, r->now_ns);
	flow_table_packet(r->flows, &d, &packet);
}

/* -- a walk over the packets in which a stream may lie ------------------------ */

struct walk {
	const struct store_row *row;
	void *self;
	/* Each packet from a little before the stream's first on. */
	void (*packet)(void *self, uint32_t linktype, const struct packet *p,
		       uint64_t index);
	void (*lost)(void *self); /* or NULL */
	bool ours, over;
	uint32_t linktype;
};

static int take_run(struct walk *w, struct spool_reader *reader,
		    struct spool_event *ev, struct buf *records,
		    struct err *err)
{
	uint64_t index = ev->run.first;
	struct packet p;
	struct cursor c;

	buf_clear(records);
	if (spool_reader_load(reader, ev, records, err) < 0)
		return err->code;
	c = cursor_on(ev->run.records);
	while (c.len && index <= w->row->last_index &&
	       record_next(&c, &p) == 0)
		w->packet(w->self, w->linktype, &p, index++);
	if (index > w->row->last_index)
		w->over = true;
	return 0;
}

static int take_event(struct walk *w, struct spool_reader *reader,
		      struct buf *records, struct err *err)
{
	struct spool_event ev;
	int rc = spool_reader_next(reader, &ev, err);

	if (rc < 0)
		return rc;
	switch (ev.kind) {
	case SPOOL_EVENT_BEGIN:
		w->linktype = ev.identity->linktype;
		w->over = w->ours && memcmp(ev.identity->origin,
					    w->row->origin, SPOOL_ID) != 0;
		w->ours = true;
		break;
	case SPOOL_EVENT_RUN:
		return take_run(w, reader, &ev, records, err);
	case SPOOL_EVENT_NOTE:
	case SPOOL_EVENT_GAP:
		if (w->lost && (ev.note.is == SPOOL_IS_DROP ||
				ev.note.is == SPOOL_IS_GAP))
			w->lost(w->self);
		break;
	}
	return 0;
}

static int walk_packets(struct walk *w, const char *spool, struct err *err)
{
	struct spool_reader *reader = spool_reader_open(sys_host(), spool, err);
	struct spool_seek to = { .place = SPOOL_INDEX };
	struct buf records = { 0 };
	int rc = reader ? 0 : err->code;

	memcpy(to.origin, w->row->origin, SPOOL_ID);
	if (w->row->flow.first_index > MARGIN)
		to.index = w->row->flow.first_index - MARGIN;
	if (rc == 0)
		rc = spool_reader_seek(reader, &to, err);
	while (rc == 0 && !w->over)
		rc = take_event(w, reader, &records, err);
	if (rc == ERR_AGAIN || rc == ERR_DAMAGED) {
		*err = ERR_NONE;
		rc = 0;
	}
	spool_reader_close(reader);
	buf_release(&records);
	return rc;
}

static int is_gone(const struct store_row *row, const char *spool,
		   struct err *err)
{
	return err_set(err, ERR_GONE,
		       "%s no longer has packet %llu, with which the stream "
		       "began", spool,
		       (unsigned long long)row->flow.first_index);
}

/* -- making the stream again ---------------------------------------------------- */

static void on_lost(void *self)
{
	struct rebuilt *r = self;

	flow_table_source_gap(r->flows, r->now_ns);
}

static int read_packets(struct rebuilt *r, const char *spool, struct err *err)
{
	struct walk w = { .row = r->row,
			  .self = r,
			  .packet = take_packet,
			  .lost = on_lost };
	int rc = walk_packets(&w, spool, err);

	if (rc == 0 && !r->begun)
		rc = is_gone(r->row, spool, err);
	if (rc == 0)
		flow_table_finish(r->flows);
	return rc;
}

/* -- its packets as a capture ----------------------------------------------------- */

struct export {
	const struct store_row *row;
	FILE *out;
	struct buf room;
	uint64_t n;
	bool begun;
};

/* What has no ports, a later fragment, goes by its hosts. */
static bool may_be_ours(const struct store_row *row, const struct decoded *d)
{
	const struct flow_endpoint *end = row->flow.end;

	if (d->status == DECODE_OK)
		return is_ours(row, d);
	return d->status == DECODE_FRAGMENT &&
	       ((same_end(&end[0], &d->src, end[0].port) &&
		 same_end(&end[1], &d->dst, end[1].port)) ||
		(same_end(&end[1], &d->src, end[1].port) &&
		 same_end(&end[0], &d->dst, end[0].port)));
}

static void export_packet(void *self, uint32_t linktype,
			  const struct packet *p, uint64_t index)
{
	struct export *x = self;
	struct decoded d;

	decode_frame(linktype, p->data, p->wire_len, &d);
	if (!may_be_ours(x->row, &d) ||
	    (index < x->row->flow.first_index && d.status == DECODE_OK))
		return;
	buf_clear(&x->room);
	if (!x->n++) {
		const struct pcap_head head = { .snaplen = PACKET_SNAPLEN,
						.linktype = linktype };

		put_pcap_head(&x->room, &head);
	}
	x->begun |= index == x->row->flow.first_index;
	put_record(&x->room, p);
	fwrite(x->room.p, 1, x->room.len, x->out);
}

int rebuild_capture(const struct store_row *row, const char *spool,
		    const char *path, struct err *err)
{
	bool out = strcmp(path, "-") == 0;
	struct export x = { .row = row, .out = out ? stdout : fopen(path, "we") };
	struct walk w = { .row = row, .self = &x, .packet = export_packet };

	if (!x.out)
		return err_sys(err, errno, "cannot write %s", path);
	if (walk_packets(&w, spool, err) == 0 && !x.begun)
		is_gone(row, spool, err);
	if ((fflush(x.out) || ferror(x.out)) && !err->code)
		err_sys(err, errno, "cannot write %s", path);
	if (!out)
		fclose(x.out);
	buf_release(&x.room);
	return err->code;
}

/* -- the folder ------------------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *st, int what,
		      struct FTW *at)
{
	(void)st;
	(void)what;
	(void)at;
	return remove(path);
}

static int make_store(struct rebuilt *r, struct err *err)
{
	struct store_config cfg = STORE_CONFIG_DEFAULT;
	const char *tmp = getenv("TMPDIR");

	r->dir = mem_format("%s/weir-stream-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(r->dir)) {
		err_sys(err, errno, "cannot make the folder %s", r->dir);
		free(r->dir);
		r->dir = NULL;
		return err->code;
	}
	cfg.dir = r->dir;
	cfg.payload_max = UINT64_MAX / 4;
	cfg.stream_max = UINT64_MAX / 4;
	r->store = store_open(&cfg, err);
	return r->store ? 0 : err->code;
}

static int make_table(struct rebuilt *r, struct err *err)
{
	const struct flow_sink sink = { .self = r,
					.opened = on_opened,
					.slice = on_slice,
					.gap = on_gap,
					.closed = on_closed };
	struct flow_config cfg = FLOW_CONFIG_DEFAULT;
	struct defrag_config pieces = DEFRAG_CONFIG_DEFAULT;

	cfg.flows_max = cfg.half_open_max = 16;
	if (getrandom(cfg.seed, sizeof(cfg.seed), 0) != sizeof(cfg.seed))
		return err_sys(err, errno, "no random numbers");
	r->flows = flow_table_new(&cfg, &sink);
	r->defrag = defrag_new(&pieces, cfg.seed);
	return r->flows ? 0 : err_set(err, ERR_LIMIT, "no memory for a flow");
}

struct rebuilt *rebuild(const struct store_row *row, const char *spool,
			struct err *err)
{
	struct rebuilt *r = mem_alloc(sizeof(*r));

	r->row = row;
	if (make_store(r, err) == 0 && make_table(r, err) == 0)
		read_packets(r, spool, err);
	flow_table_free(r->flows);
	defrag_free(r->defrag);
	if (err->code) {
		rebuilt_free(r);
		return NULL;
	}
	r->view = store_view_of(r->store);
	return r;
}

struct store_view *rebuilt_view(struct rebuilt *r)
{
	return r->view;
}

void rebuilt_free(struct rebuilt *r)
{
	if (!r)
		return;
	store_view_close(r->view);
	store_close(r->store);
	if (r->dir)
		nftw(r->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	free(r->dir);
	free(r);
}
