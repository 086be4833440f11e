/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/child.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "t.h"

static struct child run(const char *script)
{
	char *argv[] = { (char *)"sh", (char *)"-c", (char *)script, NULL };
	struct child c;
	struct err err = ERR_NONE;

	CHECK_OK(child_start(&c, argv, &err), &err);
	return c;
}

static void wait_end(struct child *c)
{
	struct pollfd end = { .fd = c->end, .events = POLLIN };

	CHECK_EQ(poll(&end, 1, 10000), 1);
	CHECK(child_reap(c));
}

static const char *read_all(int fd)
{
	static char out[4096];
	size_t len = 0;
	ssize_t n;

	while ((n = read(fd, out + len, sizeof(out) - 1 - len)) > 0)
		len += (size_t)n;
	out[len] = 0;
	return out;
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

TEST(output_and_errors_come_apart_and_input_is_empty)
{
	struct child c = run("cat; echo out; echo talk >&2");
	struct err err = ERR_NONE;

	CHECK_STR(read_all(c.out), "out\n");
	wait_end(&c);
	CHECK_STR(read_all(c.talk), "talk\n");
	CHECK_OK(child_verdict(&c, "sh", &err), &err);
	child_release(&c);
}

TEST(B08_the_status_is_kept_as_a_sentence)
{
	struct child c = run("exit 3");
	struct err err = ERR_NONE;

	wait_end(&c);
	CHECK_EQ(child_verdict(&c, "sh -c x", &err), ERR_FAILED);
	CHECK_STR(err.text, "the command ended with status 3: sh -c x");
	child_release(&c);

	c = run("kill -KILL $$");
	wait_end(&c);
	CHECK_EQ(child_verdict(&c, "sh", &err), ERR_FAILED);
	CHECK(strstr(err.text, "signal 9 (Killed)") != NULL);
	child_release(&c);
}

TEST(a_command_that_is_not_there_is_told_by_name)
{
	char *argv[] = { (char *)"no-such-command-here", NULL };
	struct child c;
	struct err err = ERR_NONE;

	CHECK_EQ(child_start(&c, argv, &err), ERR_FAILED);
	CHECK(strstr(err.text, "no-such-command-here") != NULL);
	CHECK(strstr(err.text, "No such file") != NULL);
	CHECK_EQ(waitpid(-1, NULL, WNOHANG), -1);
	CHECK_EQ(errno, ECHILD);
}

TEST(B12_a_stopped_command_is_reaped_with_what_it_started)
{
	struct child c = run("trap '' TERM; sleep 1000 & echo $!; wait");
	uint64_t begun = now_ms();
	char line[32] = "";
	pid_t inner;

	CHECK(read(c.out, line, sizeof(line) - 1) > 0);
	inner = atoi(line);
	CHECK(inner > 1);
	child_stop(&c, 200);
	CHECK(now_ms() - begun < 5000);
	CHECK_EQ(c.pid, 0);
	child_release(&c);

	/* Without a terminal the command leads a group, which is all gone;
	 * whoever adopts the orphan may take a moment to reap it. */
	for (int i = 0; !isatty(0) && kill(inner, 0) == 0; i++) {
		char path[64], state[512] = "";
		FILE *f;

		CHECK(i < 1000);
		snprintf(path, sizeof(path), "/proc/%d/stat", (int)inner);
		f = fopen(path, "r");
		if (f && fgets(state, sizeof(state), f) && strstr(state, ") Z"))
			i = 0, inner = 0;
		if (f)
			fclose(f);
		if (!inner)
			break;
		poll(NULL, 0, 5);
	}
}

TEST(no_descriptor_is_left_behind)
{
	int before = dup(0), after;
	struct child c = run("true");

	wait_end(&c);
	child_release(&c);
	after = dup(0);
	CHECK_EQ(after, before + 1);
	close(before);
	close(after);
}
