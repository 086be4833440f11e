/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/child.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"

static void close_if_open(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

struct pipes {
	int in[2];	     /* what it reads; [1] -1: it is empty */
	int out[2], talk[2]; /* what it writes */
	int failed[2];	     /* why exec() failed; closed when it did not */
};

static void pipes_close(struct pipes *p)
{
	for (int i = 0; i < 2; i++) {
		close_if_open(&p->in[i]);
		close_if_open(&p->out[i]);
		close_if_open(&p->talk[i]);
		close_if_open(&p->failed[i]);
	}
}

static int pipes_open(struct pipes *p, bool input, struct err *err)
{
	*p = (struct pipes){ { -1, -1 }, { -1, -1 }, { -1, -1 }, { -1, -1 } };
	if (!input)
		p->in[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	else if (pipe2(p->in, O_CLOEXEC) < 0)
		p->in[0] = -1;
	if (p->in[0] >= 0 && pipe2(p->out, O_CLOEXEC) == 0 &&
	    pipe2(p->talk, O_CLOEXEC) == 0 && pipe2(p->failed, O_CLOEXEC) == 0)
		return 0;
	err_sys(err, errno, "pipes for a command");
	pipes_close(p);
	return err->code;
}

static void limit(int what, uint64_t most)
{
	struct rlimit limit = { most, most };

	if (most)
		setrlimit(what, &limit);
}

static void restrain(const struct child_limits *limits)
{
	struct rlimit none = { 0, 0 };

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	setrlimit(RLIMIT_CORE, &none);
	limit(RLIMIT_AS, limits->memory_max);
	limit(RLIMIT_FSIZE, limits->file_max);
	limit(RLIMIT_NOFILE, limits->files_max);
}

/* The child's side, until it becomes the command. */
static _Noreturn void become(const struct pipes *p, char *const argv[],
			     const struct child_limits *limits, bool own_group,
			     pid_t parent)
{
	sigset_t none;
	int why;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	if (own_group)
		setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, limits ? SIGKILL : SIGTERM);
	if (getppid() != parent)
		_exit(127);
	if (limits)
		restrain(limits);
	if (dup2(p->in[0], STDIN_FILENO) >= 0 &&
	    dup2(p->out[1], STDOUT_FILENO) >= 0 &&
	    dup2(p->talk[1], STDERR_FILENO) >= 0)
		execvp(argv[0], argv);
	why = errno;
	why = write(p->failed[1], &why, sizeof(why)) < 0;
	_exit(127 + why);
}

/* errno of a failed exec(), or 0. */
static int why_not(const struct pipes *p)
{
	int why = 0;
	ssize_t n;

	do
		n = read(p->failed[0], &why, sizeof(why));
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)sizeof(why) ? why : 0;
}

static int start(struct child *c, char *const argv[],
		 const struct child_limits *limits, struct err *err)
{
	pid_t self = getpid();
	struct pipes p;
	int why;

	*c = CHILD_NONE;
	assert(argv[0]);
	if (pipes_open(&p, limits != NULL, err) < 0)
		return err->code;
	c->own_group = limits || !isatty(STDIN_FILENO);
	c->pid = fork();
	if (c->pid == 0)
		become(&p, argv, limits, c->own_group, self);
	if (c->pid < 0) {
		err_sys(err, errno, "cannot start \"%s\"", argv[0]);
		*c = CHILD_NONE;
		pipes_close(&p);
		return err->code;
	}
	/* On both sides, so that the group exists whoever is first. */
	if (c->own_group)
		setpgid(c->pid, c->pid);
	close_if_open(&p.failed[1]);
	why = why_not(&p);
	c->end = pidfd_open(c->pid, 0);
	if (why || c->end < 0) {
		err_sys(err, why ? why : errno, "cannot start \"%s\"", argv[0]);
		pipes_close(&p);
		child_stop(c, 0);
		child_release(c);
		return err->code;
	}
	c->in = p.in[1];
	c->out = p.out[0];
	c->talk = p.talk[0];
	p.in[1] = p.out[0] = p.talk[0] = -1;
	pipes_close(&p);
	fcntl(c->talk, F_SETFL, O_NONBLOCK);
	return 0;
}

int child_start(struct child *c, char *const argv[], struct err *err)
{
	return start(c, argv, NULL, err);
}

int child_start_apart(struct child *c, char *const argv[],
		      const struct child_limits *limits, struct err *err)
{
	if (start(c, argv, limits, err) < 0)
		return err->code;
	fcntl(c->in, F_SETFL, O_NONBLOCK);
	fcntl(c->out, F_SETFL, O_NONBLOCK);
	return 0;
}

static bool reap(struct child *c, int flags)
{
	pid_t got;

	if (!c->pid)
		return true;
	do
		got = waitpid(c->pid, &c->status, flags);
	while (got < 0 && errno == EINTR);
	if (got == 0)
		return false;
	c->pid = 0;
	return true;
}

bool child_reap(struct child *c)
{
	return reap(c, WNOHANG);
}

void child_stop(struct child *c, int grace_ms)
{
	struct pollfd end = { .fd = c->end, .events = POLLIN };
	pid_t whom = c->own_group ? -c->pid : c->pid;

	if (!c->pid)
		return;
	kill(whom, SIGTERM);
	if (c->end >= 0 && grace_ms > 0)
		poll(&end, 1, grace_ms);
	if (c->own_group || !child_reap(c))
		kill(whom, SIGKILL);
	reap(c, 0);
}

void child_release(struct child *c)
{
	assert(!c->pid);
	close_if_open(&c->end);
	close_if_open(&c->in);
	close_if_open(&c->out);
	close_if_open(&c->talk);
}

int child_verdict(const struct child *c, const char *name, struct err *err)
{
	if (WIFSIGNALED(c->status))
		return err_set(err, ERR_FAILED,
			       "signal %d (%s) ended the command: %s",
			       WTERMSIG(c->status),
			       strsignal(WTERMSIG(c->status)), name);
	if (WEXITSTATUS(c->status) != 0)
		return err_set(err, ERR_FAILED,
			       "the command ended with status %d: %s",
			       WEXITSTATUS(c->status), name);
	return 0;
}
