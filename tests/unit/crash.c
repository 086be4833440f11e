/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The promise of spool.h, held against every power cut that the model disk can
 * think of, every failing call, and crashes inside the recovery from crashes.
 *
 * What must be there is known by an oracle that stands outside; what is there
 * is read by a checker that shares no code with the spool.  The last tests
 * show that both see a spool that breaks its promise.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/buf.h"
#include "base/cursor.h"
#include "base/log.h"
#include "codec/record.h"
#include "engine/spool/reader.h"
#include "engine/spool/spool.h"
#include "model/checker.h"
#include "model/disk.h"
#include "t.h"

#define SOURCE "spool/src1"

/*
 * ThreadSanitizer makes all this twenty times slower and, with one thread, has
 * nothing to find: it gets a share of the states.  AddressSanitizer, four times
 * slower, gets a larger one.
 */
#ifndef __has_feature
#define __has_feature(what) 0
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
enum { SHARE = 8 };
#elif defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
enum { SHARE = 4 };
#else
enum { SHARE = 1 };
#endif

enum { PENDING_MAX = 64, REAPED_MAX = 256, WHY = 700 };

/* No play writes as much. */
enum { UNCAPPED = 1 << 20 };

/* -- a spool being used, and what it has promised so far ---------------- */

struct pending {
	uint64_t index;
	size_t at, len; /* in `bytes` */
};

struct play {
	struct disk *d;
	struct sys *sys;
	struct spool_config cfg;
	struct spool *s;
	struct spool_reader *reader;
	uint8_t id[SPOOL_ID];
	struct oracle o;
	uint64_t states_with_loss;
	/* appended, not acknowledged */
	struct pending pending[PENDING_MAX];
	size_t n_pending;
	struct buf bytes;
	/* since which change retention may have taken what lies below */
	struct {
		uint64_t since, oldest;
	} reaped[REAPED_MAX];
	size_t n_reaped;
	uint64_t life; /* makes the content of a number differ next time */
	struct err err;
};

static struct spool_config small_config(void)
{
	struct spool_config cfg = SPOOL_CONFIG_DEFAULT;

	log_setup(LOG_ERROR, false);
	cfg.source_dir = SOURCE;
	strcpy(cfg.want.name, "src1");
	cfg.want.linktype = 1;
	cfg.want.snaplen = 65535;
	cfg.segment_max = 2048;
	cfg.keep_max = UNCAPPED;
	return cfg;
}

static void begin(struct play *p, const struct spool_config *cfg)
{
	*p = (struct play){ .d = disk_new(1), .cfg = *cfg };
	p->sys = disk_sys(p->d);
}

static void end(struct play *p)
{
	spool_reader_close(p->reader);
	spool_close(p->s);
	oracle_release(&p->o);
	buf_release(&p->bytes);
	disk_free(p->d);
}

static int play_open(struct play *p)
{
	struct spool_status status;

	p->err = ERR_NONE;
	p->s = spool_open(p->sys, &p->cfg, &p->err);
	if (!p->s)
		return p->err.code;
	spool_status(p->s, &status);
	memcpy(p->id, status.identity.id, SPOOL_ID);
	p->n_pending = 0;
	buf_clear(&p->bytes);
	return 0;
}

/* Packet contents tell number and life, and straddle sectors. */
static void put_packet(struct buf *b, uint64_t index, uint64_t life)
{
	uint8_t data[700];
	size_t len = 20 + (size_t)(index * 97 % 600);
	struct packet packet = { .data = bytes_of(data, len),
				 .time_ns = (1700000000 + index) * 1000000000,
				 .wire_len = (uint32_t)len };

	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)(index * 31 + life * 7 + i);
	put_record(b, &packet);
}

static int play_append(struct play *p, uint32_t count)
{
	size_t start = p->bytes.len;
	struct run run = { .first = spool_next(p->s) };

	p->life++;
	for (uint32_t i = 0; i < count; i++) {
		size_t at = p->bytes.len;

		put_packet(&p->bytes, run.first + i, p->life);
		assert_true(p->n_pending + i < PENDING_MAX);
		p->pending[p->n_pending + i] =
			(struct pending){ run.first + i, at,
					  p->bytes.len - at };
	}
	run.records = buf_from(&p->bytes, start);
	CHECK_EQ(run_measure(&run), 0);
	p->err = ERR_NONE;
	if (spool_append(p->s, &run, NULL, &p->err) == 0)
		p->n_pending += count;
	else
		p->bytes.len = start;
	return p->err.code;
}

static int play_commit(struct play *p)
{
	p->err = ERR_NONE;
	if (spool_commit(p->s, &p->err) < 0)
		return p->err.code;
	for (size_t i = 0; i < p->n_pending; i++)
		oracle_add(&p->o, p->id, p->pending[i].index,
			   p->bytes.p + p->pending[i].at, p->pending[i].len,
			   disk_ops(p->d));
	p->n_pending = 0;
	buf_clear(&p->bytes);
	return 0;
}

