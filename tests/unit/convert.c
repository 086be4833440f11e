/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/convert/convert.h"

#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "t.h"

/*
 * Every converter here is a shell script that is run once a line; $id is the
 * stream's, and say, done_ and fail answer.
 */
#define SCRIPT_HEAD                                                            \
	"#!/bin/sh\n"                                                          \
	"say() { echo \"{\\\"id\\\":\\\"$id\\\",\\\"from\\\":\\\"a\\\","       \
	"\\\"data\\\":\\\"$1\\\"}\"; }\n"                                      \
	"done_() { echo \"{\\\"id\\\":\\\"$id\\\",\\\"done\\\":true}\"; }\n"   \
	"fail() { echo \"{\\\"id\\\":\\\"$id\\\",\\\"error\\\":\\\"$1\\\"}\"; " \
	"}\n"                                                                  \
	"while read -r line; do\n"                                             \
	"id=${line#*\\\"id\\\":\\\"}; id=${id%%\\\"*}\n"
#define SCRIPT_TAIL "\ndone\n"
#define AT_END "case $line in *'\"do\":\"end\"'*) "
#define END_AT_END ";; esac"

static const char *script_here(const char *name, const char *body)
{
	const char *path = t_path("%s.sh", name);
	struct buf text = { 0 };

	put_text(&text, SCRIPT_HEAD);
	put_text(&text, body);
	put_text(&text, SCRIPT_TAIL);
	t_save(path, buf_bytes(&text));
	CHECK_EQ(chmod(path, 0700), 0);
	buf_release(&text);
	return path;
}

static struct converter_config config_here(const char *command)
{
	struct converter_config cfg = CONVERTER_CONFIG_DEFAULT;

	cfg.command = command;
	cfg.processes = 1;
	return cfg;
}

static struct converter *converter_here(const struct converter_config *cfg)
{
	struct err err = ERR_NONE;
	struct converter *c = converter_new(cfg, &err);

	if (!c)
		fail_msg("%s", err.text);
	return c;
}

static void make_request(struct convert_request *r, const struct converter *c,
			 uint64_t id, struct bytes data)
{
	static const struct convert_about about = {
		.service = "http",
		.protocol = "tcp",
		.endpoint = { "10.0.0.1:4000", "10.0.0.2:80" },
	};
	struct convert_about mine = about;

	mine.id = id;
	convert_request_begin(r, c, &mine);
	convert_request_data(r, 0, 0, 7, data);
	convert_request_end(r);
}

static enum convert_state ask(struct converter *c, uint64_t id,
			      const char *text, struct convert_answer *a)
{
	struct convert_request r;
	enum convert_state state;

	make_request(&r, c, id, bytes_of_text(text));
	state = converter_run(c, &r, a);
	convert_request_release(&r);
	return state;
}

