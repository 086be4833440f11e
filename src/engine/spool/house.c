/* SPDX-License-Identifier: Apache-2.0 */
/*
 * house.c - names, spares and retention: the slow work on the directory.
 *
 * Everything here runs with `house` held, on whichever thread; `lock` is taken
 * only to look and to account, never across a call that may wait for the disk.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "engine/spool/spool_priv.h"

static const uint64_t warn_every_ns = UINT64_C(30000000000);
enum { WARN_PERCENT = 70 };

/* -- live ---------------------------------------------------------------- */

uint64_t spool_oldest_locked(const struct spool *s)
{
	for (size_t i = 0; i < s->n_kept; i++)
		if (s->kept[i].sibling == s->sibling)
			return s->kept[i].first;
	if (s->n_done)
		return s->done[0].first;
	return s->seg.open ? s->seg.first : s->head;
}

void live_write_locked(struct spool *s)
{
	const struct live live = {
		.boot = s->boot,
		.incarnation = s->incarnation,
		.oldest = spool_oldest_locked(s),
		.head = s->shown.head,
		.dropped = s->dropped,
		.segment = s->shown.segment,
		.entries = s->shown.entries,
	};

	s->live_stale = live_put(s->sys, s->live_file, &live) < 0;
}

/* -- names --------------------------------------------------------------- */

static void keep_locked(struct spool *s, const struct segment *g)
{
	if (s->n_kept == s->kept_cap) {
		s->kept_cap = s->kept_cap ? 2 * s->kept_cap : 64;
		s->kept = mem_grow(s->kept, s->kept_cap * sizeof(*s->kept));
	}
	s->kept[s->n_kept] = (struct kept){
		.sibling = s->sibling,
		.first = g->first,
		.end = g->end,
		.next = g->next,
		.bytes = g->length + IDX_HEADER +
			 (uint64_t)g->entries * IDX_ENTRY,
		.sealed_ns =
			g->sealed_ns ? g->sealed_ns : s->sys->wall_ns(s->sys),
	};
	s->kept_bytes += s->kept[s->n_kept++].bytes;
}

/* Blocks that were reserved and not needed go back to the file system. */
static void give_back(struct spool *s, const struct segment *g)
{
	if (g->poisoned || !g->reserved)
		return;
	s->sys->truncate(s->sys, g->pcap, g->length);
	s->sys->truncate(s->sys, g->idx,
			 IDX_HEADER + (uint64_t)g->entries * IDX_ENTRY);
}

/* It has its name: readers may see what is durable of it. */
static void show_locked(struct spool *s, struct segment *g)
{
	g->named = true;
	s->shown.segment = g->first;
	s->shown.entries = g->entries;
	s->shown.head = g->next;
	live_write_locked(s);
}

/* The oldest finished segment: name it, give back its blocks, close it. */
static int finish_one(struct spool *s, struct err *err)
{
	struct segment g;

	pthread_mutex_lock(&s->lock);
	g = s->done[0];
	pthread_mutex_unlock(&s->lock);
	if (!g.named && segment_name_it(s->sys, s->dir, &g, err) < 0)
		return err->code;
	give_back(s, &g);
	segment_close(s->sys, &g);

	pthread_mutex_lock(&s->lock);
	/* One that was given up before its first batch is being replaced. */
	if (g.batches || g.sealed)
		keep_locked(s, &g);
	s->n_done--;
	memmove(s->done, s->done + 1, s->n_done * sizeof(*s->done));
	if (!g.named)
		show_locked(s, &g);
	pthread_mutex_unlock(&s->lock);
	return 0;
}

static int name_current(struct spool *s, const struct segment *seen,
			struct err *err)
{
	if (segment_name_it(s->sys, s->dir, seen, err) < 0)
		return err->code;
	pthread_mutex_lock(&s->lock);
	/* Meanwhile it may have been finished. */
	for (size_t i = 0; i < s->n_done; i++)
		if (s->done[i].spare == seen->spare)
			show_locked(s, &s->done[i]);
	if (s->seg.open && s->seg.spare == seen->spare)
		show_locked(s, &s->seg);
	pthread_mutex_unlock(&s->lock);
	return 0;
}

int house_names(struct spool *s, struct err *err)
{
	struct segment seg;
	size_t n;

	for (;;) {
		pthread_mutex_lock(&s->lock);
		n = s->n_done;
		seg = s->seg;
		pthread_mutex_unlock(&s->lock);
		if (!n)
			break;
		if (finish_one(s, err) < 0)
			return err->code;
	}
	if (seg.open && !seg.named && seg.length)
		return name_current(s, &seg, err);
	pthread_mutex_lock(&s->lock);
	if (s->live_stale)
		live_write_locked(s);
	pthread_mutex_unlock(&s->lock);
	return 0;
}

