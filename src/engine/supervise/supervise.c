/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/supervise/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "sys/loop.h"
#include "sys/sys.h"

static const char PART[] = "up";

struct child {
	struct supervisor *owner;
	char *name;
	char *argv[SUPERVISE_ARGS_MAX + 1]; /* each owned */
	bool once;
	bool leaving; /* was asked to end */
	pid_t pid;    /* 0 while it does not run */
	uint64_t started_ns;
	uint64_t backoff_ns; /* before its next restart */
	unsigned restarts;
	struct loop_timer *again;
	int pipe; /* what it writes; -1 for none */
	struct loop_watch *watch;
	char line[SUPERVISE_LINE];
	size_t len;
	bool cut; /* the rest of an overlong line is being skipped */
};

struct supervisor {
	struct loop *loop;
	struct supervisor_config cfg;
	struct child *children[SUPERVISE_MAX];
	int n;
	bool ending;
	bool gone_said;
	bool patience_runs;
	struct loop_timer *patience;
};

static int start(struct child *c, struct err *err);

static uint64_t now_ns(void)
{
	return sys_host()->mono_ns(sys_host());
}

/* -- what a child writes ------------------------------------------------- */

static void give_line(struct child *c)
{
	const struct supervisor_config *cfg = &c->owner->cfg;

	if (c->len && cfg->on_line)
		cfg->on_line(cfg->arg, c->name, bytes_of(c->line, c->len));
	c->len = 0;
}

static void take_text(struct child *c, const char *text, size_t n)
{
	for (; n; n--, text++) {
		if (*text == '\n') {
			give_line(c);
			c->cut = false;
		} else if (c->len < sizeof(c->line)) {
			c->line[c->len++] = *text;
		} else if (!c->cut) {
			give_line(c);
			c->len = 0;
			c->cut = true;
		}
		if (c->cut)
			c->len = 0;
	}
}

static void close_pipe(struct child *c)
{
	loop_watch_free(c->watch);
	c->watch = NULL;
	if (c->pipe >= 0)
		close(c->pipe);
	c->pipe = -1;
	give_line(c);
	c->cut = false;
}

/* Everything that is there now; false at the end. */
static bool read_pipe(struct child *c)
{
	char text[4096];
	ssize_t n;

	while ((n = read(c->pipe, text, sizeof(text))) > 0)
		take_text(c, text, (size_t)n);
	return n < 0 && (errno == EAGAIN || errno == EINTR);
}

static void on_readable(void *arg, int fd, int what)
{
	struct child *c = arg;

	(void)fd;
	(void)what;
	if (!read_pipe(c))
		close_pipe(c);
}

/* -- the end of a child --------------------------------------------------- */

static bool anybody_left(const struct supervisor *s)
{
	for (int i = 0; i < s->n; i++)
		if (s->children[i]->pid)
			return true;
	return false;
}

static void say_gone_when_it_is_so(struct supervisor *s)
{
	if (!s->ending || s->gone_said || anybody_left(s))
		return;
	s->gone_said = true;
	loop_timer_cancel(s->patience);
	if (s->cfg.on_gone)
		s->cfg.on_gone(s->cfg.arg);
}

