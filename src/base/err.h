/* SPDX-License-Identifier: Apache-2.0 */
/*
 * err.h - a failure: a code to branch on and a sentence for a person.
 *
 * Whoever detects a failure writes the whole sentence (the file, the number,
 * the limit); callers at most put a context in front; only cmd/ prints it.
 * Functions return 0 or a negative code and fill the struct err that comes as
 * their last argument.  Parsers of outside bytes return bare codes: their
 * caller knows where the bytes came from.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

enum err_code {
	ERR_FAILED = -1,    /* the world said no; see the text */
	ERR_MALFORMED = -2, /* bytes that break their format */
	ERR_UNKNOWN = -3,   /* a kind that a newer peer may know */
	ERR_LIMIT = -4,     /* over a bound that we set */
	ERR_BUSY = -5,      /* somebody else holds it */
	ERR_GONE = -6,      /* it was there once; now it is not */
	ERR_AUTH = -7,      /* the peer is not who it must be */
	ERR_FULL = -8,      /* no room; try later or lose it, counted */
	ERR_USAGE = -9,     /* the command line is wrong */
	ERR_AGAIN = -10,    /* nothing now; wait and ask again */
	ERR_END = -11,      /* nothing more will come */
	ERR_DAMAGED = -12   /* bytes that were good once and are not now */
};

enum { ERR_TEXT = 512 };

struct err {
	int code; /* 0 while all is well */
	char text[ERR_TEXT];
};

#define ERR_NONE ((struct err){ .code = 0 })

/* Set code and sentence; returns code.  A NULL err is allowed. */
int err_set(struct err *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * The same, with ": " and the words for errno value `number` behind it; pass
 * a positive errno.  The code is ERR_FAILED.
 */
int err_sys(struct err *err, int number, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Put "context: " in front of the sentence; returns err->code. */
int err_within(struct err *err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