static void add_reaped(struct play *p, uint64_t since, uint64_t oldest)
{
	if (p->n_reaped && p->reaped[p->n_reaped - 1].oldest == oldest)
		return;
	assert_true(p->n_reaped < REAPED_MAX);
	p->reaped[p->n_reaped].since = since;
	p->reaped[p->n_reaped++].oldest = oldest;
}

/* What retention does counts from its first change on. */
static void note_reaped(struct play *p, uint64_t since)
{
	struct spool_status status;

	spool_status(p->s, &status);
	add_reaped(p, since, status.oldest);
}

static uint64_t reaped_at(const struct play *p, uint64_t at)
{
	uint64_t oldest = 0;

	for (size_t i = 0; i < p->n_reaped; i++)
		if (p->reaped[i].since <= at && p->reaped[i].oldest > oldest)
			oldest = p->reaped[i].oldest;
	return oldest;
}

/* The last thing that a spool does is to keep to its cap. */
static void play_close(struct play *p)
{
	uint64_t before = disk_ops(p->d);
	struct checked c;

	spool_close(p->s);
	p->s = NULL;
	if (p->cfg.keep_max >= UNCAPPED)
		return;
	checker_run(p->sys, SOURCE, CHECKER_CLOSED, NULL, UINT64_MAX, &c);
	if (c.n)
		add_reaped(p, before, c.spools[c.n - 1].oldest);
	checked_release(&c);
}

static int play_housekeep(struct play *p)
{
	uint64_t before = disk_ops(p->d);

	p->err = ERR_NONE;
	spool_housekeep(p->s, &p->err);
	note_reaped(p, before);
	return p->err.code;
}

/* Whatever a reader is shown binds as well. */
static void play_read(struct play *p)
{
	struct spool_event ev;
	struct buf out = { 0 };

	if (!p->reader)
		p->reader = spool_reader_open(p->sys, SOURCE, &p->err);
	while (spool_reader_next(p->reader, &ev, &p->err) == 0) {
		struct cursor c;
		struct packet packet;
		uint64_t index = ev.run.first;

		if (ev.kind != SPOOL_EVENT_RUN)
			continue;
		buf_clear(&out);
		CHECK_OK(spool_reader_load(p->reader, &ev, &out, &p->err),
			 &p->err);
		c = cursor_on(ev.run.records);
		for (const uint8_t *from = c.p; record_next(&c, &packet) == 0;
		     from = c.p)
			oracle_add(&p->o, ev.identity->id, index++, from,
				   (size_t)(c.p - from), disk_ops(p->d));
	}
	buf_release(&out);
}

/* -- the verdict over one state of the disk ----------------------------- */

static bool refuse(char why[WHY], const char *what, const char *text)
{
	snprintf(why, WHY, "%s: %.*s", what, ERR_TEXT, text);
	return false;
}

static bool check_it(struct play *p, struct disk *d, enum checker_how how,
		     uint64_t at, struct checked *c, char why[WHY])
{
	p->o.reaped = reaped_at(p, at);
	checker_run(disk_sys(d), SOURCE, how, &p->o, at, c);
	p->states_with_loss += c->lost > 0;
	return c->violations ? refuse(why,
				      how == CHECKER_CUT ? "as it was cut"
							 : "after recovery",
				      c->first)
			     : true;
}

/* Let a writer recover it, and append a packet if `more`. */
static bool write_on(struct play *p, struct disk *d, bool more, char why[WHY])
{
	struct play next = {
		.d = d, .sys = disk_sys(d), .cfg = p->cfg, .life = p->life + 100
	};
	bool good;

	/* What retention takes would hide what recovery does. */
	next.cfg.keep_max = UNCAPPED;
	good = play_open(&next) == 0;
	if (good && more)
		good = play_append(&next, 1) == 0 && play_commit(&next) == 0;
	if (!good)
		refuse(why, "the writer stops", next.err.text);
	play_close(&next);
	oracle_release(&next.o);
	buf_release(&next.bytes);
	return good;
}

static size_t packets_in(const struct checked *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n; i++)
		n += c->spools[i].n;
	return n;
}

/*
 * The promise, for the state that a cut behind change `at` of the play left:
 * the checker finds all that was promised; recovery changes no packet, leaves
 * no tail, and doing it twice is doing it once; the next packet gets the next
 * number.
 */
static bool judge(struct play *p, struct disk *d, uint64_t at, char why[WHY])
{
	struct checked cut = { 0 }, once = { 0 }, twice = { 0 }, more = { 0 };
	bool good = check_it(p, d, CHECKER_CUT, at, &cut, why) &&
		    write_on(p, d, false, why) &&
		    check_it(p, d, CHECKER_CLOSED, at, &once, why);

	if (good && !checked_equal(&cut, &once))
		good = refuse(why, "recovery", "other packets than before");
	good = good && write_on(p, d, false, why) &&
	       check_it(p, d, CHECKER_CLOSED, at, &twice, why);
	if (good && !checked_equal(&once, &twice))
		good = refuse(why, "a second recovery", "other packets");
	good = good && write_on(p, d, true, why) &&
	       check_it(p, d, CHECKER_CLOSED, at, &more, why);
	if (good && packets_in(&more) != packets_in(&twice) + 1)
		good = refuse(why, "the next packet", "not one more");
	checked_release(&cut);
	checked_release(&once);
	checked_release(&twice);
	checked_release(&more);
	return good;
}