/* -- retention ----------------------------------------------------------- */

static void remove_pair(struct sys *sys, const char *dir,
			const struct scan_pair *pair,
			char *(*path_of)(const char *, uint64_t, const char *))
{
	for (int k = 0; k < 2; k++) {
		char *path = path_of(dir, pair->number, k ? "idx" : "pcap");

		sys->unlink(sys, path);
		free(path);
	}
}

/* What is left of a sibling when its last segment is gone. */
static void remove_sibling(struct spool *s, const char *dir)
{
	static const char *const names[] = { "live", "id.tmp", "live.tmp",
					     "lock", "id" };
	struct scan_dir left;

	if (scan_list(s->sys, dir, &left, NULL) < 0)
		return;
	for (size_t i = 0; i < left.n_spares; i++)
		remove_pair(s->sys, dir, &left.spares[i], spare_path);
	for (size_t i = 0; i < left.n_old; i++)
		remove_pair(s->sys, dir, &left.old[i], old_spare_path);
	scan_release(&left);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		char *path = path_in(dir, names[i]);

		s->sys->unlink(s->sys, path);
		free(path);
	}
	/* Fails where something else lies in it, which is left alone. */
	s->sys->rmdir(s->sys, dir);
}

/*
 * .pcap first, durably, then .idx: a crash leaves an .idx without a .pcap at
 * the old end, which is no other thing than this.
 */
static int unlink_segment(struct spool *s, const char *dir, uint64_t first,
			  struct err *err)
{
	char *pcap = segment_path(dir, first, "pcap");
	char *idx = segment_path(dir, first, "idx");
	int rc = s->sys->unlink(s->sys, pcap);

	if (rc < 0 && rc != -ENOENT) {
		err_sys(err, -rc, "%s cannot be removed", pcap);
	} else if ((rc = s->sys->sync_dir(s->sys, dir)) < 0) {
		err_sys(err, -rc, "%s cannot be synced", dir);
	} else if ((rc = s->sys->unlink(s->sys, idx)) < 0 && rc != -ENOENT) {
		err_sys(err, -rc, "%s cannot be removed", idx);
	} else {
		rc = 0;
	}
	free(pcap);
	free(idx);
	return rc < 0 ? ERR_FAILED : 0;
}

/*
 * Is the oldest finished segment the only one that says where the numbers go
 * on?  Without it a crash would find a wiped spool.
 */
static bool is_last_word_locked(const struct spool *s)
{
	return s->n_kept == 1 && s->kept[0].sibling == s->sibling &&
	       !s->n_done && !(s->seg.open && s->seg.length);
}

static uint64_t packets_in(const struct kept *k)
{
	return k->end - k->first;
}

static void forget_oldest_locked(struct spool *s, bool unacked)
{
	s->kept_bytes -= s->kept[0].bytes;
	s->reaped += packets_in(&s->kept[0]);
	s->reaped_unacked += unacked ? packets_in(&s->kept[0]) : 0;
	s->n_kept--;
	memmove(s->kept, s->kept + 1, s->n_kept * sizeof(*s->kept));
	live_write_locked(s);
}

/* It could not be removed: the next one must not go before it. */
static void remember_oldest_locked(struct spool *s, const struct kept *oldest,
				   bool unacked)
{
	memmove(s->kept + 1, s->kept, s->n_kept * sizeof(*s->kept));
	s->kept[0] = *oldest;
	s->n_kept++;
	s->kept_bytes += oldest->bytes;
	s->reaped -= packets_in(oldest);
	s->reaped_unacked -= unacked ? packets_in(oldest) : 0;
}

/* A collector will get a GAP: somebody should know before it does. */
static void say_missed(struct spool *s, const struct kept *k)
{
	uint64_t now = s->sys->mono_ns(s->sys);

	if (k->end == k->first ||
	    (s->missed && now - s->missed_ns < warn_every_ns))
		return;
	s->missed = true;
	s->missed_ns = now;
	log_warn("spool",
		 "%s: packets %" PRIu64 " to %" PRIu64
		 " had to go for lack of room before every collector had them",
		 s->source_dir, k->first, k->end - 1);
}

/*
 * Oldest first, which is also what was acknowledged first: a collector has a
 * spool from its beginning up to a place, and the older spools before it.
 */
