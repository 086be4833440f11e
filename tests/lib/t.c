/* SPDX-License-Identifier: Apache-2.0 */
#include "t.h"

#include <assert.h>
#include <ftw.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

enum { TESTS_MAX = 512, KEPT_MAX = 65536 };

struct test {
	const char *name;
	void (*fn)(void);
};

static struct test tests[TESTS_MAX];
static size_t n_tests;
static void *kept[KEPT_MAX]; /* freed when the test ends */
static size_t n_kept;
static char *dir;
static uint64_t seed, state;

void t_register(const char *name, void (*fn)(void))
{
	assert(n_tests < TESTS_MAX);
	tests[n_tests++] = (struct test){ name, fn };
}

static void *keep(void *p)
{
	assert(n_kept < KEPT_MAX);
	return kept[n_kept++] = p;
}

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int before(void **data)
{
	state = seed;
	(void)data;
	return 0;
}

static int after(void **data)
{
	(void)data;
	while (n_kept)
		free(kept[--n_kept]);
	if (dir)
		nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(dir);
	dir = NULL;
	return 0;
}

static void run(void **data)
{
	const struct test *test = *data;

	test->fn();
}

const char *t_dir(void)
{
	if (!dir) {
		const char *root = getenv("TMPDIR");

		dir = mem_format("%s/weir-test-XXXXXX", root ? root : "/tmp");
		assert(mkdtemp(dir));
	}
	return dir;
}

const char *t_path(const char *fmt, ...)
{
	char name[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	return keep(mem_format("%s/%s", t_dir(), name));
}

struct bytes t_load(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *p;
	long len;

	if (!f)
		fail_msg("%s cannot be opened", path);
	fseek(f, 0, SEEK_END);
	len = ftell(f);
	rewind(f);
	p = keep(mem_alloc((size_t)len + 1));
	assert_int_equal(fread(p, 1, (size_t)len, f), (size_t)len);
	fclose(f);
	return bytes_of(p, (size_t)len);
}

void t_save(const char *path, struct bytes content)
{
	FILE *f = fopen(path, "wb");

	if (!f)
		fail_msg("%s cannot be written", path);
	assert_int_equal(fwrite(content.p, 1, content.len, f), content.len);
	fclose(f);
}

/* splitmix64 */
uint64_t t_random(void)
{
	uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

uint64_t t_random_below(uint64_t n)
{
	return n ? t_random() % n : 0;
}

const char *t_shared(void)
{
	const char *root = getenv("WEIR_SHARED");

	return root && access(root, R_OK) == 0 ? root : NULL;
}

struct bytes t_hex(const char *hex)
{
	uint8_t *out = keep(mem_alloc(strlen(hex) / 2 + 1));
	size_t n = 0;
	int high = -1;

	for (; *hex; hex++) {
		const char *digits = "0123456789abcdef";
		const char *at = strchr(digits, *hex | 0x20);

		if (*hex == ' ' || *hex == '\n' || *hex == '\t')
			continue;
		assert(at && *at);
		if (high < 0) {
			high = (int)(at - digits);
		} else {
			out[n++] = (uint8_t)(high << 4 | (int)(at - digits));
			high = -1;
		}
	}
	assert(high < 0);
	return bytes_of(out, n);
}

void t_skip(const char *why)
{
	fprintf(stderr, "# skipped: %s\n", why);
	skip();
}

/*
 * cmocka before 1.1.6 writes "not ok N # SKIP name" of a test that was skipped,
 * which every reader of TAP takes for a failure.  It calls this function by its
 * name, so this one is called instead.
 */
void print_message(const char *const format, ...)
{
	bool skipped = strncmp(format, "not ok %u # SKIP", 16) == 0;
	va_list ap;

	va_start(ap, format);
	vprint_message(skipped ? format + strlen("not ") : format, ap);
	va_end(ap);
}

static bool wanted(const char *name, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strstr(name, argv[i]))
			return true;
	return argc < 2;
}

int main(int argc, char **argv)
{
	static struct CMUnitTest list[TESTS_MAX];
	const char *given = getenv("WEIR_TEST_SEED");
	size_t n = 0;
	int failed;

	seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
	for (size_t i = 0; i < n_tests; i++)
		if (wanted(tests[i].name, argc, argv))
			list[n++] = (struct CMUnitTest){
				.name = tests[i].name,
				.test_func = run,
				.setup_func = before,
				.teardown_func = after,
				.initial_state = &tests[i],
			};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	failed = _cmocka_run_group_tests(argv[0], list, n, NULL, NULL);
	if (failed)
		printf("# WEIR_TEST_SEED=%llu gives this run again\n",
		       (unsigned long long)seed);
	return failed != 0;
}
