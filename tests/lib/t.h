/* SPDX-License-Identifier: Apache-2.0 */
/*
 * t.h - a test is a sentence that can be false.
 *
 *	TEST(a_torn_tail_is_cut)
 *	{
 *		CHECK_EQ(next, 3);
 *	}
 *
 * Each TEST() registers itself; tests/lib/t.c has the main() that runs them in
 * the order of the file, by cmocka, with TAP on standard output.  A row of
 * doc/features.md stands in the name: TEST(I09_a_torn_tail_...).  With words
 * on the command line only tests whose name contains one of them run.  The
 * CHECKs may be used on the test's own thread only.
 */
#ifndef TESTS_LIB_T_H
#define TESTS_LIB_T_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/err.h"

void t_register(const char *name, void (*fn)(void));

#define TEST(name)                                                             \
	static void name(void);                                                \
	__attribute__((constructor)) static void register_##name(void)         \
	{                                                                      \
		t_register(#name, name);                                       \
	}                                                                      \
	static void name(void)

#define CHECK(what)	    assert_true(what)
#define CHECK_EQ(got, want) assert_int_equal((got), (want))
#define CHECK_STR(got, want) assert_string_equal((got), (want))
#define CHECK_BYTES(got_, want_)                                               \
	do {                                                                   \
		struct bytes t_got = (got_), t_want = (want_);                 \
		assert_int_equal(t_got.len, t_want.len);                       \
		if (t_got.len)                                                 \
			assert_memory_equal(t_got.p, t_want.p, t_got.len);     \
	} while (0)
/* A call that must return 0; prints the sentence when it does not. */
#define CHECK_OK(call, err_)                                                   \
	do {                                                                   \
		if ((call) < 0)                                                \
			fail_msg("%s: %s", #call, (err_)->text);               \
	} while (0)

/* A fresh, empty directory for the running test; gone when it passes. */
const char *t_dir(void);

/* A path inside it; the text lives until the test ends. */
const char *t_path(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Whole files; the bytes live until the test ends. */
struct bytes t_load(const char *path);
void t_save(const char *path, struct bytes content);

/* Seeded from WEIR_TEST_SEED or the clock; a failing test prints the seed. */
uint64_t t_random(void);
uint64_t t_random_below(uint64_t n);

/* The folder of shared test material, or NULL: a user has none. */
const char *t_shared(void);

/* From hex digits (blanks allowed); lives until the test ends. */
struct bytes t_hex(const char *hex);

/* End the running test as skipped, saying why. */
void t_skip(const char *why);

#endif