bool house_reap_one(struct spool *s, struct err *err)
{
	struct kept oldest;
	struct acks acks;
	bool last_of_it, unacked;
	char *dir;
	int rc;

	acks_load(s, &acks);
	pthread_mutex_lock(&s->lock);
	if (!s->n_kept || is_last_word_locked(s)) {
		pthread_mutex_unlock(&s->lock);
		return false;
	}
	oldest = s->kept[0];
	unacked = acks.any && !acks_cover(&acks, &oldest);
	forget_oldest_locked(s, unacked);
	last_of_it = oldest.sibling != s->sibling &&
		     (!s->n_kept || s->kept[0].sibling != oldest.sibling);
	pthread_mutex_unlock(&s->lock);

	dir = sibling_dir(s->source_dir, oldest.sibling);
	rc = unlink_segment(s, dir, oldest.first, err);
	if (rc == 0 && last_of_it)
		remove_sibling(s, dir);
	free(dir);
	if (rc < 0) {
		pthread_mutex_lock(&s->lock);
		remember_oldest_locked(s, &oldest, unacked);
		pthread_mutex_unlock(&s->lock);
	} else if (unacked) {
		say_missed(s, &oldest);
	}
	return rc == 0;
}

static uint64_t bytes_of_all(struct spool *s)
{
	struct spool_status status;

	spool_status(s, &status);
	return status.bytes;
}

static bool too_old(struct spool *s)
{
	uint64_t now = s->sys->wall_ns(s->sys);
	bool old;

	pthread_mutex_lock(&s->lock);
	old = s->n_kept && s->cfg.keep_age_ns && now > s->kept[0].sealed_ns &&
	      now - s->kept[0].sealed_ns > s->cfg.keep_age_ns;
	pthread_mutex_unlock(&s->lock);
	return old;
}

static void warn_when_nearly_full(struct spool *s, uint64_t bytes)
{
	uint64_t now = s->sys->mono_ns(s->sys);
	char used[TEXT_SIZE], cap[TEXT_SIZE];

	if (bytes / WARN_PERCENT < s->cfg.keep_max / 100 ||
	    (s->warned && now - s->warned_ns < warn_every_ns))
		return;
	s->warned = true;
	s->warned_ns = now;
	log_warn("spool",
		 "%s holds %s, %.0f %% of the %s it may keep; at 100 %% its "
		 "oldest packets are removed",
		 s->source_dir, text_of_size(used, bytes),
		 100.0 * (double)bytes / (double)s->cfg.keep_max,
		 text_of_size(cap, s->cfg.keep_max));
}

int house_retain(struct spool *s, struct err *err)
{
	while (too_old(s))
		if (!house_reap_one(s, err))
			return err->code;
	if (!s->cfg.keep_max)
		return 0;
	if (!s->cfg.keeps_little)
		warn_when_nearly_full(s, bytes_of_all(s));
	while (bytes_of_all(s) > s->cfg.keep_max && s->n_kept)
		if (!house_reap_one(s, err))
			return err->code;
	return 0;
}

/* -- spares -------------------------------------------------------------- */

/* Make one; where the disk is full, over the oldest segment. */
static int prepare(struct spool *s, struct segment *out, struct err *err)
{
	uint64_t reserve = s->cfg.reserve ? s->cfg.segment_max : 0;
	int rc;

	for (;;) {
		rc = segment_prepare(s->sys, s->dir, s->next_spare++, reserve,
				     out, err);
		if (rc != ERR_FULL || !house_reap_one(s, err))
			return rc;
	}
}

int house_take_spare(struct spool *s, struct segment *out, struct err *err)
{
	int rc = 0;

	pthread_mutex_lock(&s->lock);
	*out = s->ready;
	s->ready = (struct segment){ .pcap = -1, .idx = -1 };
	pthread_mutex_unlock(&s->lock);
	if (out->open)
		return 0;
	pthread_mutex_lock(&s->house);
	/* The keeper may have been just at it. */
	pthread_mutex_lock(&s->lock);
	*out = s->ready;
	s->ready = (struct segment){ .pcap = -1, .idx = -1 };
	pthread_mutex_unlock(&s->lock);
	if (!out->open)
		rc = prepare(s, out, err);
	pthread_mutex_unlock(&s->house);
	return rc;
}

static int keep_one_ready(struct spool *s, struct err *err)
{
	struct segment fresh;
	bool have;

	pthread_mutex_lock(&s->lock);
	have = s->ready.open;
	pthread_mutex_unlock(&s->lock);
	if (have)
		return 0;
	if (prepare(s, &fresh, err) < 0)
		return err->code;
	pthread_mutex_lock(&s->lock);
	s->ready = fresh;
	pthread_mutex_unlock(&s->lock);
	return 0;
}

int spool_housekeep(struct spool *s, struct err *err)
{
	struct err own = ERR_NONE;
	int rc;

	pthread_mutex_lock(&s->house);
	rc = house_names(s, &own);
	if (rc == 0)
		rc = house_retain(s, &own);
	if (rc == 0)
		rc = keep_one_ready(s, &own);
	pthread_mutex_unlock(&s->house);
	if (rc < 0)
		err_set(err, own.code, "%s", own.text);
	return rc;
}
