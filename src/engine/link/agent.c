/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent.c - what both protocols of the serving end have in common: handshake,
 * time limits, taking turns.
 */
#include "engine/link/agent_priv.h"

#include <assert.h>
#include <openssl/evp.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/hex.h"
#include "sys/sys.h"

/* Without a descriptor that tells of growth, and for the first segment. */
static const uint64_t poll_every_ns = 50000000;

enum {
	/* Smaller ones are not worth a zstd frame. */
	PACK_MIN = 256,
	SAMPLE = 4 << 10,
	SAMPLE_FROM = 8 * SAMPLE
};

void link_fingerprint(char out[LINK_FINGERPRINT + 1],
		      const uint8_t key[NOISE_KEY])
{
	uint8_t hash[EVP_MAX_MD_SIZE];

	if (!EVP_Digest(key, NOISE_KEY, hash, NULL, EVP_sha256(), NULL))
		assert(!"SHA-256 is there");
	hex_of(out, bytes_of(hash, LINK_FINGERPRINT / 2));
}

/* -- what the handshake asks --------------------------------------------- */

static bool on_allowed(void *arg, const uint8_t key[NOISE_KEY])
{
	const struct link_agent *a = arg;
	bool found = false;

	/* All of them, so that the time tells nothing about the list. */
	for (int i = 0; i < a->cfg.n_collectors; i++)
		found |= noise_key_equal(key, a->cfg.collectors[i]);
	return found;
}

static bool on_answer(void *arg, struct bytes hello, struct buf *answer)
{
	struct link_agent *a = arg;
	struct weirlink_hello h, ours = { .low = WEIRLINK_VERSION,
					  .high = WEIRLINK_VERSION,
					  .features = WEIRLINK_KEYLINES };

	if (a->cfg.only_ipcap || weirlink_hello_parse(hello, &h) < 0)
		return false;
	if (a->cfg.compress)
		ours.features |= WEIRLINK_ZSTD;
	ours.features &= h.features;
	a->weir = true;
	a->zstd = ours.features & WEIRLINK_ZSTD;
	put_weirlink_hello(answer, &ours);
	return true;
}

/* -- the end ------------------------------------------------------------- */

static int take(struct link_end *e, struct bytes in, uint64_t now_ns,
		struct err *err);
static int work(struct link_end *e, uint64_t now_ns, struct err *err);
static uint64_t deadline(const struct link_end *e);
static bool hungry(const struct link_end *e);

static const struct link_end_calls calls = { take, work, deadline, hungry };

struct link_agent *link_agent_new(const struct link_agent_config *cfg,
				  uint64_t now_ns)
{
	struct link_agent *a = mem_alloc(sizeof(*a));
	const struct link_wire_asks asks = { on_allowed, on_answer, a };
	uint8_t e_secret[NOISE_KEY];

	assert(cfg->n_sources > 0 && cfg->n_sources <= LINK_SOURCES_MAX);
	a->cfg = *cfg;
	a->end = (struct link_end){ .calls = &calls, .wire = &a->wire };
	cfg->sys->random(cfg->sys, e_secret, sizeof(e_secret));
	link_wire_answer(&a->wire, cfg->key, e_secret, &asks);
	mem_wipe(e_secret, sizeof(e_secret));
	for (int i = 0; i < cfg->n_sources; i++)
		a->sources[i].is = &cfg->sources[i];
	a->began_ns = a->heard_ns = a->beat_ns = a->poll_ns = now_ns;
	a->squeezed_ns = now_ns;
	if (cfg->compress && !cfg->level)
		squeeze_init(&a->squeeze);
	return a;
}

void link_agent_free(struct link_agent *a)
{
	if (!a)
		return;
	for (int i = 0; i < a->cfg.n_sources; i++) {
		spool_reader_close(a->sources[i].reader);
		free(a->sources[i].entries);
	}
	buf_release(&a->ipcap.pending);
	buf_release(&a->load);
	buf_release(&a->batch);
	buf_release(&a->packed);
	zframe_release(&a->z);
	link_wire_release(&a->wire);
	mem_wipe(a, sizeof(*a));
	free(a);
}

struct link_end *link_agent_end(struct link_agent *a)
{
	return &a->end;
}

bool link_agent_live(const struct link_agent *a)
{
	return a->wire.proven;
}

const uint8_t *link_agent_peer(const struct link_agent *a)
{
	return a->wire.peer;
}

