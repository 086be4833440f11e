/* SPDX-License-Identifier: Apache-2.0 */
/*
 * writer.c - staging memory, the thread that commits it, and its housekeeper.
 *
 * Staging is one piece of memory, cut into blocks, in which batches lie whole,
 * and a ring of slots that describe them, in the order of the stream.  Only the
 * producer adds, only the writer takes off.  The newest slot may still grow:
 * its state says who may touch it, so neither side ever waits for the other.
 *
 *	EMPTY -> BUSY -> OPEN -> BUSY -> ... -> CLOSED -> EMPTY
 *	      producer  |  producer            |        writer,
 *	      adds      |  adds more           |        when durable
 *	                +-- writer takes it ---+
 *
 * The producer goes on in the lowest block that is free, and not in the one
 * that was free for the longest time as a ring would: what is in use is then
 * little more than what is on its way to the disk, it stays in the cache, and
 * a quiet source never leaves the first pages.  A page that is touched for the
 * first time costs as much as the packets in it, so a third thread touches
 * those that come next, ahead of the producer, as soon as it has got that far.
 */
#include "engine/spool/writer.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "codec/record.h"
#include "engine/spool/spool_priv.h"

enum {
	SLOTS = 1 << 15,
	BLOCKS_MAX = 64,
	PAGE = 4096,
	AHEAD = 4, /* blocks that are made ready for the producer */
	/* One commit takes this much; the spool never has to commit itself. */
	TAKE_MAX = 16 << 20,
	TAKE_SLOTS = 1 << 13,
	IDLE_MS = 1000, /* look whether a segment is due to be sealed */
	HOUSE_MS = 200,
	RETRY_MIN_MS = 50,
	RETRY_MAX_MS = 2000
};

enum slot_state { SLOT_EMPTY, SLOT_BUSY, SLOT_OPEN, SLOT_CLOSED };

struct slot {
	_Atomic int state;
	_Atomic uint64_t since_ns; /* mono, when its first packet came */
	bool is_note;
	bool has_chain;
	struct run run; /* records.p points into staging */
	uint64_t end;	/* position behind it */
	struct spool_note note;
};

/* Packets that found no room, not recorded yet; [0] staging, [1] disk. */
struct losses {
	_Atomic uint64_t packets;
	_Atomic uint64_t begin_ns, end_ns;
};

struct spool_writer {
	struct spool *spool;
	struct sys *sys;
	struct spool_writer_config cfg;
	uint8_t *memory;
	uint64_t size, block;
	unsigned blocks;
	struct slot *slots;
	pthread_t writer, keeper, opener;
	bool writer_runs, keeper_runs, opener_runs;
	int durable_fd, wake_fd, keeper_fd, opener_fd;
	_Atomic bool stopping, house_stopping;

	/* the producer's */
	_Alignas(64) uint64_t pos; /* bytes staged so far; only grows */
	uint64_t off, limit; /* the next one's place; where our blocks end */
	uint64_t open_at; /* from there on the blocks that follow are wanted */
	/* Which position has to be durable for a block to be free. */
	uint64_t busy_to[BLOCKS_MAX];
	uint64_t at;	/* slot that is being filled, or the next */
	bool growing;	/* slot `at` was left OPEN */
	uint64_t index; /* of the next packet */
	_Atomic uint64_t next, staged_to; /* index and pos, for the others */
	_Atomic uint64_t calls;		  /* that may have staged something */
	struct losses losses[2];
	_Atomic uint64_t dropped[2];

	/* the writer's */
	_Alignas(
		64) _Atomic uint64_t freed; /* position; all below is durable */
	_Atomic uint64_t tail;		    /* first slot not durable */
	uint64_t taken;			    /* first slot not appended */
	_Atomic uint64_t durable;
	_Atomic bool sleeping, degraded, hurry;
	_Atomic uint64_t commit_last, commit_max;
	_Atomic uint64_t dropped_when_degraded;

