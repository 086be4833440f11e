/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/dataset/scan_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cursor.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/siphash.h"
#include "codec/record.h"
#include "engine/capfile/capfile.h"

enum {
	HOP_BUFFER = 256 << 10, /* stays in the second-level cache */
	END_BYTES = 4096,	/* of head and tail, for the digest */
	GUESS_WINDOW = 1 << 20, /* longer than any usual record */
	GUESS_RECORDS = 16,	/* plausible ones in a row */
	GUESS_SECONDS = 86400 * 366
};

#define NS_PER_S  UINT64_C(1000000000)
#define TIME_MOST (UINT64_C(4294967296) * NS_PER_S - 1)

struct scan_file {
	int fd;
	char *path;
	uint64_t size;
	struct stat st;
	uint8_t head[END_BYTES];
	size_t head_len;
	struct pcap_head pcap;
	bool hops;
};

/* -- counting ------------------------------------------------------------- */

void tally_add(struct dataset_tally *t, uint64_t time_ns, uint32_t captured,
	       uint32_t wire)
{
	if (!t->packets) {
		t->first_ns = t->min_ns = t->max_ns = t->last_ns = time_ns;
	} else if (time_ns < t->last_ns) {
		t->out_of_order++;
	}
	if (time_ns < t->min_ns)
		t->min_ns = time_ns;
	if (time_ns > t->max_ns)
		t->max_ns = time_ns;
	else if (t->max_ns - time_ns > t->backward_ns)
		t->backward_ns = t->max_ns - time_ns;
	t->last_ns = time_ns;
	t->packets++;
	t->captured += captured;
	t->wire += wire;
	if (captured > t->largest)
		t->largest = captured;
}

void tally_join(struct dataset_tally *t, const struct dataset_tally *next)
{
	if (!next->packets)
		return;
	if (!t->packets) {
		*t = *next;
		return;
	}
	t->out_of_order += next->out_of_order + (next->first_ns < t->last_ns);
	if (next->backward_ns > t->backward_ns)
		t->backward_ns = next->backward_ns;
	if (t->max_ns > next->min_ns &&
	    t->max_ns - next->min_ns > t->backward_ns)
		t->backward_ns = t->max_ns - next->min_ns;
	if (next->min_ns < t->min_ns)
		t->min_ns = next->min_ns;
	if (next->max_ns > t->max_ns)
		t->max_ns = next->max_ns;
	t->last_ns = next->last_ns;
	t->packets += next->packets;
	t->captured += next->captured;
	t->wire += next->wire;
	if (next->largest > t->largest)
		t->largest = next->largest;
}

/* -- opening -------------------------------------------------------------- */