/* How many states were looked at, for the report. */
struct tally {
	uint64_t states, points, whole_points, broken;
	char first[2 * WHY];
};

static void judge_all(struct play *p, uint64_t from, uint64_t to,
		      unsigned bound, struct tally *t)
{
	struct disk_walk w = { .d = p->d,
			       .from = from,
			       .to = to,
			       .bound = (bound + SHARE - 1) / SHARE };
	struct disk *state;
	char why[WHY];

	while ((state = disk_walk_next(&w)) != NULL) {
		if (!judge(p, state, w.at, why) && !t->broken++)
			snprintf(t->first, sizeof(t->first),
				 "behind change %" PRIu64 " of %" PRIu64 ": %s",
				 w.at, disk_ops(p->d), why);
		disk_free(state);
	}
	t->states += w.states;
	t->points += w.points;
	t->whole_points += w.whole_points;
	disk_walk_end(&w);
}

static void report(const char *what, const struct tally *t)
{
	printf("# %s: %" PRIu64 " states behind %" PRIu64
	       " changes, all states of %" PRIu64 " of these\n",
	       what, t->states, t->points, t->whole_points);
	if (t->broken)
		fail_msg("%" PRIu64 " states break the promise, first %s",
			 t->broken, t->first);
}

/* -- plays -------------------------------------------------------------- */