	/* the opener's */
	_Atomic uint64_t wanted; /* bytes of memory that are to be ready */
	pthread_mutex_t trouble_lock;
	char trouble[160];
	struct err last; /* what spool_writer_stop() returns */
};

static void poke(int fd)
{
	const uint64_t one = 1;

	/* A full counter wakes as well. */
	(void)!write(fd, &one, sizeof(one));
}

static void nap(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t count;

	if (poll(&p, 1, ms) > 0)
		(void)!read(fd, &count, sizeof(count));
}

/* -- the producer -------------------------------------------------------- */

static struct slot *slot_at(const struct spool_writer *w, uint64_t i)
{
	return &w->slots[i % SLOTS];
}

/* The slot that may grow, if the writer has not taken it; it is BUSY then. */
static struct slot *resume_open(struct spool_writer *w)
{
	struct slot *s = slot_at(w, w->at);
	int open = SLOT_OPEN;

	if (!w->growing)
		return NULL;
	w->growing = false;
	if (atomic_compare_exchange_strong(&s->state, &open, SLOT_BUSY))
		return s;
	w->at++;
	return NULL;
}

static void close_slot(struct spool_writer *w, struct slot *s)
{
	atomic_store_explicit(&s->state, SLOT_CLOSED, memory_order_release);
	w->at++;
}

static void write_at_once(struct spool_writer *w);

/* Let others see how far it is, and the writer know. */
static void publish(struct spool_writer *w)
{
	atomic_store_explicit(&w->next, w->index, memory_order_relaxed);
	atomic_store_explicit(&w->staged_to, w->pos, memory_order_relaxed);
	if (w->cfg.at_once) {
		write_at_once(w);
		return;
	}
	/* Either this sees that the writer sleeps, or the writer sees this
	 * call before it does: both are sequentially consistent. */
	atomic_fetch_add(&w->calls, 1);
	if (atomic_load(&w->sleeping))
		poke(w->wake_fd);
}

/* A fresh slot, BUSY; NULL when all are in use. */
static struct slot *begin_slot(struct spool_writer *w)
{
	struct slot *s = slot_at(w, w->at);

	if (atomic_load_explicit(&s->state, memory_order_acquire) != SLOT_EMPTY)
		return NULL;
	s->is_note = s->has_chain = false;
	s->run = (struct run){ .first = w->index, .min_ns = UINT64_MAX };
	s->end = w->pos;
	atomic_store_explicit(&s->since_ns, w->sys->mono_ns(w->sys),
			      memory_order_relaxed);
	atomic_store_explicit(&s->state, SLOT_BUSY, memory_order_relaxed);
	return s;
}

/* -- staging memory -- */

static uint64_t all_freed(const struct spool_writer *w)
{
	return atomic_load_explicit(&w->freed, memory_order_acquire);
}

/* The first of the lowest `n` blocks in a row that are free; w->blocks if there
 * is no such row. */
static unsigned lowest_free(const struct spool_writer *w, uint64_t n)
{
	uint64_t freed = all_freed(w), row = 0;

	for (unsigned b = 0; b < w->blocks; b++) {
		row = w->busy_to[b] <= freed ? row + 1 : 0;
		if (row == n)
			return b + 1 - (unsigned)n;
	}
	return w->blocks;
}

/* Soon the producer will be there: let the pages be made before. */
static void want_next_blocks(struct spool_writer *w)
{
	uint64_t to = w->off / w->block * w->block + (1 + AHEAD) * w->block;

	w->open_at = UINT64_MAX;
	if (to > w->size)
		to = w->size;
	if (to <= atomic_load_explicit(&w->wanted, memory_order_relaxed))
		return;
	atomic_store_explicit(&w->wanted, to, memory_order_relaxed);
	poke(w->opener_fd);
}

/*
 * Take `n` free blocks from number b on for `need` bytes; those that we have
 * already, up to `limit`, are done with when these bytes are.
 */
