/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sys.h - the world in one table: files, clocks, network, randomness.
 *
 * The parts that promise durability (spool, link, mirror) reach the outside
 * only through a struct sys, so that a model disk and a simulated network can
 * stand in for the real ones (tests/model), and memory files for a disk.
 *
 * Every call returns a value >= 0, or a negated errno.  Handles are small
 * integers of the implementation; those of sys_host() and sys_memory() are
 * real descriptors.  Calls may come from several threads unless said
 * otherwise.  None of the calls retries: a short read or write, EINTR and
 * EAGAIN reach the caller.
 *
 * An implementation embeds struct sys as its first member.
 */
#ifndef SYS_SYS_H
#define SYS_SYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum sys_open_flags {
	SYS_READ = 1,
	SYS_WRITE = 2,	/* with or without SYS_READ */
	SYS_CREATE = 4, /* mode 0600 */
	SYS_EXCL = 8,	/* fail with -EEXIST where it is already there */
	SYS_TRUNCATE = 16
};

enum { SYS_NAME_MAX = 256, SYS_PEER_MAX = 64 };

/* Called once for each name in a directory, without "." and "..". */
typedef void (*sys_list_fn)(void *arg, const char *name);

struct sys {
	/* -- files ------------------------------------------------------ */
	int (*open)(struct sys *, const char *path, int flags);
	int (*close)(struct sys *, int file);
	ssize_t (*pread)(struct sys *, int file, void *to, size_t len,
			 uint64_t at);
	ssize_t (*pwrite)(struct sys *, int file, const void *from, size_t len,
			  uint64_t at);
	int (*size)(struct sys *, int file, uint64_t *bytes);
	int (*truncate)(struct sys *, int file, uint64_t bytes);
	/* Reserve blocks up to `bytes`; the file's size does not change. */
	int (*reserve)(struct sys *, int file, uint64_t bytes);
	/* Begin to write these bytes to the disk, without waiting for it and
	 * without any promise: the next sync has less to do. */
	void (*write_out)(struct sys *, int file, uint64_t at, uint64_t len);
	/* Content and size are durable when it returns 0 (fdatasync). */
	int (*sync)(struct sys *, int file);
	/* The names in the directory are durable when it returns 0. */
	int (*sync_dir)(struct sys *, const char *path);
	int (*rename)(struct sys *, const char *from, const char *to);
	int (*unlink)(struct sys *, const char *path);
	int (*mkdir)(struct sys *, const char *path); /* mode 0700 */
	int (*rmdir)(struct sys *, const char *path);
	int (*list)(struct sys *, const char *path, sys_list_fn fn, void *arg);
	/* Exclusive, gone with the handle; -EWOULDBLOCK while another has it. */
	int (*lock)(struct sys *, int file);
	/* Is it locked by somebody else's handle?  1, 0 or an error. */
	int (*locked)(struct sys *, int file);
	/* Bytes that this user may still write where `path` lies. */
	int (*space)(struct sys *, const char *path, uint64_t *free);

	/* -- clocks and chance ------------------------------------------ */
	uint64_t (*wall_ns)(struct sys *); /* since 1970, UTC; may jump */
	uint64_t (*mono_ns)(struct sys *); /* never goes back */
	/* Names this boot of the machine; 0 where it is unknown. */
	uint64_t (*boot_id)(struct sys *);
	void (*random)(struct sys *, void *to, size_t len);

	/* -- network: byte streams, never blocking ---------------------- */
	/* "host:port"; the connection may still be under way. */
	int (*dial)(struct sys *, const char *address);
	/* 0 when a dialled socket is connected, -EINPROGRESS, or why not. */
	int (*dialled)(struct sys *, int socket);
	/* "host:port", ":port" is every address; port 0 picks one. */
	int (*listen)(struct sys *, const char *address);
	/* The "address:port" that a socket really has here. */
	int (*bound)(struct sys *, int socket, char here[SYS_PEER_MAX]);
	/* -EAGAIN when nobody waits.  `peer` gets "address:port". */
	int (*accept)(struct sys *, int socket, char peer[SYS_PEER_MAX]);
	/* 0 is the peer's end of stream; -EAGAIN when nothing is there. */
	ssize_t (*recv)(struct sys *, int socket, void *to, size_t len);
	ssize_t (*send)(struct sys *, int socket, const void *from, size_t len);
	/* From a file into a socket without a copy; *at moves on. */
	ssize_t (*send_file)(struct sys *, int socket, int file, uint64_t *at,
			     size_t len);
	int (*hang_up)(struct sys *, int socket); /* closes the handle */
};

/* The machine itself.  One for the process, never freed. */
struct sys *sys_host(void);

/*
 * Files that live in memory and are gone with the process: handles are memfd
 * descriptors, so that sendfile works.  Names live in a table of its own;
 * clocks, chance and network are the machine's.  `limit` bounds the bytes of
 * all files together: beyond it pwrite and reserve give -ENOSPC.
 */
struct sys *sys_memory_new(uint64_t limit);
void sys_memory_free(struct sys *sys);

/* -- on top of any implementation ------------------------------------- */

/* Loop over short counts and EINTR.  0, or a negated errno; -EIO at the end
 * of the file (read) or when nothing moves (write). */
int sys_read_full(struct sys *sys, int file, void *to, size_t len, uint64_t at);
int sys_write_full(struct sys *sys, int file, const void *from, size_t len,
		   uint64_t at);

/* mkdir for each missing part of `path`, each made durable. */
int sys_mkdir_all(struct sys *sys, const char *path);

/*
 * Put `len` bytes at `path` so that after any crash either the old file or
 * the whole new one is there: write path.tmp, sync, rename, sync directory.
 */
int sys_replace_file(struct sys *sys, const char *path, const void *from,
		     size_t len);

#endif