const char *link_agent_protocol(const struct link_agent *a)
{
	return a->weir ? "weir" : "ipcap";
}

const char *link_agent_compression(const struct link_agent *a)
{
	return a->cfg.level ? "fixed" : squeeze_name(&a->squeeze);
}

int link_agent_fd(const struct link_agent *a, int i)
{
	struct spool_reader *r = a->sources[i].reader;

	return r ? spool_reader_fd(r) : -1;
}

/* -- for the protocols --------------------------------------------------- */

struct agent_source *agent_source_find(struct link_agent *a, uint16_t id)
{
	for (int i = 0; i < a->cfg.n_sources; i++)
		if (a->sources[i].is->id == id)
			return &a->sources[i];
	return NULL;
}

int agent_source_open(struct link_agent *a, struct agent_source *s,
		      struct err *err)
{
	s->wanted = true;
	if (!s->reader)
		s->reader = spool_reader_open(a->cfg.sys, s->is->dir, err);
	return s->reader ? 0 : err->code;
}

int agent_close_record(struct link_agent *a, size_t enough, struct err *err)
{
	if (a->wire.plain.len < enough)
		return 0;
	return link_wire_flush(&a->wire, a->now_ns, err);
}

/* What a sample of a long run does not lose, the run will not either. */
static bool shrinks(struct link_agent *a, struct bytes records)
{
	size_t room = a->packed.len;
	struct bytes sample;
	bool yes;

	if (records.len < SAMPLE_FROM)
		return true;
	sample = bytes_of(records.p + (records.len - SAMPLE) / 2, SAMPLE);
	zframe_pack(&a->z, sample, &a->packed);
	yes = a->packed.len - room < SAMPLE - SAMPLE / 20;
	a->packed.len = room;
	return yes;
}

bool agent_pack(struct link_agent *a, struct bytes records, struct buf *out)
{
	size_t begun = out->len;

	if (!a->cfg.compress || records.len < PACK_MIN)
		return false;
	if (!a->cfg.level && a->squeeze.step == SQUEEZE_OFF)
		return false;
	a->z.level = a->cfg.level ? a->cfg.level : squeeze_level(&a->squeeze);
	if (!shrinks(a, records))
		return false;
	zframe_pack(&a->z, records, out);
	if (out->len - begun < records.len - records.len / 20)
		return true;
	out->len = begun;
	return false;
}

void agent_count(struct link_agent *a, uint64_t packets, uint64_t bytes)
{
	a->given += bytes;
	if (!a->cfg.counts)
		return;
	atomic_fetch_add_explicit(&a->cfg.counts->packets, packets,
				  memory_order_relaxed);
	atomic_fetch_add_explicit(&a->cfg.counts->bytes, bytes,
				  memory_order_relaxed);
}

struct link_capture_stats agent_stats(struct link_agent *a,
				      const struct agent_source *s)
{
	struct link_capture_stats st = { 0 };

	if (!a->cfg.stats || !a->cfg.stats(a->cfg.arg, s->is, &st))
		st = (struct link_capture_stats){ 0 };
	return st;
}

/* -- the calls ----------------------------------------------------------- */

static void become_live(struct link_agent *a)
{
	a->told_live = true;
	link_fingerprint(a->fingerprint, a->wire.peer);
	if (a->cfg.counts)
		atomic_fetch_add(&a->cfg.counts->sessions, 1);
	if (a->cfg.on_live)
		a->cfg.on_live(a->cfg.arg, a);
}

/*
 * Frames are taken after each record: the next one may be under another key,
 * which an empty record between them announces.
 */
static int take(struct link_end *e, struct bytes in, uint64_t now_ns,
		struct err *err)
{
	struct link_agent *a = (struct link_agent *)e;
	int rc;

	a->now_ns = now_ns;
	link_wire_take(&a->wire, in);
	while ((rc = link_wire_step(&a->wire, err)) == 0) {
		a->heard_ns = now_ns;
		if (!a->wire.proven)
			continue;
		if (!a->told_live)
			become_live(a);
		rc = a->weir ? agent_weir_take(a, err)
			     : agent_ipcap_take(a, err);
		if (rc < 0)
			return rc;
	}
	return rc == ERR_AGAIN ? 0 : rc;
}