static void take_blocks(struct spool_writer *w, unsigned b, uint64_t n,
			uint64_t need)
{
	assert(b + n <= w->blocks);
	for (uint64_t i = 0; i + 1 < n; i++)
		w->busy_to[b + i] = w->pos + need;
	w->busy_to[b + n - 1] = UINT64_MAX;
	w->limit = (b + n) * w->block;
	w->open_at = w->limit - w->block / 2;
}

/* How many more blocks behind our own `need` bytes take up. */
static uint64_t blocks_for(const struct spool_writer *w, uint64_t need)
{
	uint64_t more = w->off + need - w->limit;

	return w->off + need <= w->limit ? 0 : (more + w->block - 1) / w->block;
}

/* Room for `need` bytes where the last ones end, unless lower blocks are
 * free. */
static bool go_on_there(struct spool_writer *w, uint64_t need)
{
	uint64_t n = blocks_for(w, need);
	unsigned next = (unsigned)(w->limit / w->block);

	if (!n)
		return true;
	if (!w->limit || next == w->blocks || lowest_free(w, n) != next)
		return false;
	w->busy_to[next - 1] = w->pos + need;
	take_blocks(w, next, n, need);
	return true;
}

/* Leave the last block: it is free when all that is staged is durable. */
static void leave_blocks(struct spool_writer *w)
{
	if (w->limit)
		w->busy_to[w->limit / w->block - 1] = w->pos;
	w->off = w->limit = 0;
}

/* `need` bytes in one piece for a new batch, or NULL. */
static uint8_t *new_room(struct spool_writer *w, uint64_t need)
{
	uint64_t n = (need + w->block - 1) / w->block;
	unsigned b;

	if (all_freed(w) == w->pos)
		leave_blocks(w);
	if (!go_on_there(w, need)) {
		b = lowest_free(w, n);
		if (b == w->blocks)
			return NULL;
		leave_blocks(w);
		w->off = b * w->block;
		take_blocks(w, b, n, need);
	}
	return w->memory + w->off;
}

/* Is there room behind an open batch, in one piece with it? */
static bool fits_behind(struct spool_writer *w, const struct slot *s,
			uint64_t need)
{
	return s->run.records.len + need <= w->cfg.batch_max &&
	       s->run.count < RUN_COUNT_MAX && go_on_there(w, need);
}

static void add_record(struct spool_writer *w, struct slot *s, uint8_t *to,
		       const struct packet *p)
{
	size_t len = RECORD_HEADER + p->data.len;

	record_head_at(to, p);
	if (p->data.len)
		memcpy(to + RECORD_HEADER, p->data.p, p->data.len);
	/* While it is in the nearest cache. */
	s->run.crc = crc32c_more(s->run.crc, bytes_of(to, len));
	if (!s->run.count)
		s->run.records.p = to;
	s->run.records.len += len;
	s->run.count++;
	if (p->time_ns < s->run.min_ns)
		s->run.min_ns = p->time_ns;
	if (p->time_ns > s->run.max_ns)
		s->run.max_ns = p->time_ns;
	w->pos += len;
	w->off += len;
	if (w->off >= w->open_at)
		want_next_blocks(w);
	s->end = w->pos;
	w->index++;
}

/* Copy one packet; *s is the BUSY slot or NULL before and after. */
static bool stage(struct spool_writer *w, struct slot **s, struct packet p)
{
	uint8_t *to;

	if (p.data.len > PACKET_MAX)
		p.data.len = PACKET_MAX;
	if (*s && !fits_behind(w, *s, RECORD_HEADER + p.data.len)) {
		close_slot(w, *s);
		*s = NULL;
	}
	if (*s) {
		to = w->memory + w->off;
	} else {
		to = new_room(w, RECORD_HEADER + p.data.len);
		*s = to ? begin_slot(w) : NULL;
		if (!*s)
			return false;
	}
	add_record(w, *s, to, &p);
	return true;
}

