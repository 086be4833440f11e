/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power is cut behind every change that a writer makes, in every way the model
 * disk knows; each time the spool must open, hold all that was durable, give
 * no index twice, and go on.
 */
#include "spool_here.h"

#include <errno.h>

#include "base/log.h"
#include "model/disk.h"

enum { MARKS_MAX = 4096 };

/* From change `op` on, everything below `head` was promised. */
static struct {
	uint64_t op, head, drops;
} marks[MARKS_MAX];
static size_t n_marks;

static struct spool_config config_on_disk(void)
{
	struct spool_config cfg = config_here();

	cfg.source_dir = "spool/src1";
	cfg.segment_max = 700;
	cfg.reserve = true;
	return cfg;
}

static struct spool *open_on(struct disk *d, const struct spool_config *cfg)
{
	struct err err = ERR_NONE;
	struct spool *s = spool_open(disk_sys(d), cfg, &err);

	if (!s)
		fail_msg("spool_open: %s", err.text);
	return s;
}

static void mark(struct disk *d, struct spool *s)
{
	struct spool_status st;

	spool_status(s, &st);
	CHECK(n_marks < MARKS_MAX);
	marks[n_marks].op = disk_ops(d);
	marks[n_marks].drops = st.dropped;
	marks[n_marks++].head = st.head;
}

static void note_drop(struct spool *s, uint64_t n)
{
	const struct spool_note drop = { .is = SPOOL_IS_DROP,
					 .reason = SPOOL_DROP_KERNEL,
					 .value = n };
	struct err err = ERR_NONE;

	CHECK_OK(spool_append_note(s, &drop, &err), &err);
}

/* Batches, losses, several batches a commit, many small segments. */
static void work(struct disk *d, struct spool *s, int commits)
{
	mark(d, s);
	for (int i = 0; i < commits; i++) {
		append_run(s, 1 + (uint32_t)i % 3);
		if (i % 3 == 1)
			append_run(s, 2);
		if (i % 4 == 2)
			note_drop(s, 10);
		commit(s);
		mark(d, s);
		if (i % 2)
			housekeep(s);
	}
}

static struct disk *record(const struct spool_config *cfg, int commits)
{
	struct disk *d = disk_new(7);
	struct spool *s;

	log_setup(LOG_ERROR, false);
	disk_clock(d)->boot_id = 1;
	n_marks = 0;
	s = open_on(d, cfg);
	work(d, s, commits);
	spool_close(s);
	s = open_on(d, cfg);
	work(d, s, 3);
	spool_close(s);
	return d;
}

static uint64_t promised(uint64_t op, uint64_t *drops)
{
	uint64_t head = *drops = 0;

	for (size_t i = 0; i < n_marks && marks[i].op <= op; i++) {
		head = marks[i].head;
		*drops = marks[i].drops;
	}
	return head;
}

/* All packets below `head` that retention left are there, as written. */
static void check_content(struct disk *d, uint64_t head, bool retention)
{
	struct got g = read_from(disk_sys(d), "spool/src1");

	if (g.damaged)
		fail_msg("%s", g.sentence);
	CHECK_EQ(g.gaps, 0);
	CHECK_EQ(g.next, head);
	if (!retention)
		CHECK_EQ(g.packets, head);
}

/* `d` is how the disk looks after the cut. */
static void check_state(struct disk *d, const struct spool_config *cfg,
			uint64_t op)
{
	struct spool_status st;
	struct spool *s;
	uint64_t drops, head = promised(op, &drops);
	uint64_t next;

	disk_clock(d)->boot_id = 2;
	/* Before the writer comes back, readers see only what it will keep. */
	if (head > 0) {
		struct got g = read_from(disk_sys(d), "spool/src1");

		if (g.damaged)
			fail_msg("before: %s", g.sentence);
		next = g.next;
	} else {
		next = 0;
	}
	s = open_on(d, cfg);
	CHECK(spool_next(s) >= head);
	CHECK(spool_next(s) >= next);
	spool_status(s, &st);
	CHECK(st.dropped >= drops);
	check_content(d, spool_next(s), cfg->keep_max < 100000);
	next = spool_next(s);
	write_some(s, 2, 2);
	CHECK_EQ(spool_next(s), next + 4);
	spool_close(s);
	check_content(d, next + 4, cfg->keep_max < 100000);
}

static void cut_everywhere(struct disk *d, const struct spool_config *cfg,
			   unsigned bound)
{
	struct disk_walk walk = { .d = d, .to = disk_ops(d), .bound = bound };
	struct disk *state;

	while ((state = disk_walk_next(&walk))) {
		check_state(state, cfg, walk.at);
		disk_free(state);
	}
	disk_walk_end(&walk);
	printf("# %llu states behind %llu changes\n",
	       (unsigned long long)walk.states,
	       (unsigned long long)walk.points);
}

TEST(power_may_be_cut_behind_any_change)
{
	struct spool_config cfg = config_on_disk();
	struct disk *d = record(&cfg, 12);

	cut_everywhere(d, &cfg, 12);
	disk_free(d);
}