#define MUST(call)                                                             \
	do {                                                                   \
		if ((call) < 0)                                                \
			fail_msg("%s: %s", #call, p->err.text);                \
	} while (0)

/* Two commits, the first of them of two batches. */
static void play_two_commits(struct play *p)
{
	MUST(play_open(p));
	play_read(p);
	MUST(play_append(p, 2));
	MUST(play_append(p, 1));
	play_read(p);
	MUST(play_commit(p));
	play_read(p);
	MUST(play_append(p, 2));
	MUST(play_commit(p));
	play_read(p);
}

static void play_note(struct play *p, struct spool_note note)
{
	note.begin_ns = note.end_ns = 1;
	MUST(spool_append_note(p->s, &note, &p->err));
}

/* Segments come and go; drops, a gap, and housekeeping at various moments. */
static void play_rotation(struct play *p, int rounds)
{
	MUST(play_open(p));
	for (int i = 0; i < rounds; i++) {
		MUST(play_append(p, 1 + (uint32_t)i % 3));
		if (i % 4 == 1)
			play_note(p, (struct spool_note){
					     .is = SPOOL_IS_DROP,
					     .reason = SPOOL_DROP_KERNEL,
					     .value = 3 });
		if (i == 3)
			play_note(p, (struct spool_note){
					     .is = SPOOL_IS_GAP,
					     .reason = SPOOL_GAP_UNKNOWN,
					     .value = spool_next(p->s) + 5 });
		MUST(play_commit(p));
		play_read(p);
		if (i % 3 == 2)
			MUST(play_housekeep(p));
		play_read(p);
	}
	play_close(p);
}

/* -- every power cut ---------------------------------------------------- */

static void cut_two_commits(bool reserve, const char *what)
{
	struct spool_config cfg = small_config();
	struct tally t = { 0 };
	struct play p;

	cfg.reserve = reserve;
	begin(&p, &cfg);
	play_two_commits(&p);
	judge_all(&p, 0, disk_ops(p.d), 200, &t);
	end(&p);
	report(what, &t);
}

TEST(what_was_committed_survives_every_cut_of_two_commits)
{
	cut_two_commits(false, "two commits");
}

TEST(what_was_committed_survives_every_cut_with_reserved_blocks)
{
	cut_two_commits(true, "two commits, reserved");
}

static void cut_rotation(bool reserve, const char *what)
{
	struct spool_config cfg = small_config();
	struct tally t = { 0 };
	struct play p;

	cfg.reserve = reserve;
	begin(&p, &cfg);
	play_rotation(&p, 9);
	judge_all(&p, 0, disk_ops(p.d), 12, &t);
	end(&p);
	report(what, &t);
}

TEST(segments_join_after_every_cut_of_rotations)
{
	cut_rotation(false, "rotation");
}

TEST(segments_join_after_every_cut_of_rotations_with_reserved_blocks)
{
	cut_rotation(true, "rotation, reserved");
}

TEST(retention_cut_anywhere_takes_only_the_oldest)
{
	struct spool_config cfg = small_config();
	struct tally t = { 0 };
	struct play p;
	uint64_t from;

	cfg.reserve = false;
	cfg.keep_max = 6000;
	begin(&p, &cfg);
	play_rotation(&p, 15);
	CHECK(reaped_at(&p, UINT64_MAX) > 0);
	from = disk_ops(p.d) / 2;
	judge_all(&p, from, disk_ops(p.d), 16, &t);
	end(&p);
	report("retention", &t);
}

/* -- cuts inside the recovery ------------------------------------------- */

/*
 * Recover `d`, a state of the play behind change `at`, and cut that at every
 * change as well, `deeper` times; all that was promised must still be there.
 */
static void judge_recovery(struct play *p, struct disk *d, uint64_t at,
			   unsigned bound, int deeper, struct tally *t)
{
	struct disk_walk w = { .d = d, .bound = bound };
	struct disk *state;
	char why[WHY];

	if (!write_on(p, d, false, why)) {
		snprintf(t->first, sizeof(t->first), "%s", why);
		t->broken++;
		return;
	}
	w.to = disk_ops(d);
	while ((state = disk_walk_next(&w)) != NULL) {
		struct disk *copy = disk_crash(state, 0, DISK_KEEP_ALL, 0);

		if (!judge(p, state, at, why) && !t->broken++)
			snprintf(t->first, sizeof(t->first),
				 "behind change %" PRIu64 ", then %" PRIu64
				 " of its recovery: %s",
				 at, w.at, why);
		if (deeper && w.states % 5 == 0)
			judge_recovery(p, copy, at, 1 + bound / 4, deeper - 1,
				       t);
		disk_free(copy);
		disk_free(state);
	}
	t->states += w.states;
	t->points += w.points;
	t->whole_points += w.whole_points;
	disk_walk_end(&w);
}

TEST(a_recovery_may_be_cut_as_well_and_its_recovery_too)
{
	struct spool_config cfg = small_config();
	struct tally t = { 0 };
	struct play p;

	begin(&p, &cfg);
	play_rotation(&p, 7);
	for (uint64_t at = 3; at <= disk_ops(p.d); at += 12 * SHARE)
		for (uint64_t seed = 0; seed < 2; seed++) {
			struct disk *d =
				disk_crash(p.d, at, DISK_BY_CHANCE, seed);

			judge_recovery(&p, d, at, 4, 1, &t);
			disk_free(d);
		}
	end(&p);
	report("recovery", &t);
}

/*
 * A process that dies leaves its bytes in the cache; the next one builds on
 * them, and then the power goes.
 */
TEST(a_killed_writer_and_then_a_power_cut)
{
	struct spool_config cfg = small_config();
	struct tally t = { 0 };
	struct play play, *p = &play;

	cfg.reserve = false;
	for (int kill_at = 0; kill_at < 3; kill_at++) {
		uint64_t from;

		begin(p, &cfg);
		MUST(play_open(p));
		MUST(play_append(p, 2));
		if (kill_at > 0)
			MUST(play_commit(p));
		MUST(play_append(p, 2));
		if (kill_at > 1)
			MUST(play_housekeep(p));
		from = disk_ops(p->d);
		disk_kill(p->d);
		play_close(p);
		disk_start(p->d);
		play_two_commits(p);
		judge_all(p, from, disk_ops(p->d), 30, &t);
		end(p);
	}
	report("killed, then cut", &t);
}

/* -- cuts inside a mending ---------------------------------------------- */

/* The disk as it is, with one bit of a file another one, and nothing on its
 * way. */
static struct disk *spoiled(const struct disk *d, const char *name, uint64_t at)
{
	struct disk *copy = disk_crash(d, disk_ops(d), DISK_KEEP_ALL, 0), *out;
	struct sys *sys = disk_sys(copy);
	char path[128];
	uint8_t byte;
	int file;

	snprintf(path, sizeof(path), "%s/%s", SOURCE, name);
	file = sys->open(sys, path, SYS_READ | SYS_WRITE);
	CHECK_EQ(sys_read_full(sys, file, &byte, 1, at), 0);
	byte ^= 1;
	CHECK_EQ(sys_write_full(sys, file, &byte, 1, at), 0);
	CHECK_EQ(sys->close(sys, file), 0);
	out = disk_crash(copy, disk_ops(copy), DISK_KEEP_ALL, 0);
	disk_free(copy);
	return out;
}

/* Nothing of [from, to) is promised any more; all else is from the start on. */
static void forget_promise(struct play *p, uint64_t from, uint64_t to)
{
	size_t n = 0;

	for (size_t i = 0; i < p->o.n; i++)
		if (p->o.p[i].index < from || p->o.p[i].index >= to) {
			p->o.p[n] = p->o.p[i];
			p->o.p[n++].since = 0;
		}
	p->o.n = n;
}

/*
 * A start mends what a cut left: all whole packets are there, the others are
 * a gap, and no number is given again.
 */
static bool judge_mended(struct play *p, struct disk *d, uint64_t next,
			 uint64_t lost, char why[WHY])
{
	struct checked once = { 0 }, twice = { 0 }, more = { 0 };
	uint64_t missing = 0;
	bool good = write_on(p, d, false, why) &&
		    check_it(p, d, CHECKER_CLOSED, 0, &once, why);

	for (size_t i = 0; good && i < once.spools[0].n_gaps; i++)
		missing +=
			once.spools[0].gaps[i].to - once.spools[0].gaps[i].from;
	if (good && (missing != lost || once.spools[0].next != next))
		good = refuse(why, "the mending",
			      missing != lost ? "another gap" : "another head");
	good = good && write_on(p, d, false, why) &&
	       check_it(p, d, CHECKER_CLOSED, 0, &twice, why);
	if (good && !checked_equal(&once, &twice))
		good = refuse(why, "a second start", "other packets");
	good = good && write_on(p, d, true, why) &&
	       check_it(p, d, CHECKER_CLOSED, 0, &more, why);
	if (good && (packets_in(&more) != packets_in(&twice) + 1 ||
		     more.spools[0].next != next + 1))
		good = refuse(why, "the next packet", "not one more");
	checked_release(&once);
	checked_release(&twice);
	checked_release(&more);
	return good;
}

static void cut_mending(struct play *p, const char *name, uint64_t at,
			uint64_t lost, struct tally *t)
{
	struct disk *d = spoiled(p->d, name, at);
	struct disk_walk w = { .d = d, .bound = 1 + 16 / SHARE };
	struct disk *state;
	char why[WHY];

	if (!write_on(p, d, false, why))
		fail_msg("%s spoiled at %" PRIu64 ": %s", name, at, why);
	w.to = disk_ops(d);
	while ((state = disk_walk_next(&w)) != NULL) {
		if (!judge_mended(p, state, 8, lost, why) && !t->broken++)
			snprintf(t->first, sizeof(t->first),
				 "%s spoiled at %" PRIu64
				 ", cut behind change %" PRIu64 " of %" PRIu64
				 ": %s",
				 name, at, w.at, disk_ops(d), why);
		disk_free(state);
	}
	t->states += w.states;
	t->points += w.points;
	t->whole_points += w.whole_points;
	disk_walk_end(&w);
	disk_free(d);
}

/* Four commits of two packets, killed; then batch b or its entry rots. */
static void cut_mending_of(uint64_t b, bool entry, uint64_t segment_max,
			   struct tally *t)
{
	struct spool_config cfg = small_config();
	struct play play, *p = &play;
	uint64_t at = 24;

	cfg.segment_max = segment_max;
	cfg.reserve = b % 2;
	begin(p, &cfg);
	MUST(play_open(p));
	for (int i = 0; i < 4; i++) {
		MUST(play_append(p, 2));
		MUST(play_commit(p));
	}
	disk_kill(p->d);
	play_close(p);
	disk_start(p->d);
	forget_promise(p, 2 * b, 2 * b + 2);
	for (uint64_t i = 0; i < 2 * b; i++)
		at += 16 + 20 + i * 97 % 600;
	if (segment_max == 1)
		/* Each batch has a sealed segment of its own. */
		cut_mending(p,
			    entry ? "00000000000000000006.idx"
				  : "00000000000000000006.pcap",
			    entry ? 128 + 9 : 24 + 17, 2, t);
	else if (entry)
		cut_mending(p, "00000000000000000000.idx",
			    128 + (b + 1) * 64 + 9, 2, t);
	else
		cut_mending(p, "00000000000000000000.pcap", at + 17, 2, t);
	end(p);
}

TEST(damage_is_mended_whatever_cut_comes_in_between)
{
	struct tally t = { 0 };

	for (uint64_t b = 0; b < 4; b++) {
		cut_mending_of(b, false, 1 << 16, &t);
		cut_mending_of(b, true, 1 << 16, &t);
	}
	cut_mending_of(3, false, 1, &t);
	cut_mending_of(3, true, 1, &t);
	report("mending", &t);
}

/* -- failing calls ------------------------------------------------------ */

static const enum disk_call fail_calls =
	DISK_CHANGE | DISK_OPEN | DISK_READ | DISK_SIZE | DISK_LIST;

static bool explains(const struct play *p)
{
	return p->err.code < 0 && p->err.text[0];
}

/* One step of a play in which any call may fail, if it says why. */
#define MAY(call)                                                              \
	do {                                                                   \
		if ((call) < 0 && !explains(p))                                \
			fail_msg("%s failed and does not say why", #call);     \
	} while (0)

static void play_with_faults(struct play *p)
{
	for (int tries = 0; tries < 3 && !p->s; tries++)
		MAY(play_open(p));
	for (int i = 0; i < 6 && p->s; i++) {
		uint64_t before = disk_ops(p->d);

		MAY(play_append(p, 2));
		MAY(play_commit(p));
		note_reaped(p, before);
		if (i % 2)
			MAY(play_housekeep(p));
	}
}

/* The disk is well again: it must go on, or else say why not and be openable.
 */
static void settle_down(struct play *p, const char *what)
{
	uint64_t before = disk_ops(p->d);

	disk_fail(p->d, (struct disk_fault){ 0 });
	if (!p->s && play_open(p) < 0)
		fail_msg("%s: it does not open again: %s", what, p->err.text);
	if (play_append(p, 1) < 0 || play_commit(p) < 0)
		fail_msg("%s: it does not go on: %s", what, p->err.text);
	note_reaped(p, before);
}

static void judge_ends(struct play *p, const char *what, struct tally *t)
{
	uint64_t ops = disk_ops(p->d);
	char why[WHY];

	for (uint64_t i = 0; i < 6; i++) {
		uint64_t at = i < 3 ? ops : ops * i / 6;
		enum disk_fate fate = i == 0   ? DISK_LOSE_ALL
				      : i == 1 ? DISK_KEEP_ALL
					       : DISK_BY_CHANCE;
		struct disk *d = disk_crash(p->d, at, fate, i);

		if (!judge(p, d, at, why) && !t->broken++)
			snprintf(t->first, sizeof(t->first),
				 "%s, cut behind change %" PRIu64 " of %" PRIu64
				 ": %s",
				 what, at, ops, why);
		t->states++;
		disk_free(d);
	}
	t->points++;
}

static void fail_nth(uint64_t nth, int error, bool sticky, struct tally *t)
{
	struct spool_config cfg = small_config();
	struct play p;
	char what[128];

	snprintf(what, sizeof(what), "call %" PRIu64 " fails with %s%s", nth,
		 error ? strerrorname_np(error) : "half a write",
		 sticky ? " and all after it" : "");
	cfg.reserve = nth % 2;
	begin(&p, &cfg);
	disk_fail(p.d,
		  (struct disk_fault){ .calls = error ? fail_calls : DISK_WRITE,
				       .nth = nth,
				       .error = error,
				       .sticky = sticky });
	play_with_faults(&p);
	settle_down(&p, what);
	judge_ends(&p, what, t);
	end(&p);
}

/* Calls of the play when none fails. */
static uint64_t count_calls(unsigned calls)
{
	struct spool_config cfg = small_config();
	struct play p;
	uint64_t n;

	begin(&p, &cfg);
	disk_fail(p.d,
		  (struct disk_fault){ .calls = calls, .nth = UINT64_MAX });
	play_with_faults(&p);
	CHECK_EQ(p.n_pending, 0);
	n = disk_fault_calls(p.d);
	end(&p);
	return n;
}

static void fail_every_call(int error, bool sticky, const char *what)
{
	uint64_t n = count_calls(error ? fail_calls : DISK_WRITE);
	struct tally t = { 0 };

	CHECK(n > 20);
	for (uint64_t nth = 0; nth < n; nth += SHARE)
		fail_nth(nth, error, sticky, &t);
	report(what, &t);
}

TEST(each_call_may_fail_once_with_EIO)
{
	fail_every_call(EIO, false, "EIO once");
}

TEST(each_call_may_fail_with_EIO_from_then_on)
{
	fail_every_call(EIO, true, "EIO for good");
}

TEST(each_call_may_fail_once_with_ENOSPC)
{
	fail_every_call(ENOSPC, false, "ENOSPC once");
}

TEST(each_call_may_fail_with_ENOSPC_from_then_on)
{
	fail_every_call(ENOSPC, true, "ENOSPC for good");
}

TEST(each_write_may_be_short)
{
	fail_every_call(0, false, "one short write");
	fail_every_call(0, true, "short writes for good");
}

TEST(a_full_disk_loses_nothing_and_has_room_again)
{
	struct spool_config cfg = small_config();
	struct tally t = { 0 };
	struct play p;

	cfg.reserve = false;
	for (uint64_t limit = 0; limit < 9000; limit += 333) {
		begin(&p, &cfg);
		disk_limit(p.d, limit);
		play_with_faults(&p);
		disk_limit(p.d, UINT64_MAX);
		settle_down(&p, "a full disk");
		judge_ends(&p, "a full disk", &t);
		end(&p);
	}
	report("full disk", &t);
}

/* -- rows of doc/features.md -------------------------------------------- */

static struct checked look(struct play *p)
{
	struct checked c;

	p->o.reaped = reaped_at(p, UINT64_MAX);
	checker_run(p->sys, SOURCE, CHECKER_CLOSED, &p->o, UINT64_MAX, &c);
	if (c.violations)
		fail_msg("%s", c.first);
	return c;
}

TEST(I04_indices_go_on_over_five_restarts_and_power_cuts)
{
	struct spool_config cfg = small_config();
	struct checked c;
	struct play play, *p = &play;

	begin(p, &cfg);
	for (int i = 0; i < 5; i++) {
		MUST(play_open(p));
		CHECK_EQ(spool_next(p->s), 7 * i);
		MUST(play_append(p, 3));
		MUST(play_append(p, 4));
		MUST(play_commit(p));
		MUST(play_append(p, 9)); /* never committed */
		if (i % 2) {
			struct disk *cut = disk_crash(p->d, disk_ops(p->d),
						      DISK_BY_CHANCE, 1);
			play_close(p);
			disk_free(p->d);
			p->d = cut;
			p->sys = disk_sys(cut);
			for (size_t k = 0; k < p->o.n; k++)
				p->o.p[k].since = 0;
		}
		play_close(p);
	}
	c = look(p);
	CHECK_EQ(c.n, 1);
	CHECK_EQ(c.spools[0].n, 35);
	checked_release(&c);
	end(p);
}

/* Seven packets a batch of their own, and the process is gone. */
static void play_seven_records(struct play *p)
{
	struct spool_config cfg = small_config();

	cfg.segment_max = 1 << 16;
	cfg.reserve = false;
	begin(p, &cfg);
	MUST(play_open(p));
	for (int i = 0; i < 7; i++) {
		MUST(play_append(p, 1));
		MUST(play_commit(p));
	}
	disk_kill(p->d);
	play_close(p);
	disk_start(p->d);
}

TEST(I09_a_last_file_cut_at_every_byte_of_three_records_keeps_whole_ones)
{
	struct play play, *p = &play;
	uint64_t ends[8] = { 24 };

	play_seven_records(p);
	for (uint64_t i = 0; i < 7; i++)
		ends[i + 1] = ends[i] + 16 + 20 + i * 97 % 600;
	for (uint64_t cut = ends[4]; cut <= ends[7]; cut++) {
		struct disk *d =
			disk_crash(p->d, disk_ops(p->d), DISK_KEEP_ALL, 0);
		struct play next = { .d = d,
				     .sys = disk_sys(d),
				     .cfg = p->cfg };
		uint64_t kept = 4 + (cut >= ends[5]) + (cut >= ends[6]) +
				(cut >= ends[7]);
		int file = next.sys->open(next.sys,
					  SOURCE "/00000000000000000000.pcap",
					  SYS_READ | SYS_WRITE);

		CHECK_EQ(next.sys->truncate(next.sys, file, cut), 0);
		CHECK_EQ(next.sys->close(next.sys, file), 0);
		if (play_open(&next) < 0)
			fail_msg("cut at %" PRIu64 ": %s", cut, next.err.text);
		CHECK_EQ(spool_next(next.s), kept);
		end(&next);
	}
	end(p);
}

TEST(I13_retention_keeps_to_its_cap_and_takes_whole_oldest_segments)
{
	enum { CAP = 2048, SEGMENT = 1024 };
	struct spool_config cfg = small_config();
	struct play play, *p = &play;
	struct spool_status status;
	struct checked c;
	uint64_t oldest = 0;

	cfg.segment_max = SEGMENT;
	cfg.keep_max = CAP;
	cfg.reserve = false;
	begin(p, &cfg);
	MUST(play_open(p));
	for (int i = 0; i < 1000; i++) {
		MUST(play_append(p, 2));
		MUST(play_commit(p));
		MUST(spool_housekeep(p->s, &p->err));
		spool_status(p->s, &status);
		/* A batch may be larger than a segment is meant to be. */
		CHECK(status.bytes <= CAP + 2 * SEGMENT);
		CHECK(status.oldest >= oldest);
		oldest = status.oldest;
	}
	CHECK_EQ(spool_next(p->s), 2000);
	CHECK(oldest > 1990);
	play_close(p);
	p->o.reaped = oldest;
	checker_run(p->sys, SOURCE, CHECKER_CLOSED, &p->o, UINT64_MAX, &c);
	if (c.violations)
		fail_msg("%s", c.first);
	CHECK_EQ(c.spools[0].oldest, oldest);
	CHECK_EQ(c.spools[0].next, 2000);
	CHECK(c.spools[0].bytes <= CAP + 2 * SEGMENT);
	checked_release(&c);
	end(p);
}

/* -- a mirror ----------------------------------------------------------- */

/*
 * Copy what a reader gives into a spool of another origin, as a mirror does;
 * from index `damage` on another content.
 */
static void copy_into(struct play *to, struct play *p, uint64_t damage)
{
	struct spool_event ev;
	struct buf out = { 0 };

	MUST(play_open(to));
	while (spool_reader_next(p->reader, &ev, &p->err) == 0) {
		if (ev.kind != SPOOL_EVENT_RUN)
			continue;
		buf_clear(&out);
		MUST(spool_reader_load(p->reader, &ev, &out, &p->err));
		if (ev.run.first >= damage)
			out.p[out.len - 1] ^= 1;
		CHECK_EQ(run_measure(&ev.run), 0);
		MUST(spool_append(to->s, &ev.run, &ev.run.chain, &p->err));
		MUST(spool_commit(to->s, &p->err));
	}
	buf_release(&out);
	play_close(to);
}

static unsigned mirror_violations(uint64_t damage)
{
	struct spool_config cfg = small_config();
	struct play play, mirror, *p = &play;
	struct checked source, copy;
	unsigned n;

	begin(p, &cfg);
	play_two_commits(p);
	spool_reader_close(p->reader);
	p->reader = spool_reader_open(p->sys, SOURCE, &p->err);

	cfg.source_dir = "spool/mirror";
	cfg.segment_max = 700;
	memcpy(cfg.want.origin, p->id, SPOOL_ID);
	begin(&mirror, &cfg);
	copy_into(&mirror, p, damage);

	checker_run(p->sys, SOURCE, CHECKER_CUT, NULL, 0, &source);
	checker_run(mirror.sys, "spool/mirror", CHECKER_CLOSED, NULL, 0, &copy);
	CHECK_EQ(copy.spools[0].n, 5);
	if (damage == UINT64_MAX) {
		CHECK_EQ(copy.violations, 0);
		CHECK_EQ(copy.spools[0].chain, source.spools[0].chain);
	}
	checker_mirror(&copy, &source);
	n = copy.violations;
	checked_release(&source);
	checked_release(&copy);
	end(&mirror);
	end(p);
	return n;
}

TEST(a_mirror_has_the_same_packets_and_chain_or_is_caught)
{
	CHECK_EQ(mirror_violations(UINT64_MAX), 0);
	CHECK(mirror_violations(3) > 0);
}

/* -- would we notice? --------------------------------------------------- */

static int sync_lie(struct sys *sys, int file)
{
	(void)sys;
	(void)file;
	return 0;
}

static int sync_dir_lie(struct sys *sys, const char *path)
{
	(void)sys;
	(void)path;
	return 0;
}

TEST(a_disk_that_ignores_sync_is_caught)
{
	struct spool_config cfg = small_config();
	struct tally t = { 0 };
	struct play p;

	begin(&p, &cfg);
	p.sys->sync = sync_lie;
	play_two_commits(&p);
	judge_all(&p, 0, disk_ops(p.d), 20, &t);
	printf("# without sync %" PRIu64 " of %" PRIu64
	       " states break the promise, %" PRIu64 " have lost packets\n",
	       t.broken, t.states, p.states_with_loss);
	CHECK(p.states_with_loss > t.states / 20);
	end(&p);
}

TEST(a_disk_that_ignores_sync_of_directories_is_caught)
{
	struct spool_config cfg = small_config();
	struct tally t = { 0 };
	struct play p;

	begin(&p, &cfg);
	p.sys->sync_dir = sync_dir_lie;
	play_two_commits(&p);
	judge_all(&p, 0, disk_ops(p.d), 20, &t);
	printf("# without sync_dir %" PRIu64 " of %" PRIu64
	       " states break the promise, %" PRIu64 " have lost packets\n",
	       t.broken, t.states, p.states_with_loss);
	CHECK(p.states_with_loss > t.states / 20);
	end(&p);
}

struct flip {
	struct play *p;
	unsigned files;
};

/* One bit in every byte. */
static void flip_file(void *arg, const char *name)
{
	struct flip *f = arg;
	struct sys *sys = f->p->sys;
	char path[128];
	uint64_t size;
	int file;

	if (!strstr(name, ".pcap") && !strstr(name, ".idx") &&
	    strcmp(name, "id") != 0)
		return;
	f->files++;
	snprintf(path, sizeof(path), "%s/%s", SOURCE, name);
	file = sys->open(sys, path, SYS_READ | SYS_WRITE);
	CHECK_EQ(sys->size(sys, file, &size), 0);
	for (uint64_t at = 0; at < size; at++) {
		struct checked c;
		uint8_t was, now;

		CHECK_EQ(sys_read_full(sys, file, &was, 1, at), 0);
		now = was ^ (uint8_t)(1u << at % 8);
		CHECK_EQ(sys_write_full(sys, file, &now, 1, at), 0);
		checker_run(sys, SOURCE, CHECKER_CLOSED, &f->p->o, UINT64_MAX,
			    &c);
		if (!c.violations)
			fail_msg("%s: a flipped bit at %" PRIu64
				 " goes unnoticed",
				 path, at);
		checked_release(&c);
		CHECK_EQ(sys_write_full(sys, file, &was, 1, at), 0);
	}
	CHECK_EQ(sys->close(sys, file), 0);
}

TEST(the_checker_sees_a_flipped_bit_anywhere)
{
	struct spool_config cfg = small_config();
	struct flip f = { 0 };
	struct checked c;
	struct play p;

	cfg.segment_max = 1024;
	begin(&p, &cfg);
	f.p = &p;
	play_two_commits(&p);
	play_close(&p);
	c = look(&p);
	CHECK(c.spools[0].segments >= 2);
	checked_release(&c);
	CHECK_EQ(p.sys->list(p.sys, SOURCE, flip_file, &f), 0);
	CHECK(f.files >= 5);
	c = look(&p); /* all is as it was */
	checked_release(&c);
	end(&p);
}