static void lose(struct spool_writer *w, int n)
{
	int why = atomic_load_explicit(&w->degraded, memory_order_relaxed);
	struct losses *l = &w->losses[why];
	uint64_t now = w->sys->wall_ns(w->sys);

	if (!atomic_load(&l->packets))
		atomic_store(&l->begin_ns, now);
	atomic_store(&l->end_ns, now);
	atomic_fetch_add(&l->packets, (uint64_t)n);
	atomic_fetch_add_explicit(&w->dropped[why], (uint64_t)n,
				  memory_order_relaxed);
}

/* Take losses of kind `why` off the account; false when there are none. */
static bool take_losses(struct spool_writer *w, int why,
			struct spool_note *note)
{
	struct losses *l = &w->losses[why];
	uint64_t packets = atomic_exchange(&l->packets, 0);

	*note = (struct spool_note){
		.is = SPOOL_IS_DROP,
		.reason = why ? SPOOL_DROP_DISK : SPOOL_DROP_STAGING,
		.value = packets,
		.begin_ns = atomic_load(&l->begin_ns),
		.end_ns = atomic_load(&l->end_ns),
	};
	return packets != 0;
}

static bool stage_note(struct spool_writer *w, const struct spool_note *note)
{
	struct slot *s = begin_slot(w);

	if (!s)
		return false;
	s->is_note = true;
	s->note = *note;
	close_slot(w, s);
	return true;
}

/* What was lost stands before what is taken now.  The open slot is closed. */
static bool stage_losses(struct spool_writer *w)
{
	struct spool_note note;

	for (int why = 0; why < 2; why++) {
		if (!atomic_load_explicit(&w->losses[why].packets,
					  memory_order_relaxed) ||
		    !take_losses(w, why, &note))
			continue;
		if (!stage_note(w, &note)) {
			atomic_fetch_add(&w->losses[why].packets, note.value);
			return false;
		}
	}
	return true;
}

static bool owes_losses(const struct spool_writer *w)
{
	return atomic_load_explicit(&w->losses[0].packets,
				    memory_order_relaxed) ||
	       atomic_load_explicit(&w->losses[1].packets,
				    memory_order_relaxed);
}

int spool_writer_put(struct spool_writer *w, const struct packet *p, int n)
{
	struct slot *s = resume_open(w);
	bool room = true;
	int i = 0;

	if (n > 0 && owes_losses(w)) {
		if (s)
			close_slot(w, s);
		s = NULL;
		/* Not one DROP for each packet that finds no room. */
		room = new_room(w, RECORD_HEADER + p[0].data.len) &&
		       stage_losses(w);
	}
	while (room && i < n && stage(w, &s, p[i]))
		i++;
	if (s) {
		w->growing = true;
		atomic_store_explicit(&s->state, SLOT_OPEN,
				      memory_order_release);
	}
	if (i < n)
		lose(w, n - i);
	publish(w);
	return i;
}

int spool_writer_put_run(struct spool_writer *w, const struct run *r,
			 const uint64_t *chain, struct err *err)
{
	struct slot *s = resume_open(w);
	uint8_t *to;

	assert(r->first == w->index);
	if (s)
		close_slot(w, s);
	to = new_room(w, r->records.len);
	s = to ? begin_slot(w) : NULL;
	if (!s)
		return err_set(err, ERR_FULL,
			       "staging memory of %" PRIu64
			       " bytes is full; the disk is behind",
			       w->size);
	memcpy(to, r->records.p, r->records.len);
	s->run = *r;
	s->run.records.p = to;
	s->has_chain = chain != NULL;
	if (chain)
		s->run.chain = *chain;
	w->pos += r->records.len;
	w->off += r->records.len;
	if (w->off >= w->open_at)
		want_next_blocks(w);
	s->end = w->pos;
	w->index += r->count;
	close_slot(w, s);
	publish(w);
	return 0;
}

int spool_writer_note(struct spool_writer *w, const struct spool_note *note)
{
	struct slot *s = resume_open(w);

	assert(note->is != SPOOL_IS_GAP || note->value > w->index);
	if (s)
		close_slot(w, s);
	if (!stage_note(w, note))
		return ERR_FULL;
	if (note->is == SPOOL_IS_GAP)
		w->index = note->value;
	publish(w);
	return 0;
}