TEST(power_may_be_cut_in_the_middle_of_retention)
{
	struct spool_config cfg = config_on_disk();
	struct disk *d;

	cfg.keep_max = 3000;
	d = record(&cfg, 24);
	cut_everywhere(d, &cfg, 6);
	disk_free(d);
}

TEST(power_may_be_cut_while_it_recovers)
{
	struct spool_config cfg = config_on_disk();
	struct disk *d = record(&cfg, 6);

	for (int i = 0; i < 60; i++) {
		uint64_t op = t_random_below(disk_ops(d) + 1), drops;
		struct disk *once = disk_crash(d, op, DISK_BY_CHANCE,
					       t_random());
		struct disk *twice;
		uint64_t before = disk_ops(once);

		disk_clock(once)->boot_id = 2;
		spool_close(open_on(once, &cfg));
		twice = disk_crash(once, before +
				   t_random_below(disk_ops(once) - before + 1),
				   DISK_BY_CHANCE, t_random());
		check_state(twice, &cfg, op);
		(void)promised(op, &drops);
		disk_free(twice);
		disk_free(once);
	}
	disk_free(d);
}

TEST(each_call_may_fail_once_and_nothing_is_lost)
{
	struct spool_config cfg = config_on_disk();
	uint64_t nth;

	log_setup(LOG_ERROR, false);
	for (nth = 0;; nth++) {
		struct disk *d = disk_new(9);
		struct err err = ERR_NONE;
		struct spool *s = open_on(d, &cfg);
		bool over;

		disk_fail(d, (struct disk_fault){ .calls = DISK_CHANGE,
						  .nth = nth, .error = EIO });
		for (int i = 0; i < 6; i++) {
			append_run(s, 3);
			/* Once more is enough: the fault has passed. */
			if (spool_commit(s, &err) < 0)
				commit(s);
			(void)spool_housekeep(s, &err);
		}
		over = disk_fault_calls(d) <= nth;
		disk_fail(d, (struct disk_fault){ 0 });
		housekeep(s);
		check_content(d, 18, false);
		spool_close(s);
		check_content(d, 18, false);
		spool_close(open_on(d, &cfg));
		check_content(d, 18, false);
		disk_free(d);
		if (over)
			break;
	}
	CHECK(nth > 20);
}

TEST(what_failed_and_is_then_cut_off_keeps_what_was_promised)
{
	struct spool_config cfg = config_on_disk();

	log_setup(LOG_ERROR, false);
	for (uint64_t nth = 0; nth < 60; nth++) {
		struct disk *d = disk_new(11);
		struct err err = ERR_NONE;
		struct spool *s;

		n_marks = 0;
		disk_clock(d)->boot_id = 1;
		s = open_on(d, &cfg);
		mark(d, s);
		disk_fail(d, (struct disk_fault){
				     .calls = DISK_WRITE | DISK_SYNC |
					      DISK_SYNC_DIR | DISK_RENAME,
				     .nth = nth, .error = EIO });
		for (int i = 0; i < 5; i++) {
			append_run(s, 3);
			note_drop(s, 1);
			if (spool_commit(s, &err) < 0)
				commit(s);
			mark(d, s);
		}
		spool_close(s);
		for (int i = 0; i < 12; i++) {
			uint64_t op = t_random_below(disk_ops(d) + 1);
			struct disk *after = disk_crash(d, op, DISK_BY_CHANCE,
							t_random());

			check_state(after, &cfg, op);
			disk_free(after);
		}
		disk_free(d);
	}
}

/* The process is gone, the machine is not: the page cache may lie. */
TEST(a_kill_behind_a_failed_sync_promises_nothing_that_is_not_on_the_disk)
{
	struct spool_config cfg = config_on_disk();

	log_setup(LOG_ERROR, false);
	for (uint64_t nth = 0; nth < 12; nth++) {
		struct disk *d = disk_new(13);
		struct err err = ERR_NONE;
		struct spool *s;
		struct disk *after;
		uint64_t next;

		disk_clock(d)->boot_id = 1;
		s = open_on(d, &cfg);
		write_some(s, 2, 3);
		disk_fail(d, (struct disk_fault){ .calls = DISK_SYNC,
						  .nth = nth, .error = EIO,
						  .sticky = true });
		for (int i = 0; i < 4; i++) {
			append_run(s, 2);
			(void)spool_commit(s, &err);
		}
		disk_kill(d);
		spool_close(s);
		disk_start(d);
		disk_fail(d, (struct disk_fault){ 0 });
		s = open_on(d, &cfg);
		next = spool_next(s);
		CHECK(next >= 6);
		check_content(d, next, false);
		/* Now it is promised, and must survive. */
		after = disk_crash(d, disk_ops(d), DISK_LOSE_ALL, 1);
		spool_close(s);
		disk_clock(after)->boot_id = 2;
		s = open_on(after, &cfg);
		CHECK_EQ(spool_next(s), next);
		check_content(after, next, false);
		spool_close(s);
		disk_free(after);
		disk_free(d);
	}
}