/* One number a source and second at most, and only when it has moved. */
static void keep_acks(struct link_agent *a)
{
	if (a->now_ns - a->acked_ns < LINK_BEAT_NS)
		return;
	for (int i = 0; i < a->cfg.n_sources; i++) {
		struct agent_source *s = &a->sources[i];
		struct err why = ERR_NONE;

		if (!s->ack_moved)
			continue;
		s->ack_moved = false;
		a->acked_ns = a->now_ns;
		if (memory_put_ack(a->cfg.sys, s->is->dir, a->fingerprint,
				   s->acked, s->origin, &why) < 0)
			log_debug("link", "%s", why.text);
	}
}

static int check_time(struct link_agent *a, struct err *err)
{
	if (!a->wire.proven && a->now_ns - a->began_ns >= LINK_HANDSHAKE_NS)
		return err_set(err, ERR_AUTH,
			       "no handshake and first record within 10 s");
	/* An ipcap collector says nothing while there is nothing to confirm. */
	if (a->weir && a->now_ns - a->heard_ns >= LINK_SILENCE_NS)
		return err_set(err, ERR_FAILED, "silent for 20 s");
	return 0;
}

static int serve(struct link_agent *a, struct err *err)
{
	int rc = 0;

	if (a->now_ns - a->beat_ns >= LINK_BEAT_NS) {
		/* Steady, but not in a burst after a pause. */
		a->beat_ns += LINK_BEAT_NS;
		if (a->now_ns - a->beat_ns >= LINK_BEAT_NS)
			a->beat_ns = a->now_ns;
		rc = a->weir ? agent_weir_beat(a, err)
			     : agent_ipcap_beat(a, err);
	}
	if (rc == 0)
		rc = a->weir ? agent_weir_give(a, err)
			     : agent_ipcap_give(a, err);
	return rc;
}

/*
 * Where did the time since the last call go?  The clock of the calls stands
 * still within one run of the driver, so what we spend is measured aside.
 */
static void account(struct link_agent *a)
{
	uint64_t passed = a->now_ns - a->squeezed_ns;
	uint64_t ours = a->spent_ns < passed ? a->spent_ns : passed;
	bool left = link_wire_out(&a->wire).len;
	bool other;

	if (!passed)
		return;
	if (a->wanting && !left)
		ours = passed;
	other = squeeze_pass(&a->squeeze, SQUEEZE_BUSY, ours, a->given);
	other |= squeeze_pass(&a->squeeze,
			      a->wanting ? SQUEEZE_BLOCKED : SQUEEZE_IDLE,
			      passed - ours, 0);
	if (other)
		log_debug("link", "compression for collector %.8s: %s",
			  a->fingerprint, squeeze_name(&a->squeeze));
	a->squeezed_ns = a->now_ns;
	a->spent_ns = a->given = 0;
}

static int make_frames(struct link_agent *a, struct err *err)
{
	uint64_t began = a->cfg.sys->mono_ns(a->cfg.sys);
	int rc;

	account(a);
	rc = serve(a, err);
	a->wanting = link_wire_out(&a->wire).len + a->wire.plain.len >=
		     LINK_OUT_HIGH;
	a->spent_ns += a->cfg.sys->mono_ns(a->cfg.sys) - began;
	return rc;
}

static int work(struct link_end *e, uint64_t now_ns, struct err *err)
{
	struct link_agent *a = (struct link_agent *)e;
	int rc;

	a->now_ns = now_ns;
	rc = check_time(a, err);
	if (rc == 0 && a->resumed)
		rc = make_frames(a, err);
	if (a->wire.proven) {
		/* What explains the end goes out too. */
		struct err late = ERR_NONE;
		int flushed = link_wire_flush(&a->wire, now_ns, &late);

		keep_acks(a);
		if (rc == 0 && flushed < 0)
			return err_set(err, flushed, "%s", late.text);
	}
	if (rc == 0 && a->ended)
		return err_set(err, ERR_END, "the collector has left");
	a->poll_ns = now_ns + poll_every_ns;
	return rc;
}

static uint64_t deadline(const struct link_end *e)
{
	const struct link_agent *a = (const struct link_agent *)e;
	uint64_t at;

	if (!a->wire.proven)
		return a->began_ns + LINK_HANDSHAKE_NS;
	at = a->heard_ns + LINK_SILENCE_NS;
	if (a->resumed && a->beat_ns + LINK_BEAT_NS < at)
		at = a->beat_ns + LINK_BEAT_NS;
	if (a->resumed && a->poll_ns < at)
		at = a->poll_ns;
	return at;
}

/* A collector has little to say; the wire's buffers stay small by themselves.
 */
static bool hungry(const struct link_end *e)
{
	(void)e;
	return true;
}
