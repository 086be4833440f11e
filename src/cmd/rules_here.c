/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/rules_here.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/text.h"
#include "cmd/progress.h"
#include "engine/query/past.h"
#include "engine/query/search.h"
#include "engine/store/store.h"

enum { STEP_NS = 300000000, MATCHES_MAX = 1024 };

static volatile int interrupted;

static void on_signal(int number)
{
	(void)number;
	interrupted = 1;
}

static uint64_t seconds_left(const struct rule_past *past)
{
	uint64_t left = past->bytes_total > past->bytes
				? past->bytes_total - past->bytes
				: 0;

	/* Per byte as until now; a rule of rows alone takes no time. */
	return past->bytes ? (uint64_t)((double)past->work_ns / 1e9 *
					(double)left / (double)past->bytes)
			   : 0;
}

char *rules_text(char out[RULES_TEXT], const struct rule *rule)
{
	const struct rule_past *past = &rule->past;
	char done[TEXT_SIZE], all[TEXT_SIZE];

	text_of_size(done, past->bytes);
	text_of_size(all, past->bytes_total);
	if (past->done)
		snprintf(out, RULES_TEXT, "%s of the past in %" PRIu64
			 " streams searched", done, past->streams);
	else if (past->total_known)
		snprintf(out, RULES_TEXT,
			 "%s of %s, %" PRIu64 " of %" PRIu64
			 " streams searched, %" PRIu64 " s left", done, all,
			 past->streams, past->streams_total,
			 seconds_left(past));
	else
		snprintf(out, RULES_TEXT, "%s in %" PRIu64
			 " streams searched so far", done, past->streams);
	return out;
}

static void draw(struct progress *line, const struct past *p)
{
	const struct rule *list;
	char text[RULES_TEXT];
	size_t n;

	list = past_rules(p, &n);
	for (size_t i = 0; i < n; i++) {
		if (list[i].past.done)
			continue;
		progress_draw(line, "%s: %s; %" PRIu64 " found", list[i].name,
			      rules_text(text, &list[i]), list[i].past.found);
		return;
	}
}

static void work(struct store *store, const char *dir, struct err *err)
{
	const struct past_config cfg = { .dir = dir,
					 .store = store,
					 .window = SEARCH_WINDOW,
					 .matches_max = MATCHES_MAX,
					 .alone = true };
	struct past *p = past_new(&cfg, err);
	struct progress line;
	bool more = p != NULL;

	progress_begin(&line);
	while (more && !interrupted &&
	       past_step(p, STEP_NS, &interrupted, &more, err) == 0)
		if (progress_due(&line))
			draw(&line, p);
	progress_end(&line);
	if (interrupted)
		fprintf(stderr, "stopped; the next one who writes the store "
				"goes on where it was\n");
	past_free(p);
}

static bool there_is(const char *dir)
{
	char *path = mem_format("%s/store.db", dir);
	bool there = access(path, F_OK) == 0;

	free(path);
	return there;
}

int rules_work(const char *dir, struct err *err)
{
	struct sigaction act = { .sa_handler = on_signal };
	struct store_config cfg = STORE_CONFIG_DEFAULT;
	struct err busy = ERR_NONE;
	struct store *store;

	if (!there_is(dir)) {
		fprintf(stderr, "there is no store in %s yet\n", dir);
		return 0;
	}
	/* Nothing is kept here that would have to make room. */
	cfg.dir = dir;
	cfg.payload_max = UINT64_C(1) << 60;
	cfg.streams_max = UINT64_MAX;
	store = store_open(&cfg, &busy);
	if (busy.code == ERR_BUSY) {
		fprintf(stderr,
			"the analysis that writes %s goes through the past; "
			"weir pattern list tells how far it is\n", dir);
		return 0;
	}
	if (!store) {
		*err = busy;
		return err->code;
	}
	act.sa_flags = (int)SA_RESETHAND;
	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	work(store, dir, err);
	store_close(store);
	return err->code;
}

int rules_remember(const char *dir, const struct rule *rule, struct err *err)
{
	struct rules *r = rules_open(dir, err);

	if (r)
		rules_add(r, rule, err);
	rules_close(r);
	return err->code ? err->code : rules_work(dir, err);
}