/* -- the writer ---------------------------------------------------------- */

/* Is there something that can be taken now? */
static bool staged(const struct spool_writer *w)
{
	int state = atomic_load_explicit(&slot_at(w, w->taken)->state,
					 memory_order_acquire);

	return state == SLOT_OPEN || state == SLOT_CLOSED;
}

static void append_slot(struct spool_writer *w, struct slot *s)
{
	struct err err = ERR_NONE;
	int rc;

	if (s->is_note)
		rc = spool_append_note(w->spool, &s->note, &err);
	else
		rc = spool_append_lent(w->spool, &s->run,
				       s->has_chain ? &s->run.chain : NULL,
				       &err);
	/* Everything before is durable and less than it commits by itself is
	 * taken at once, so there is no way to fail. */
	assert(rc == 0);
}

/* Append what is staged; returns how many slots. */
static unsigned take_staged(struct spool_writer *w)
{
	uint64_t bytes = 0;
	unsigned n = 0;

	while (bytes < TAKE_MAX && n < TAKE_SLOTS) {
		struct slot *s = slot_at(w, w->taken);
		int state = SLOT_OPEN;

		if (!atomic_compare_exchange_strong(&s->state, &state,
						    SLOT_CLOSED) &&
		    state != SLOT_CLOSED)
			break;
		append_slot(w, s);
		bytes += s->is_note ? 0 : s->run.records.len;
		w->taken++;
		n++;
	}
	return n;
}

/*
 * Losses with nothing behind them: recorded when all before them is taken.
 * Looking again after the exchange keeps them from passing newer packets.
 */
static bool take_last_losses(struct spool_writer *w)
{
	struct spool_note note;
	bool any = false;

	if (atomic_load(&w->degraded))
		return false;
	for (int why = 0; why < 2; why++) {
		struct err err = ERR_NONE;

		if (staged(w) || !take_losses(w, why, &note))
			continue;
		if (atomic_load(&slot_at(w, w->taken)->state) != SLOT_EMPTY) {
			atomic_fetch_add(&w->losses[why].packets, note.value);
			continue;
		}
		if (spool_append_note(w->spool, &note, &err) < 0)
			atomic_fetch_add(&w->losses[why].packets, note.value);
		else
			any = true;
	}
	return any;
}

/* All that was taken is durable: give its room back. */
static void release_taken(struct spool_writer *w)
{
	uint64_t tail = atomic_load_explicit(&w->tail, memory_order_relaxed);
	uint64_t end = atomic_load_explicit(&w->freed, memory_order_relaxed);

	for (; tail != w->taken; tail++) {
		struct slot *s = slot_at(w, tail);

		if (s->end > end)
			end = s->end;
		atomic_store_explicit(&s->state, SLOT_EMPTY,
				      memory_order_release);
	}
	atomic_store_explicit(&w->tail, tail, memory_order_relaxed);
	atomic_store_explicit(&w->freed, end, memory_order_release);
	atomic_store_explicit(&w->durable, spool_next(w->spool),
			      memory_order_release);
	poke(w->durable_fd);
}

static void set_trouble(struct spool_writer *w, const char *text)
{
	pthread_mutex_lock(&w->trouble_lock);
	snprintf(w->trouble, sizeof(w->trouble), "%.*s",
		 (int)sizeof(w->trouble) - 1, text);
	pthread_mutex_unlock(&w->trouble_lock);
}

static void enter_degraded(struct spool_writer *w, const struct err *why)
{
	char size[TEXT_SIZE];

	set_trouble(w, why->text);
	if (atomic_load(&w->degraded))
		return;
	atomic_store(&w->dropped_when_degraded, atomic_load(&w->dropped[1]));
	atomic_store(&w->degraded, true);
	log_error("spool",
		  "%s; packets wait in memory (%s of it), then they are "
		  "dropped and counted, until the disk takes them again",
		  why->text, text_of_size(size, w->size));
}

