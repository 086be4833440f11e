/* SPDX-License-Identifier: Apache-2.0 */
/*
 * child.h - one command, run without a shell, with its output in pipes.
 *
 * Its standard input is empty, or a pipe of ours, when child_start_apart()
 * began it; its standard output and error are pipes of ours.  When our own standard input is a terminal the command shares our
 * process group, so that ssh and sudo may ask for a password there; otherwise
 * it leads a group of its own, and is ended with everything it started.
 * Should we die first, the kernel ends it.
 */
#ifndef SYS_CHILD_H
#define SYS_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct err;

struct child {
	pid_t pid; /* 0 when there is none, or it was reaped */
	int end;   /* pidfd: readable when it has ended */
	int out;   /* reads its standard output; blocking */
	int talk;  /* reads its standard error; not blocking */
	int in;	   /* child_start_apart(): writes its standard input */
	bool own_group;
	int status; /* as of waitpid(), once it is reaped */
};

#define CHILD_NONE                                                             \
	((struct child){ .end = -1, .out = -1, .talk = -1, .in = -1 })

/* argv ends with NULL; argv[0] is looked up in PATH.  The calling thread must
 * be one that lives as long as the process: the kernel watches over it. */
int child_start(struct child *c, char *const argv[], struct err *err);

/* What a command may take; 0: as much as we may. */
struct child_limits {
	uint64_t memory_max; /* bytes of address space */
	uint64_t file_max;   /* bytes of a file that it writes */
	uint64_t files_max;  /* descriptors */
};

/*
 * The same for a command that is talked to and not trusted: it has a standard
 * input, it and what it starts can gain no privileges, leave no core and keep
 * to the limits, it leads a process group of its own, and is killed, not asked,
 * when the calling thread ends.  in, out and talk do not block.
 */
int child_start_apart(struct child *c, char *const argv[],
		      const struct child_limits *limits, struct err *err);

/* Take its status when it has ended; false while it runs. */
bool child_reap(struct child *c);

/* SIGTERM, and SIGKILL when that did not help within `grace_ms`; reaps. */
void child_stop(struct child *c, int grace_ms);

/* Close the descriptors that are still open; the child must be reaped. */
void child_release(struct child *c);

/*
 * 0 when it ended well.  Otherwise a sentence: its status, or the signal that
 * ended it.  `name` is the command as the user wrote it.
 */
int child_verdict(const struct child *c, const char *name, struct err *err);

#endif