static void describe(char *out, size_t cap, int status)
{
	if (WIFSIGNALED(status))
		snprintf(out, cap, "was ended by signal %d (%s)",
			 WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		snprintf(out, cap, "ended with status %d", WEXITSTATUS(status));
}

/* Returns how long it waits, ns. */
static uint64_t start_again_later(struct child *c)
{
	const struct supervisor_config *cfg = &c->owner->cfg;
	uint64_t wait_ns;

	if (now_ns() - c->started_ns >= cfg->steady_ns)
		c->backoff_ns = cfg->backoff_ns;
	wait_ns = c->backoff_ns;
	c->backoff_ns = 2 * wait_ns < cfg->backoff_max_ns ? 2 * wait_ns
							  : cfg->backoff_max_ns;
	loop_timer_in(c->again, wait_ns);
	return wait_ns;
}

static void on_end(struct child *c, int status)
{
	const struct supervisor_config *cfg = &c->owner->cfg;
	uint64_t wait_ms;
	char how[96];

	c->pid = 0;
	if (c->pipe >= 0)
		read_pipe(c);
	close_pipe(c);
	describe(how, sizeof(how), status);
	if (c->leaving || c->once) {
		log_debug(PART, "%s %s", c->name, how);
		if (c->once && cfg->on_done)
			cfg->on_done(cfg->arg, c->name, status);
	} else {
		wait_ms = start_again_later(c) / 1000000;
		log_warn(PART, "%s %s; it starts again in %llu.%llu s", c->name,
			 how, (unsigned long long)(wait_ms / 1000),
			 (unsigned long long)(wait_ms % 1000 / 100));
	}
	say_gone_when_it_is_so(c->owner);
}

/* Only our own: somebody else's child is not ours to reap. */
static void on_child_signal(void *arg, int sig)
{
	struct supervisor *s = arg;
	int status;

	(void)sig;
	for (int i = 0; i < s->n; i++) {
		struct child *c = s->children[i];

		if (c->pid && waitpid(c->pid, &status, WNOHANG) == c->pid)
			on_end(c, status);
	}
}

static void on_again(void *arg)
{
	struct child *c = arg;
	struct err err = ERR_NONE;

	c->restarts++;
	if (start(c, &err) < 0) {
		log_warn(PART, "%s", err.text);
		start_again_later(c);
	}
}

/* -- its beginning -------------------------------------------------------- */

/* In the new process, which never returns. */
static void become(struct child *c, int out, pid_t parent)
{
	int null = open("/dev/null", O_RDONLY);
	sigset_t none;

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(0); /* it died before it could be watched */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	dup2(null, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(out, STDERR_FILENO);
	close_range(3, ~0u, 0);
	execvp(c->argv[0], c->argv);
	dprintf(STDERR_FILENO, "%s cannot be run: %s\n", c->argv[0],
		strerror(errno));
	_exit(127);
}

static int start(struct child *c, struct err *err)
{
	pid_t parent = getpid();
	int ends[2];

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_sys(err, errno, "no pipe for %s", c->name);
	/* The child's end blocks, as programs expect. */
	fcntl(ends[1], F_SETFL, 0);
	c->pid = fork();
	if (c->pid == 0)
		become(c, ends[1], parent);
	close(ends[1]);
	if (c->pid < 0) {
		c->pid = 0;
		close(ends[0]);
		return err_sys(err, errno, "%s cannot be started", c->name);
	}
	c->pipe = ends[0];
	c->watch = loop_watch(c->owner->loop, c->pipe, LOOP_READ, on_readable,
			      c);
	c->started_ns = now_ns();
	log_debug(PART, "%s is process %d", c->name, (int)c->pid);
	return 0;
}

int supervisor_add(struct supervisor *s, const char *name,
		   const char *const *argv, bool once, struct err *err)
{
	struct child *c;
	int rc;

	if (s->n == SUPERVISE_MAX)
		return err_set(err, ERR_LIMIT, "more than %d programs",
			       SUPERVISE_MAX);
	c = mem_alloc(sizeof(*c));
	c->owner = s;
	c->name = mem_text(name);
	c->once = once;
	c->pipe = -1;
	c->backoff_ns = s->cfg.backoff_ns;
	c->again = loop_timer(s->loop, on_again, c);
	for (int i = 0; argv[i] && i < SUPERVISE_ARGS_MAX; i++)
		c->argv[i] = mem_text(argv[i]);
	s->children[s->n++] = c;
	rc = start(c, err);
	return rc;
}

/* -- the end of all -------------------------------------------------------- */

static void on_patience(void *arg)
{
	struct supervisor *s = arg;

	for (int i = 0; i < s->n; i++) {
		struct child *c = s->children[i];

		if (!c->pid || !c->leaving)
			continue;
		log_warn(PART, "%s did not end when asked; it is killed",
			 c->name);
		kill(c->pid, SIGKILL);
	}
}

static void ask_to_end(struct child *c)
{
	struct supervisor *s = c->owner;

	loop_timer_cancel(c->again);
	if (c->leaving)
		return;
	c->leaving = true;
	if (c->pid)
		kill(c->pid, SIGTERM);
	if (!s->patience_runs)
		loop_timer_in(s->patience, s->cfg.patience_ns);
	s->patience_runs = true;
}

static struct child *find(const struct supervisor *s, const char *name)
{
	for (int i = 0; i < s->n; i++)
		if (strcmp(s->children[i]->name, name) == 0)
			return s->children[i];
	return NULL;
}

void supervisor_end_one(struct supervisor *s, const char *name)
{
	struct child *c = find(s, name);

	if (c)
		ask_to_end(c);
}

void supervisor_end(struct supervisor *s)
{
	s->ending = true;
	for (int i = 0; i < s->n; i++)
		ask_to_end(s->children[i]);
	say_gone_when_it_is_so(s);
}

bool supervisor_runs(const struct supervisor *s, const char *name)
{
	const struct child *c = find(s, name);

	return c && c->pid;
}

unsigned supervisor_restarts(const struct supervisor *s, const char *name)
{
	const struct child *c = find(s, name);

	return c ? c->restarts : 0;
}

struct supervisor *supervisor_new(struct loop *loop,
				  const struct supervisor_config *cfg)
{
	struct supervisor *s = mem_alloc(sizeof(*s));

	s->loop = loop;
	s->cfg = *cfg;
	s->patience = loop_timer(loop, on_patience, s);
	loop_on_signal(loop, SIGCHLD, on_child_signal, s);
	return s;
}

static void child_free(struct child *c)
{
	if (c->pid) {
		kill(c->pid, SIGKILL);
		waitpid(c->pid, NULL, 0);
	}
	c->len = 0;
	close_pipe(c);
	loop_timer_free(c->again);
	for (int i = 0; c->argv[i]; i++)
		free(c->argv[i]);
	free(c->name);
	free(c);
}

void supervisor_free(struct supervisor *s)
{
	if (!s)
		return;
	for (int i = 0; i < s->n; i++)
		child_free(s->children[i]);
	loop_timer_free(s->patience);
	free(s);
}