static void leave_degraded(struct spool_writer *w)
{
	if (!atomic_load(&w->degraded))
		return;
	log_warn("spool",
		 "the disk takes packets again; %" PRIu64 " were dropped",
		 atomic_load(&w->dropped[1]) -
			 atomic_load(&w->dropped_when_degraded));
	atomic_store(&w->degraded, false);
}

static void measure(struct spool_writer *w, uint64_t took)
{
	atomic_store_explicit(&w->commit_last, took, memory_order_relaxed);
	if (took > atomic_load_explicit(&w->commit_max, memory_order_relaxed))
		atomic_store_explicit(&w->commit_max, took,
				      memory_order_relaxed);
	if (w->cfg.commit_warn_ns && took > w->cfg.commit_warn_ns)
		log_warn("spool",
			 "the disk took %" PRIu64 " ms for one commit; staging "
			 "memory covers the time",
			 took / 1000000);
}

/* Until it succeeds; when the writer is to stop, once more and no further. */
static int commit(struct spool_writer *w, bool something)
{
	int wait = RETRY_MIN_MS;

	for (;;) {
		bool last = atomic_load(&w->stopping) || w->cfg.at_once;
		uint64_t begin = w->sys->mono_ns(w->sys);

		w->last = ERR_NONE;
		if (spool_commit(w->spool, &w->last) == 0) {
			if (something)
				measure(w, w->sys->mono_ns(w->sys) - begin);
			leave_degraded(w);
			return 0;
		}
		enter_degraded(w, &w->last);
		if (last)
			return w->last.code;
		poke(w->keeper_fd);
		nap(w->wake_fd, wait);
		wait = wait * 2 < RETRY_MAX_MS ? wait * 2 : RETRY_MAX_MS;
	}
}

/* Unless something was staged since `calls` was looked at. */
static void sleep_until_staged(struct spool_writer *w, uint64_t calls)
{
	atomic_store(&w->sleeping, true);
	if (atomic_load(&w->calls) == calls && !atomic_load(&w->stopping))
		nap(w->wake_fd, IDLE_MS);
	atomic_store(&w->sleeping, false);
}

static uint64_t staged_bytes(const struct spool_writer *w)
{
	uint64_t freed = atomic_load_explicit(&w->freed, memory_order_relaxed);
	uint64_t to = atomic_load_explicit(&w->staged_to, memory_order_relaxed);

	return to > freed ? to - freed : 0;
}

/* Not more commits than are good for the disk, unless memory runs short. */
static void pace(struct spool_writer *w, uint64_t begun)
{
	uint64_t took = w->sys->mono_ns(w->sys) - begun;
	uint64_t left =
		took < w->cfg.commit_min_ns ? w->cfg.commit_min_ns - took : 0;
	struct timespec t = { .tv_sec = (time_t)(left / 1000000000),
			      .tv_nsec = (long)(left % 1000000000) };

	if (left && staged_bytes(w) < w->size / 4 &&
	    !atomic_exchange(&w->hurry, false) && !atomic_load(&w->stopping))
		nanosleep(&t, NULL);
}

static void *write_thread(void *arg)
{
	struct spool_writer *w = arg;

	for (;;) {
		bool stop = atomic_load(&w->stopping);
		uint64_t begun = w->sys->mono_ns(w->sys);
		uint64_t calls = atomic_load(&w->calls);
		unsigned n = take_staged(w);
		bool losses = take_last_losses(w);

		/* Also without a packet: a segment may be due by its age. */
		if (commit(w, n || losses) < 0)
			break;
		if (n || losses) {
			release_taken(w);
			pace(w, begun);
		} else if (stop) {
			break;
		} else {
			sleep_until_staged(w, calls);
		}
	}
	return NULL;
}

/* A turn of the writer and one of the housekeeper, on the caller's thread. */
static void write_at_once(struct spool_writer *w)
{
	struct err ignored = ERR_NONE;

	(void)take_staged(w);
	(void)take_last_losses(w);
	if (commit(w, true) == 0)
		release_taken(w);
	(void)spool_housekeep(w->spool, &ignored);
}

