/* SPDX-License-Identifier: Apache-2.0 */
/*
 * process.c - one stream given to one process.  Everything goes through one
 * poll(): what it is asked, what it answers and what it says on standard error
 * can each be stuck without the others.
 */
#include "engine/convert/convert_priv.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { READ_STEP = 64 << 10, NS_A_MS = 1000000 };

uint64_t convert_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

struct exchange {
	struct process *process;
	const struct convert_request *request;
	struct convert_answer *answer;
	uint64_t output_max, until_ns;
	size_t sent;
	uint64_t got; /* bytes of lines */
	bool over;    /* answer->state says how */
};

static void end_exchange(struct exchange *x, enum convert_state state,
			 const char *why)
{
	x->over = true;
	x->answer->state = state;
	err_set(&x->answer->err, ERR_FAILED, "%s", why);
}

/* -- what it says on standard error ------------------------------- */

static void take_words(struct process *p, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char c = text[i];

		if (c != '\n') {
			if (p->n_line < LAST_WORDS - 1)
				p->line[p->n_line++] =
					c >= ' ' && c < 0x7f ? c : '?';
			continue;
		}
		if (p->n_line) {
			memcpy(p->words, p->line, p->n_line);
			p->words[p->n_line] = '\0';
		}
		p->n_line = 0;
	}
}

static void read_words(struct process *p)
{
	char text[4096];
	ssize_t n;

	/* As much as there is, but not for ever: it may write without end. */
	for (int i = 0; i < 16; i++) {
		n = read(p->child.talk, text, sizeof(text));
		p->silent |= n == 0;
		if (n <= 0)
			return;
		take_words(p, text, (size_t)n);
	}
}

/* -- asking ------------------------------------------------------- */

/*
 * write(2) whose SIGPIPE nobody hears: the process may have ended, and the
 * signal would end us.
 */
static ssize_t write_quietly(int fd, const void *p, size_t len)
{
	static const struct timespec at_once;
	sigset_t pipe, before, pending;
	ssize_t n;
	int why;

	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	sigpending(&pending);
	pthread_sigmask(SIG_BLOCK, &pipe, &before);
	n = write(fd, p, len);
	why = errno;
	if (n < 0 && why == EPIPE && !sigismember(&pending, SIGPIPE))
		while (sigtimedwait(&pipe, NULL, &at_once) < 0 &&
		       errno == EINTR)
			;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	errno = why;
	return n;
}

static void send_some(struct exchange *x)
{
	struct bytes left = buf_from(&x->request->lines, x->sent);
	ssize_t n = write_quietly(x->process->child.in, left.p, left.len);

	if (n >= 0)
		x->sent += (size_t)n;
	else if (errno == EPIPE) /* it may still answer; reading tells */
		x->sent = x->request->lines.len;
}

/* -- listening ----------------------------------------------------------------
 */

static void take_lines(struct exchange *x)
{
	struct buf *in = &x->process->in;
	size_t at = 0;

	while (!x->over && at < in->len) {
		uint8_t *end = memchr(in->p + at, '\n', in->len - at);
		size_t n;

		if (!end)
			break;
		n = (size_t)(end - in->p) - at;
		x->over = convert_answer_line(x->answer, x->request->id,
					      bytes_of(in->p + at, n));
		at += n + 1;
	}
	buf_consume(in, at);
	if (x->over)
		return;
	if (x->answer->bytes.len > x->output_max ||
	    x->got > 2 * x->output_max + LINE_MAX_BYTES)
		end_exchange(x, CONVERT_TOO_MUCH,
			     "its answer is longer than the limit");
	else if (in->len > LINE_MAX_BYTES)
		end_exchange(x, CONVERT_NONSENSE, "it wrote a line over 4 MiB");
}

static void hear_some(struct exchange *x)
{
	struct process *p = x->process;
	ssize_t n =
		read(p->child.out, buf_reserve(&p->in, READ_STEP), READ_STEP);

	if (n > 0) {
		buf_added(&p->in, (size_t)n);
		x->got += (size_t)n;
		take_lines(x);
	} else if (n == 0) {
		end_exchange(x, CONVERT_CRASHED, "it ended before it was done");
	}
}

static int ms_left(const struct exchange *x)
{
	uint64_t now = convert_now_ns();
	uint64_t left = x->until_ns > now ? x->until_ns - now : 0;

	return (int)((left + NS_A_MS - 1) / NS_A_MS);
}

static void exchange_some(struct exchange *x)
{
	const struct child *c = &x->process->child;
	bool unsent = x->sent < x->request->lines.len;
	struct pollfd fds[] = {
		{ .fd = c->out, .events = POLLIN },
		{ .fd = x->process->silent ? -1 : c->talk, .events = POLLIN },
		{ .fd = unsent ? c->in : -1, .events = POLLOUT },
	};
	int left = ms_left(x);

	if (left == 0) {
		end_exchange(x, CONVERT_HUNG, "its time was over");
		return;
	}
	if (poll(fds, 3, left) <= 0)
		return;
	if (fds[1].revents)
		read_words(x->process);
	if (fds[2].revents)
		send_some(x);
	if (fds[0].revents)
		hear_some(x);
}

/* Its output has ended; has it, too, and how? */
static void learn_end(struct process *p, char *why)
{
	struct pollfd end = { .fd = p->child.end, .events = POLLIN };
	struct err verdict = ERR_NONE;

	poll(&end, 1, STOP_MS);
	if (!child_reap(&p->child))
		snprintf(why, ERR_TEXT,
			 "it closed its output before it was done");
	else if (child_verdict(&p->child, "the converter", &verdict) < 0)
		snprintf(why, ERR_TEXT, "%s", verdict.text);
}

/* Its last words belong to what went wrong. */
static void explain(struct exchange *x)
{
	struct process *p = x->process;
	struct convert_answer *a = x->answer;
	char why[ERR_TEXT];

	snprintf(why, sizeof(why), "%s", a->err.text);
	if (a->state == CONVERT_CRASHED)
		learn_end(p, why);
	read_words(p);
	take_words(p, "\n", 1);
	err_set(&a->err, ERR_FAILED, "%.200s%s%s", why,
		p->words[0] ? "; its last words: " : "", p->words);
}

enum convert_state process_ask(struct process *p,
			       const struct convert_request *r,
			       uint64_t output_max, uint64_t until_ns,
			       struct convert_answer *a)
{
	struct exchange x = { .process = p,
			      .request = r,
			      .answer = a,
			      .output_max = output_max,
			      .until_ns = until_ns };

	p->words[0] = '\0';
	while (!x.over)
		exchange_some(&x);
	if (a->state == CONVERT_DONE && a->bytes.len > output_max)
		end_exchange(&x, CONVERT_TOO_MUCH,
			     "its answer is longer than the limit");
	if (a->state != CONVERT_DONE && a->state != CONVERT_REFUSED)
		explain(&x);
	p->fresh = false;
	p->spoilt = x.sent < r->lines.len;
	return a->state;
}

bool process_is_idle(struct process *p)
{
	struct pollfd out = { .fd = p->child.out, .events = POLLIN };

	read_words(p);
	return !p->in.len && poll(&out, 1, 0) == 0;
}

void process_stop(struct process *p, int grace_ms)
{
	child_stop(&p->child, grace_ms);
}
