/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In the steady state a packet costs no allocation, with any number of
 * workers.  This program counts the calls of malloc and its kin.
 */
#include "t.h"

#include <stdatomic.h>
#include <time.h>

#include "analyze_here.h"
#include "engine/analyze/output.h"
#include "engine/match/match.h"

static atomic_ulong calls;
static struct err err;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { COUNTED = 0 }; /* the sanitizer has these functions itself */
#else
enum { COUNTED = 1 };

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);

void *malloc(size_t n)
{
	atomic_fetch_add(&calls, 1);
	return __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	atomic_fetch_add(&calls, 1);
	return __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
	atomic_fetch_add(&calls, 1);
	return __libc_realloc(p, n);
}
#endif

/* Streams that speak in turn, some out of order, some with matches. */
static void some_traffic(struct here *h, int rounds)
{
	static const char line[] = "GET /one HTTP/1.1 with a flag{x} in it\r\n";

	for (int round = 0; round < rounds; round++)
		for (int i = 0; i < 32; i++) {
			struct bytes b = bytes_of_text(line);

			h->port[0] = (uint16_t)(3000 + i);
			h->next[0] = 100 + (uint32_t)(h->index / 32) *
						   (uint32_t)b.len;
			if (round % 8 == 7 && i % 2) {
				/* The second half first. */
				here_put(h, 0, h->next[0] + 20, TCP_ACK,
					 bytes_of(b.p + 20, b.len - 20));
				h->index--;
				here_put(h, 0, h->next[0], TCP_ACK,
					 bytes_of(b.p, 20));
			} else {
				here_say(h, 0, b);
			}
		}
	analyze_flush(h->a);
}

/* Have the workers taken everything? */
static void wait_for_packets(struct analyze *a, uint64_t n)
{
	struct analyze_counters c;

	for (int i = 0; i < 200000; i++) {
		analyze_counters(a, &c);
		if (c.flow.packets >= n && c.queue_packets == 0)
			return;
		nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
	}
	fail_msg("the workers took %llu of %llu packets",
		 (unsigned long long)c.flow.packets, (unsigned long long)n);
}

static unsigned long calls_of(unsigned workers, bool patterns)
{
	static const struct match_pattern all[] = {
		{ MATCH_SUBSTRING, 0, "flag{", "flag{", MATCH_ANY },
		{ MATCH_REGEX, 0, "flag", "flag\\{[a-z]+\\}", MATCH_ANY },
	};
	struct analyze_config cfg = ANALYZE_CONFIG_DEFAULT;
	struct analyze_counters c;
	unsigned long before, after;
	struct here h;

	cfg.workers = workers;
	cfg.output = output_open("/dev/null", &err);
	CHECK(cfg.output != NULL);
	if (patterns)
		cfg.patterns = match_compile(all, 2, 4096, &err);
	here_begin(&h, analyze_new(&cfg, &err));
	match_set_put(cfg.patterns);
	some_traffic(&h, 150); /* buffers and windows fill up */
	analyze_counters(h.a, &c);
	wait_for_packets(h.a, c.packets);
	before = atomic_load(&calls);
	some_traffic(&h, 200);
	analyze_counters(h.a, &c);
	wait_for_packets(h.a, c.packets);
	after = atomic_load(&calls);
	CHECK(c.packets > 6400);
	if (patterns)
		CHECK(c.matches > 6400);
	here_end(&h);
	CHECK_OK(output_close(cfg.output, &err), &err);
	return after - before;
}

TEST(no_allocation_a_packet_with_one_worker)
{
	if (!COUNTED)
		t_skip("a sanitizer allocates too");
	CHECK_EQ(calls_of(1, false), 0);
}

TEST(no_allocation_a_packet_with_three_workers)
{
	if (!COUNTED)
		t_skip("a sanitizer allocates too");
	CHECK_EQ(calls_of(3, false), 0);
}

TEST(no_allocation_a_packet_while_patterns_match)
{
	if (!COUNTED)
		t_skip("a sanitizer allocates too");
	CHECK_EQ(calls_of(1, true), 0);
}