/* -- the housekeeper ----------------------------------------------------- */

static void wake_keeper(void *arg)
{
	struct spool_writer *w = arg;

	poke(w->keeper_fd);
}

static void *keep_thread(void *arg)
{
	struct spool_writer *w = arg;
	bool said = false;

	while (!atomic_load(&w->house_stopping)) {
		struct err err = ERR_NONE;

		if (spool_housekeep(w->spool, &err) == 0) {
			said = false;
		} else if (!said) {
			log_warn("spool", "%s", err.text);
			said = true;
		}
		nap(w->keeper_fd, HOUSE_MS);
	}
	return NULL;
}

/* -- the opener ---------------------------------------------------------- */

/*
 * Pages are made in pieces, so that the lock on the address space is never
 * held for long.  On a kernel that cannot do it (before 5.14) the producer
 * makes its pages by touching them.
 */
static void *open_thread(void *arg)
{
	enum { PIECE = 2 << 20 };
	struct spool_writer *w = arg;
	uint64_t done = 0;

	while (!atomic_load(&w->house_stopping)) {
		uint64_t wanted =
			atomic_load_explicit(&w->wanted, memory_order_relaxed);
		uint64_t n = wanted - done < PIECE ? wanted - done : PIECE;

		if (!n)
			nap(w->opener_fd, -1);
		else if (madvise(w->memory + done, n, MADV_POPULATE_WRITE) < 0)
			break;
		else
			done += n;
	}
	return NULL;
}

/* -- start, stop --------------------------------------------------------- */

static int start_thread(pthread_t *t, void *(*fn)(void *), void *arg)
{
	sigset_t all, old;
	int rc;

	/* Signals belong to the loop's thread. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(t, NULL, fn, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc;
}

static void release(struct spool_writer *w)
{
	spool_set_keeper(w->spool, NULL, NULL);
	spool_close(w->spool);
	if (w->memory)
		munmap(w->memory, w->size);
	if (w->durable_fd >= 0)
		close(w->durable_fd);
	if (w->wake_fd >= 0)
		close(w->wake_fd);
	if (w->keeper_fd >= 0)
		close(w->keeper_fd);
	if (w->opener_fd >= 0)
		close(w->opener_fd);
	pthread_mutex_destroy(&w->trouble_lock);
	free(w->slots);
	free(w);
}

static void join(struct spool_writer *w)
{
	if (w->cfg.at_once)
		write_at_once(w);
	atomic_store(&w->stopping, true);
	poke(w->wake_fd);
	if (w->writer_runs)
		pthread_join(w->writer, NULL);
	atomic_store(&w->house_stopping, true);
	poke(w->keeper_fd);
	poke(w->opener_fd);
	if (w->keeper_runs)
		pthread_join(w->keeper, NULL);
	if (w->opener_runs)
		pthread_join(w->opener, NULL);
}

static int map_memory(struct spool_writer *w, struct err *err)
{
	void *p = mmap(NULL, w->size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return err_sys(err, errno,
			       "no %" PRIu64 " MiB of staging memory",
			       w->size >> 20);
	w->memory = p;
	/* A stall of the disk is no time for a fault at each page. */
	(void)madvise(p, w->size, MADV_HUGEPAGE);
	return 0;
}

static int start_threads(struct spool_writer *w)
{
	int rc = start_thread(&w->keeper, keep_thread, w);

	w->keeper_runs = rc == 0;
	if (rc == 0) {
		rc = start_thread(&w->writer, write_thread, w);
		w->writer_runs = rc == 0;
	}
	if (rc == 0) {
		rc = start_thread(&w->opener, open_thread, w);
		w->opener_runs = rc == 0;
	}
	return rc;
}