static enum convert_state ask_only(struct converter *c, uint64_t id,
				   const char *text)
{
	struct convert_answer a;
	enum convert_state state = ask(c, id, text, &a);

	convert_answer_release(&a);
	return state;
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* -- what is said ------------------------------------------------------ */

TEST(a_request_is_lines_of_json)
{
	struct converter_config cfg = config_here("cat");
	struct converter *c = converter_here(&cfg);
	struct convert_about about = { .id = 0x1f,
				       .service = "ht\"tp",
				       .protocol = "tcp",
				       .endpoint = { "10.0.0.1:4000",
						     "[::1]:80" },
				       .opener = 1 };
	struct convert_request r;

	convert_request_begin(&r, c, &about);
	CHECK(convert_request_data(&r, 1, 0, 9, bytes_of_text("hi")));
	convert_request_missing(&r, 0, 5, 100, "lost");
	convert_request_end(&r);
	put_u8(&r.lines, 0);
	CHECK_STR((const char *)r.lines.p,
		  "{\"do\":\"begin\",\"id\":\"000000000000001f\",\"version\":1,"
		  "\"service\":\"ht\\\"tp\",\"protocol\":\"tcp\","
		  "\"a\":\"10.0.0.1:4000\",\"b\":\"[::1]:80\","
		  "\"opener\":\"b\"}\n"
		  "{\"do\":\"data\",\"id\":\"000000000000001f\",\"from\":\"b\","
		  "\"offset\":0,\"time_ns\":9,\"data\":\"aGk=\"}\n"
		  "{\"do\":\"missing\",\"id\":\"000000000000001f\","
		  "\"from\":\"a\",\"offset\":5,\"length\":100,"
		  "\"why\":\"lost\"}\n"
		  "{\"do\":\"end\",\"id\":\"000000000000001f\","
		  "\"cut\":false}\n");
	convert_request_release(&r);
	converter_free(c);
}

TEST(a_long_stream_is_cut_and_that_is_said)
{
	struct converter_config cfg = config_here("cat");
	struct converter *c;
	struct convert_request r;
	struct buf data = { 0 };

	cfg.input_max = 100000;
	c = converter_here(&cfg);
	put_zeros(&data, 70000);
	make_request(&r, c, 1, buf_bytes(&data));
	CHECK(!r.cut);
	convert_request_release(&r);
	convert_request_begin(&r, c, &(struct convert_about){
					     .service = "",
					     .protocol = "tcp",
					     .endpoint = { "", "" } });
	CHECK(convert_request_data(&r, 0, 0, 0, buf_bytes(&data)));
	CHECK(!convert_request_data(&r, 0, 70000, 0, buf_bytes(&data)));
	CHECK_EQ(r.input, 100000);
	convert_request_end(&r);
	put_u8(&r.lines, 0);
	CHECK(strstr((const char *)r.lines.p, "\"cut\":true") != NULL);
	convert_request_release(&r);
	buf_release(&data);
	converter_free(c);
}

/* -- converters that work ---------------------------------------------------- */

TEST(an_answer_has_pieces_with_their_ends_and_ranges)
{
	struct converter_config cfg = config_here(script_here(
		"pieces",
		AT_END "say aGVs; echo \"{\\\"from\\\":\\\"b\\\","
		       "\\\"id\\\":\\\"$id\\\",\\\"data\\\":\\\"bG8=\\\","
		       "\\\"offset\\\":7,\\\"length\\\":3,\\\"more\\\":[{}]}\";"
		       "done_" END_AT_END));
	struct converter *c = converter_here(&cfg);
	struct convert_answer a;

	CHECK_EQ(ask(c, 5, "x", &a), CONVERT_DONE);
	CHECK_BYTES(buf_bytes(&a.bytes), bytes_of_text("hello"));
	CHECK_EQ(a.n, 2);
	CHECK_EQ(a.chunks[0].way, 0);
	CHECK(!a.chunks[0].has_range);
	CHECK_EQ(a.chunks[1].way, 1);
	CHECK_EQ(a.chunks[1].at, 3);
	CHECK(a.chunks[1].has_range);
	CHECK_EQ(a.chunks[1].from, 7);
	CHECK_EQ(a.chunks[1].to, 10);
	convert_answer_release(&a);
	converter_free(c);
}

TEST(one_process_serves_stream_after_stream)
{
	struct converter_config cfg = config_here(
		script_here("many", AT_END "say aGk=; done_" END_AT_END));
	struct converter *c = converter_here(&cfg);
	struct converter_counters n;

	for (uint64_t id = 1; id <= 50; id++)
		CHECK_EQ(ask_only(c, id, "x"), CONVERT_DONE);
	converter_counters(c, &n);
	CHECK_EQ(n.started, 1);
	CHECK_EQ(n.running, 1);
	CHECK_EQ(n.done, 50);
	converter_free(c);
}

TEST(a_refusal_is_an_answer_and_the_process_stays)
{
	struct converter_config cfg = config_here(script_here(
		"refuse", AT_END "say aGk=; fail 'no \\\"http\\\" here'"
			END_AT_END));
	struct converter *c = converter_here(&cfg);
	struct converter_counters n;
	struct convert_answer a;

	for (uint64_t id = 1; id <= 3; id++) {
		CHECK_EQ(ask(c, id, "x", &a), CONVERT_REFUSED);
		CHECK_STR(a.err.text, "the converter says: no \"http\" here");
		CHECK_EQ(a.bytes.len, 2);
		convert_answer_release(&a);
	}
	converter_counters(c, &n);
	CHECK_EQ(n.started, 1);
	CHECK_EQ(n.refused, 3);
	converter_free(c);
}

struct crowd {
	struct converter *c;
	const char *text;
	uint64_t first;
	int wrong, n;
};

static void *run_crowd(void *arg)
{
	struct crowd *crowd = arg;

	for (int i = 0; i < crowd->n; i++)
		crowd->wrong += ask_only(crowd->c,
					 crowd->first + (uint64_t)i,
					 crowd->text) != CONVERT_DONE;
	return NULL;
}

TEST(several_threads_share_the_processes)
{
	struct converter_config cfg = config_here(
		script_here("shared", AT_END "say aGk=; done_" END_AT_END));
	struct crowd crowd[4];
	pthread_t threads[4];
	struct converter_counters n;

	cfg.processes = 2;
	cfg.stream_ns = UINT64_C(60000000000);
	crowd[0].c = converter_here(&cfg);
	for (int i = 0; i < 4; i++) {
		crowd[i] = (struct crowd){ crowd[0].c, "x",
					   (uint64_t)i * 100, 0, 15 };
		CHECK_EQ(pthread_create(&threads[i], NULL, run_crowd,
					&crowd[i]), 0);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		CHECK_EQ(crowd[i].wrong, 0);
	}
	converter_counters(crowd[0].c, &n);
	CHECK_EQ(n.done, 60);
	CHECK(n.started >= 1 && n.started <= 2);
	converter_free(crowd[0].c);
}

/* -- converters that do not ---------------------------------------------------- */

/* "poison" in the data (cG9pc29u) makes them do what they do. */
#define IF_POISON "case $line in *cG9pc29u*) "

static void check_misbehaviour(const char *name, const char *deed,
			       enum convert_state state, const char *why)
{
	struct buf body = { 0 };
	struct converter_config cfg;
	struct converter *c;
	struct convert_answer a;

	put_format(&body,
		   IF_POISON "%s;; esac\n" AT_END "say aGk=; done_" END_AT_END,
		   deed);
	put_u8(&body, 0);
	cfg = config_here(script_here(name, (const char *)body.p));
	cfg.output_max = 100000;
	if (state == CONVERT_HUNG)
		cfg.stream_ns = 300000000;
	c = converter_here(&cfg);
	/* Before, it works; the poison harms nobody else; after it as well. */
	cfg.stream_ns = UINT64_C(10000000000);
	CHECK_EQ(ask_only(c, 1, "good"), CONVERT_DONE);
	CHECK_EQ(ask(c, 2, "poison", &a), state);
	if (!strstr(a.err.text, why))
		fail_msg("%s: \"%s\", not \"%s\"", name, a.err.text, why);
	convert_answer_release(&a);
	CHECK_EQ(ask_only(c, 3, "good"), CONVERT_DONE);
	converter_free(c);
	buf_release(&body);
}

TEST(a_crash_is_the_state_of_that_stream)
{
	check_misbehaviour("exit", "echo 'out of luck' >&2; exit 3",
			   CONVERT_CRASHED,
			   "ended with status 3: the converter; its last "
			   "words: out of luck");
	check_misbehaviour("kill", "kill -SEGV $$", CONVERT_CRASHED,
			   "signal 11");
	check_misbehaviour("end", "exit 0", CONVERT_CRASHED,
			   "ended before it was done");
	check_misbehaviour("close", "exec >&-; sleep 1000", CONVERT_CRASHED,
			   "closed its output");
}

TEST(a_hang_ends_with_its_time)
{
	uint64_t before = now_ms();

	check_misbehaviour("hang", "trap '' TERM; sleep 1000", CONVERT_HUNG,
			   "its time was over");
	check_misbehaviour("spin", "while :; do :; done", CONVERT_HUNG,
			   "its time was over");
	CHECK(now_ms() - before < 10000);
}

TEST(output_without_end_is_cut_off)
{
	check_misbehaviour("flood", "while :; do say aGkhaGkhaGkh; done",
			   CONVERT_TOO_MUCH, "longer than the limit");
	check_misbehaviour("empty", "while :; do say ''; done",
			   CONVERT_NONSENSE, "65536 pieces");
	check_misbehaviour("line", "exec cat /dev/zero", CONVERT_NONSENSE,
			   "a line over 4 MiB");
}

TEST(talk_without_end_on_standard_error_disturbs_nobody)
{
	struct converter_config cfg = config_here(script_here(
		"talk", AT_END "i=0; while [ $i -lt 3000 ]; do i=$((i + 1)); "
			       "echo $i and a lot of words that nobody reads, "
			       "again and again and again >&2; done; "
			       "say aGk=; done_" END_AT_END));
	struct converter *c = converter_here(&cfg);

	CHECK_EQ(ask_only(c, 1, "x"), CONVERT_DONE);
	CHECK_EQ(ask_only(c, 2, "x"), CONVERT_DONE);
	converter_free(c);
}

TEST(lines_that_are_no_answer_are_nonsense)
{
	static const struct {
		const char *line, *why;
	} bad[] = {
		{ "hello", "no JSON object" },
		{ "[1]", "no JSON object" },
		{ "{\"id\":\"$id\",\"done\":true", "no JSON object" },
		{ "{\"done\":true}", "another id" },
		{ "{\"id\":\"0000000000000099\",\"done\":true}",
		  "another id" },
		{ "{\"id\":\"$id\",\"data\":\"aGk=\"}", "is not what" },
		{ "{\"id\":\"$id\",\"from\":\"c\",\"data\":\"aGk=\"}",
		  "is not what" },
		{ "{\"id\":\"$id\",\"from\":\"a\",\"data\":5}",
		  "is not what" },
		{ "{\"id\":\"$id\",\"from\":\"a\",\"offset\":-1}",
		  "is not what" },
		{ "{\"id\":\"$id\",\"from\":\"a\",\"offset\":2,"
		  "\"length\":18446744073709551615}", "is not what" },
		{ "{\"id\":\"$id\",\"from\":\"a\",\"data\":\"aGk\"}",
		  "no base64" },
		{ "{\"id\":\"$id\",\"from\":\"a\",\"data\":\"a\\\\u0000k=\"}",
		  "no base64" },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct buf deed = { 0 };
		char name[32];

		put_text(&deed, "echo \"");
		for (const char *p = bad[i].line; *p; p++)
			put_format(&deed, *p == '"' ? "\\%c" : "%c", *p);
		put_text(&deed, "\"");
		put_u8(&deed, 0);
		snprintf(name, sizeof(name), "bad%zu", i);
		check_misbehaviour(name, (const char *)deed.p,
				   CONVERT_NONSENSE, bad[i].why);
		buf_release(&deed);
	}
}

TEST(who_answers_without_listening_is_not_asked_again)
{
	struct converter_config cfg = config_here(script_here(
		"deaf", "say aGk=; done_; sleep 1000"));
	struct converter *c = converter_here(&cfg);
	struct convert_request r;
	struct convert_answer a;
	struct converter_counters n;
	struct buf data = { 0 };

	put_zeros(&data, 1 << 20);
	for (uint64_t id = 1; id <= 3; id++) {
		make_request(&r, c, id, buf_bytes(&data));
		CHECK_EQ(converter_run(c, &r, &a), CONVERT_DONE);
		CHECK_EQ(a.bytes.len, 2);
		convert_answer_release(&a);
		convert_request_release(&r);
	}
	converter_counters(c, &n);
	CHECK_EQ(n.started, 3);
	CHECK_EQ(n.running, 0);
	buf_release(&data);
	converter_free(c);
}

TEST(what_a_process_does_between_streams_harms_none)
{
	/* One that ends when it is done, one that goes on talking. */
	static const char *const bodies[] = {
		AT_END "say aGk=; done_; exit 0" END_AT_END,
		AT_END "say aGk=; done_; done_; say aGk=" END_AT_END,
	};

	for (size_t i = 0; i < 2; i++) {
		struct converter_config cfg = config_here(
			script_here(i ? "late" : "leaving", bodies[i]));
		struct converter *c = converter_here(&cfg);
		struct convert_answer a;

		for (uint64_t id = 1; id <= 10; id++) {
			CHECK_EQ(ask(c, id, "x", &a), CONVERT_DONE);
			CHECK_EQ(a.bytes.len, 2);
			convert_answer_release(&a);
		}
		converter_free(c);
	}
}

TEST(one_that_always_fails_must_rest_longer_and_longer)
{
	struct converter_config cfg = config_here("sh -c 'echo why >&2; exit 1'");
	struct converter_counters n;
	struct convert_answer a;
	struct converter *c;
	enum convert_state state = CONVERT_CRASHED;
	int tries = 0;

	cfg.backoff_ns = 50000000;
	cfg.stream_ns = 300000000;
	c = converter_here(&cfg);
	while (state == CONVERT_CRASHED && tries++ < 20) {
		state = ask(c, 1, "x", &a);
		if (state == CONVERT_CRASHED)
			convert_answer_release(&a);
	}
	CHECK_EQ(state, CONVERT_RESTING);
	CHECK(strstr(a.err.text, "times in a row and rests for"));
	CHECK(strstr(a.err.text, "its last words: why"));
	convert_answer_release(&a);
	/* While it rests nobody waits for it, and nothing is started. */
	converter_counters(c, &n);
	CHECK_EQ(n.started, n.crashed);
	CHECK(n.started >= 4 && n.started <= 8);
	CHECK_EQ(n.resting, 1);
	CHECK_EQ(n.running, 0);
	converter_free(c);
}

TEST(a_program_that_is_not_there_is_said_by_name)
{
	struct converter_config cfg = config_here("/no/such/converter -x");
	struct converter *c = converter_here(&cfg);
	struct convert_answer a;
	struct err err = ERR_NONE;

	CHECK_EQ(ask(c, 1, "x", &a), CONVERT_CRASHED);
	CHECK(strstr(a.err.text, "cannot start \"/no/such/converter\""));
	convert_answer_release(&a);
	converter_free(c);

	cfg.command = "  ";
	CHECK(converter_new(&cfg, &err) == NULL);
	CHECK_EQ(err.code, ERR_USAGE);
}

/* -- what it may do ------------------------------------------------------------- */

/* The converter's answer to one question, as text. */
static const char *answer_text(const char *name, const char *body)
{
	static char text[512];
	struct converter_config cfg = config_here(script_here(name, body));
	struct converter *c = converter_here(&cfg);
	struct convert_answer a;

	CHECK_EQ(ask(c, 1, "x", &a), CONVERT_REFUSED);
	snprintf(text, sizeof(text), "%s", a.err.text);
	convert_answer_release(&a);
	converter_free(c);
	return text;
}

TEST(it_can_gain_no_privileges_and_leaves_no_core)
{
	const char *said = answer_text(
		"limits", AT_END "fail \"$(grep NoNewPrivs /proc/self/status | "
				 "tr -d '\\t') core $(ulimit -c) "
				 "memory $(ulimit -v) files $(ulimit -n)\""
			END_AT_END);

	CHECK(strstr(said, "NoNewPrivs:1 core 0 memory 1048576 files 256"));
}

static bool is_gone(pid_t pid)
{
	char path[64], line[256];
	FILE *f;
	bool gone = true;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "r");
	if (!f)
		return true;
	if (fgets(line, sizeof(line), f)) {
		const char *state = strrchr(line, ')');

		gone = state && state[2] == 'Z'; /* its new parent is slow */
	}
	fclose(f);
	return gone;
}

TEST(what_it_started_ends_with_it)
{
	const char *said = answer_text(
		"parent",
		AT_END "sleep 1000 >/dev/null 2>&1 & fail \"pid $!\""
			END_AT_END);
	pid_t pid = (pid_t)strtol(strstr(said, "pid ") + 4, NULL, 10);
	uint64_t limit = now_ms() + 5000;

	CHECK(pid > 1);
	while (!is_gone(pid) && now_ms() < limit)
		usleep(10000);
	CHECK(is_gone(pid));
}