static ssize_t read_at(int fd, uint8_t *to, size_t len, uint64_t at)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n =
			pread(fd, to + done, len - done, (off_t)(at + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

/* Version 2.4 with an ordinary record header; older ones go by capfile. */
static bool may_hop(struct scan_file *s)
{
	struct cursor c = cursor_on(bytes_of(s->head, s->head_len));
	uint16_t major, minor;

	if (pcap_head_parse(bytes_of(s->head, s->head_len), &s->pcap) < 0)
		return false;
	skip_bytes(&c, 4);
	major = s->pcap.swapped ? get_be16(&c) : get_le16(&c);
	minor = s->pcap.swapped ? get_be16(&c) : get_le16(&c);
	return !c.short_ && major == 2 && minor > 3;
}

struct scan_file *scan_open(const char *path, struct err *err)
{
	struct scan_file *s = mem_alloc(sizeof(*s));
	ssize_t n;

	s->path = mem_text(path);
	/* A named pipe must not make us wait, nor a terminal ours. */
	s->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (s->fd < 0 || fstat(s->fd, &s->st) < 0) {
		err_sys(err, errno, "%s cannot be opened", path);
		scan_close(s);
		return NULL;
	}
	if (!S_ISREG(s->st.st_mode)) {
		err_set(err, ERR_FAILED, "%s is no regular file", path);
		scan_close(s);
		return NULL;
	}
	s->size = (uint64_t)s->st.st_size;
	n = read_at(s->fd, s->head, sizeof(s->head), 0);
	if (n < 0) {
		err_sys(err, (int)-n, "%s cannot be read", path);
		scan_close(s);
		return NULL;
	}
	s->head_len = (size_t)n;
	s->hops = n >= PCAP_HEADER && may_hop(s);
	posix_fadvise(s->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	return s;
}

void scan_close(struct scan_file *s)
{
	if (!s)
		return;
	if (s->fd >= 0)
		close(s->fd);
	free(s->path);
	free(s);
}

bool scan_hops(const struct scan_file *s)
{
	return s->hops;
}

uint64_t scan_size(const struct scan_file *s)
{
	return s->size;
}

/* -- hopping -------------------------------------------------------------- */

/* The four numbers of a record's header, in the machine's order. */
struct head {
	uint32_t sec, frac, len, wire;
};

static inline struct head head_at(const uint8_t *p, bool swapped)
{
	struct head h;

	memcpy(&h, p, sizeof(h));
	if (swapped != (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__))
		h = (struct head){ __builtin_bswap32(h.sec),
				   __builtin_bswap32(h.frac),
				   __builtin_bswap32(h.len),
				   __builtin_bswap32(h.wire) };
	return h;
}

static inline uint64_t time_of(const struct head *h, uint64_t tick)
{
	uint64_t ns = (uint64_t)h->sec * NS_PER_S + h->frac * tick;

	return ns < TIME_MOST ? ns : TIME_MOST;
}

/* What of this header says that it is none; NULL: nothing. */
static inline const char *wrong_with(const struct head *h, uint64_t left,
				     bool *too_long)
{
	if ((h->sec | h->frac | h->len | h->wire) == 0)
		return "a record header is all zeros";
	*too_long = h->len > PACKET_MAX;
	if (*too_long)
		return "a record claims over 16 MiB";
	if (h->len > left)
		return "the bytes end inside a record";
	return NULL;
}

/*
 * All headers that lie in the n bytes at `buffer`, which are those at
 * part->end of the file.  Returns how far the next one lies from the buffer's
 * beginning.
 */
static uint64_t hop_buffer(const struct scan_file *s, struct scan_part *part,
			   const uint8_t *buffer, size_t n)
{
	uint64_t tick = s->pcap.micro ? 1000 : 1, base = part->end, at = 0;
	uint64_t stop = part->to - base;

	while (at < stop && at + RECORD_HEADER <= n) {
		struct head h = head_at(buffer + at, s->pcap.swapped);

		part->why = wrong_with(&h, s->size - base - at - RECORD_HEADER,
				       &part->too_long);
		if (part->why)
			break;
		tally_add(&part->tally, time_of(&h, tick), h.len, h.wire);
		at += RECORD_HEADER + h.len;
	}
	return at;
}

void scan_hop(const struct scan_file *s, struct scan_part *part,
	      atomic_uint_fast64_t *done)
{
	uint8_t *buffer = mem_alloc(HOP_BUFFER);

	part->end = part->from;
	while (part->end < part->to && !part->why) {
		ssize_t n = read_at(s->fd, buffer, HOP_BUFFER, part->end);
		uint64_t passed;

		if (n < 0) {
			part->number = (int)-n;
			part->why = "";
			break;
		}
		if (n < RECORD_HEADER) {
			part->why = "the bytes end inside a record";
			break;
		}
		passed = hop_buffer(s, part, buffer, (size_t)n);
		part->end += passed;
		atomic_fetch_add_explicit(done, passed, memory_order_relaxed);
	}
	free(buffer);
}

/*
 * Could a record begin here, by what it says itself?  `like` is the first
 * record of the file: its times are near those of the others.
 */
static bool plausible(const struct scan_file *s, const uint8_t *p,
		      const struct head *like, struct head *h)
{
	uint32_t most = s->pcap.snaplen ? s->pcap.snaplen : PACKET_SNAPLEN;
	int64_t apart;

	*h = head_at(p, s->pcap.swapped);
	apart = (int64_t)h->sec - (int64_t)like->sec;
	if (most > PACKET_MAX || most < PACKET_SNAPLEN)
		most = PACKET_SNAPLEN;
	return h->len > 0 && h->len <= most && h->len <= h->wire &&
	       h->wire <= PACKET_MAX && h->frac < NS_PER_S &&
	       (!s->pcap.micro || h->frac < 1000000) &&
	       apart > -GUESS_SECONDS && apart < GUESS_SECONDS;
}

/* Do records follow one another from here to the end of the window? */
static bool chain_begins(const struct scan_file *s, const uint8_t *p, size_t n,
			 const struct head *like)
{
	size_t at = 0;
	int found = 0;

	while (found < GUESS_RECORDS && at + RECORD_HEADER <= n) {
		struct head h;

		if (!plausible(s, p + at, like, &h))
			return false;
		at += RECORD_HEADER + h.len;
		found++;
	}
	return found == GUESS_RECORDS;
}

uint64_t scan_guess(const struct scan_file *s, uint64_t from)
{
	uint8_t *window = mem_alloc(GUESS_WINDOW);
	ssize_t n = read_at(s->fd, window, GUESS_WINDOW, from);
	struct head like = head_at(s->head + PCAP_HEADER, s->pcap.swapped);
	uint64_t found = s->size;

	for (ssize_t i = 0; i + RECORD_HEADER <= n; i++) {
		if (!chain_begins(s, window + i, (size_t)(n - i), &like))
			continue;
		found = from + (uint64_t)i;
		break;
	}
	free(window);
	return found;
}

/* -- what it came to ------------------------------------------------------ */

/* Of the first and last bytes; two files that differ there differ here. */
static uint64_t digest_of(int fd, const uint8_t *head, size_t head_len,
			  uint64_t size)
{
	static const struct siphash_key key = { 0, 0 };
	uint8_t both[2 * END_BYTES + 8];
	size_t len = head_len;
	ssize_t n = 0;

	memcpy(both, head, head_len);
	if (size > END_BYTES)
		n = read_at(fd, both + len, END_BYTES, size - END_BYTES);
	if (n > 0)
		len += (size_t)n;
	memcpy(both + len, &size, sizeof(size));
	return siphash(&key, bytes_of(both, len + sizeof(size)));
}

static void describe(const struct scan_file *s, struct dataset_file *f)
{
	f->path = mem_text(s->path);
	f->bytes = s->size;
	f->inode = s->st.st_ino;
	f->mtime_ns = (uint64_t)s->st.st_mtim.tv_sec * NS_PER_S +
		      (uint64_t)s->st.st_mtim.tv_nsec;
	f->digest = digest_of(s->fd, s->head, s->head_len, s->size);
}

int scan_finish(const struct scan_file *s, const struct scan_part *all,
		struct dataset_file *f, struct err *err)
{
	unsigned long long at = all->end, n = all->tally.packets;

	if (all->number)
		return err_sys(err, all->number,
			       "%s cannot be read at byte "
			       "%llu",
			       s->path, at);
	describe(s, f);
	f->format = "pcap";
	f->linktype = s->pcap.linktype;
	f->known_linktype = true;
	f->nanoseconds = !s->pcap.micro;
	f->snaplen = s->pcap.snaplen;
	f->tally = all->tally;
	if (all->too_long)
		f->damage = mem_format("%s cannot be read on from byte %llu: "
				       "%s; the %llu packets before it were "
				       "read",
				       s->path, at, all->why, n);
	else if (all->why)
		f->damage = mem_format("%s is damaged at byte %llu: %s; the "
				       "%llu packets before it were read",
				       s->path, at, all->why, n);
	return 0;
}

/* -- everything else ------------------------------------------------------ */

static void on_item(void *arg, const struct pcapstream_item *item)
{
	struct dataset_file *f = arg;

	if (item->kind != PCAPSTREAM_INTERFACE)
		return;
	if (!f->known_linktype) {
		f->linktype = item->from.linktype;
		f->snaplen = item->from.snaplen;
	}
	f->mixed_linktypes |=
		f->known_linktype && f->linktype != item->from.linktype;
	f->known_linktype = true;
	if (item->from.resolution > 6 && item->from.resolution != 128 + 6)
		f->nanoseconds = true;
	if (item->from.snaplen > f->snaplen)
		f->snaplen = item->from.snaplen;
}

static const char *packing_name(const char *name)
{
	static const char *const names[] = { "gzip", "zstd", "lz4" };

	for (size_t i = 0; name && i < sizeof(names) / sizeof(*names); i++)
		if (strcmp(names[i], name) == 0)
			return names[i];
	return NULL;
}

static void add_done(atomic_uint_fast64_t *done, uint64_t *before, uint64_t now)
{
	atomic_fetch_add_explicit(done, now - *before, memory_order_relaxed);
	*before = now;
}

static int read_all(struct capfile *c, struct dataset_file *f,
		    atomic_uint_fast64_t *done, struct err *err)
{
	struct capfile_packet p;
	uint64_t passed = 0;
	int rc;

	while ((rc = capfile_next(c, &p, err)) == 0) {
		tally_add(&f->tally, p.packet.time_ns,
			  (uint32_t)p.packet.data.len, p.packet.wire_len);
		if (f->tally.packets % 1024 == 0)
			add_done(done, &passed, capfile_position(c));
	}
	add_done(done, &passed, capfile_position(c));
	return rc;
}

/* What begins like a capture is described up to where it breaks. */
static int read_by_capfile(struct scan_file *s, struct dataset_file *f,
			   atomic_uint_fast64_t *done, struct err *err)
{
	int fd = fcntl(s->fd, F_DUPFD_CLOEXEC, 3), rc;
	struct capfile *c;

	if (fd < 0)
		return err_sys(err, errno, "%s cannot be opened", s->path);
	c = capfile_open_fd(fd, s->path);
	capfile_on_item(c, on_item, f);
	rc = read_all(c, f, done, err);
	f->format = capfile_format(c) == PCAPSTREAM_PCAPNG ? "pcapng" : "pcap";
	f->packed = packing_name(capfile_packed_with(c));
	if (rc == ERR_END && capfile_warning(c))
		f->damage = mem_text(capfile_warning(c));
	else if (rc < 0 && rc != ERR_END && rc != ERR_FAILED &&
		 capfile_format(c) != PCAPSTREAM_UNKNOWN)
		f->damage = mem_text(err->text);
	else if (rc != ERR_END)
		f->format = NULL;
	capfile_close(c);
	if (!f->format)
		return rc;
	*err = ERR_NONE;
	describe(s, f);
	return 0;
}

int scan_whole(struct scan_file *s, struct dataset_file *f,
	       atomic_uint_fast64_t *done, struct err *err)
{
	struct scan_part all = { .from = PCAP_HEADER, .to = s->size };

	*f = (struct dataset_file){ 0 };
	if (!s->hops)
		return read_by_capfile(s, f, done, err);
	scan_hop(s, &all, done);
	return scan_finish(s, &all, f, err);
}

bool dataset_fresh(const struct dataset_file *f, bool digest, struct err *err)
{
	struct scan_file *s = scan_open(f->path, err);
	struct dataset_file now = { 0 };
	bool same = true;

	if (!s)
		return false;
	describe(s, &now);
	if (f->bytes && f->bytes != now.bytes) {
		err_set(err, ERR_GONE,
			"%s has changed since it was mapped: it had %llu bytes "
			"and has %llu",
			f->path, (unsigned long long)f->bytes,
			(unsigned long long)now.bytes);
		same = false;
	} else if (f->mtime_ns && f->mtime_ns != now.mtime_ns) {
		err_set(err, ERR_GONE, "%s was written to since it was mapped",
			f->path);
		same = false;
	} else if (digest && f->digest && f->digest != now.digest) {
		err_set(err, ERR_GONE,
			"%s has another content than when it was mapped",
			f->path);
		same = false;
	}
	dataset_file_release(&now);
	scan_close(s);
	return same;
}