static int set_up(struct spool_writer *w, struct err *err)
{
	int rc;

	if (map_memory(w, err) < 0)
		return err->code;
	w->durable_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	w->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	w->keeper_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	w->opener_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (w->durable_fd < 0 || w->wake_fd < 0 || w->keeper_fd < 0 ||
	    w->opener_fd < 0)
		return err_sys(err, errno, "no descriptor for waking threads");
	if (w->cfg.at_once)
		return 0;
	spool_set_keeper(w->spool, wake_keeper, w);
	rc = start_threads(w);
	return rc ? err_sys(err, rc, "no thread for the spool writer") : 0;
}

/* Blocks of whole pages, no more of them in all than was asked for. */
static void divide(struct spool_writer *w, uint64_t bytes)
{
	const uint64_t grain = BLOCKS_MAX * PAGE;

	w->block = (bytes + grain - 1) / grain * PAGE;
	if (!w->block)
		w->block = PAGE;
	w->blocks = (unsigned)(bytes / w->block);
	if (!w->blocks)
		w->blocks = 1;
	w->size = w->blocks * w->block;
}

struct spool_writer *spool_writer_start(struct spool *s,
					const struct spool_writer_config *cfg,
					struct err *err)
{
	struct spool_writer *w;

	w = aligned_alloc(64, (sizeof(*w) + 63) / 64 * 64);
	assert(w);
	memset(w, 0, sizeof(*w));
	w->spool = s;
	w->sys = s->sys;
	w->cfg = *cfg;
	if (w->cfg.batch_max > RUN_BYTES_MAX)
		w->cfg.batch_max = RUN_BYTES_MAX;
	divide(w, cfg->staging_max);
	w->open_at = UINT64_MAX;
	w->slots = mem_array(SLOTS, sizeof(*w->slots));
	w->durable_fd = w->wake_fd = w->keeper_fd = w->opener_fd = -1;
	w->index = spool_next(s);
	atomic_store(&w->next, w->index);
	atomic_store(&w->durable, spool_next(s));
	pthread_mutex_init(&w->trouble_lock, NULL);
	if (set_up(w, err) == 0)
		return w;
	join(w);
	release(w);
	return NULL;
}

int spool_writer_stop(struct spool_writer *w, struct err *err)
{
	int rc;

	if (!w)
		return 0;
	join(w);
	rc = w->last.code;
	if (rc)
		err_set(err, rc, "%s", w->last.text);
	release(w);
	return rc;
}

/* -- questions ----------------------------------------------------------- */

void spool_writer_flush(struct spool_writer *w)
{
	atomic_store(&w->hurry, true);
	poke(w->wake_fd);
}

uint64_t spool_writer_durable(const struct spool_writer *w)
{
	return atomic_load_explicit(&w->durable, memory_order_acquire);
}

uint64_t spool_writer_next(const struct spool_writer *w)
{
	return atomic_load_explicit(&w->next, memory_order_relaxed);
}

int spool_writer_fd(const struct spool_writer *w)
{
	return w->durable_fd;
}

void spool_writer_status(const struct spool_writer *w,
			 struct spool_writer_status *status)
{
	struct spool_writer *unlocked = (struct spool_writer *)w;
	const struct slot *oldest = slot_at(w, atomic_load(&w->tail));
	uint64_t now = w->sys->mono_ns(w->sys);

	*status = (struct spool_writer_status){
		.staged_bytes = staged_bytes(w),
		.staging_max = w->size,
		.dropped_staging = atomic_load(&w->dropped[0]),
		.dropped_disk = atomic_load(&w->dropped[1]),
		.commit_ns_last = atomic_load(&w->commit_last),
		.commit_ns_max = atomic_load(&w->commit_max),
		.degraded = atomic_load(&w->degraded),
	};
	spool_status(w->spool, &status->spool);
	if (atomic_load(&oldest->state) != SLOT_EMPTY)
		status->durable_age_ns = now - atomic_load(&oldest->since_ns);
	pthread_mutex_lock(&unlocked->trouble_lock);
	snprintf(status->trouble, sizeof(status->trouble), "%s", w->trouble);
	pthread_mutex_unlock(&unlocked->trouble_lock);
}
