/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/analyze_input_priv.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "base/buf.h"
#include "base/mem.h"
#include "codec/expression.h"
#include "engine/analyze/output.h"

bool input_stopped(const struct input *in)
{
	return atomic_load(&in->stop) ||
	       (in->cfg.output && output_failed(in->cfg.output));
}

bool input_wait(const struct input *in, int fd, int ms)
{
	struct pollfd fds[2] = { { .fd = in->halt, .events = POLLIN },
				 { .fd = fd, .events = POLLIN } };

	poll(fds, fd < 0 ? 1 : 2, ms);
	return !input_stopped(in);
}

/* -- who a source is
 * ------------------------------------------------------------- */

/*
 * Microseconds, since a feed or an old file has no more.  Only the start of
 * each packet, so that a cut copy is still the same source.
 */
static void put_identity(struct buf *b, const struct packet *p)
{
	size_t n = p->data.len < 64 ? p->data.len : 64;

	put_le64(b, p->time_ns / 1000);
	put_le32(b, p->wire_len);
	put_le32(b, (uint32_t)n);
	put_bytes(b, bytes_of(p->data.p, n));
}

static bool is_known(const struct input *in, const uint8_t *origin)
{
	for (int i = 0; i < in->n_origins; i++)
		if (memcmp(in->origins[i], origin, ORIGIN_SIZE) == 0)
			return true;
	return false;
}

static void digest(uint8_t out[ORIGIN_SIZE], struct bytes in)
{
	uint8_t sum[EVP_MAX_MD_SIZE];

	EVP_Digest(in.p, in.len, sum, NULL, EVP_sha256(), NULL);
	memcpy(out, sum, ORIGIN_SIZE);
}

const struct stream_source *input_source(struct input *in, const char *name,
					 const struct packet *p, int n)
{
	struct stream_source s = { 0 };
	struct buf b = { 0 };

	snprintf(s.name, sizeof(s.name), "%s", name);
	if (in->cfg.identity)
		put_text(&b, in->cfg.identity);
	for (int i = 0; !in->cfg.identity && i < n; i++)
		put_identity(&b, &p[i]);
	put_u8(&b, 0);
	for (digest(s.origin, buf_bytes(&b)); is_known(in, s.origin);
	     digest(s.origin, buf_bytes(&b)))
		b.p[b.len - 1]++;
	buf_release(&b);
	in->origins = mem_grow(in->origins,
			       (size_t)(in->n_origins + 1) * ORIGIN_SIZE);
	memcpy(in->origins[in->n_origins++], s.origin, ORIGIN_SIZE);
	return analyze_source(in->cfg.analyze, &s);
}

/* -- packets
 * ------------------------------------------------------------------------ */

static int need_expression(struct input *in, uint32_t linktype, struct err *err)
{
	if (in->expression && in->expression_type == linktype)
		return 0;
	expression_free(in->expression);
	in->expression = expression_new(in->cfg.expression, linktype, err);
	in->expression_type = linktype;
	return in->expression ? 0 : err->code;
}

/* Runs of packets that pass keep their indices. */
static void give_filtered(struct input *in, const struct stream_source *source,
			  uint32_t linktype, const struct packet *p, int n,
			  uint64_t index)
{
	int from = 0;

	for (int i = 0; i <= n; i++) {
		if (i < n && expression_matches(in->expression, &p[i]))
			continue;
		if (i > from)
			analyze_packets(in->cfg.analyze, source, linktype,
					p + from, i - from,
					index + (uint64_t)from);
		in->taken += (uint64_t)(i - from);
		if (i < n)
			atomic_fetch_add(&in->filtered, 1);
		from = i + 1;
	}
}

int input_give(struct input *in, const struct stream_source *source,
	       uint32_t linktype, const struct packet *p, int n, uint64_t index,
	       struct err *err)
{
	uint64_t left = in->cfg.packets_max - in->taken;

	if (in->cfg.expression && need_expression(in, linktype, err) < 0)
		return err->code;
	if (in->cfg.packets_max && (uint64_t)n > left)
		n = (int)left;
	atomic_fetch_add(&in->received, (uint64_t)n);
	if (in->cfg.expression) {
		give_filtered(in, source, linktype, p, n, index);
	} else {
		analyze_packets(in->cfg.analyze, source, linktype, p, n, index);
		in->taken += (uint64_t)n;
	}
	if (in->cfg.packets_max && in->taken >= in->cfg.packets_max)
		atomic_store(&in->stop, true);
	return 0;
}

/* -- the thread
 * ------------------------------------------------------------------------ */

static int (*reader_of(const struct input_config *cfg))(struct input *,
							struct err *)
{
	if (cfg->iface)
		return input_read_interface;
	if (cfg->from)
		return input_read_feed;
	if (cfg->listen)
		return input_read_pushed;
	return cfg->spool ? input_read_spool : input_read_files;
}

static void *work(void *arg)
{
	struct input *in = arg;

	reader_of (&in->cfg)(in, &in->failure);
	in->cfg.ended(in->cfg.arg);
	return NULL;
}

/* Before the thread, so that whoever starts us knows the address. */
static int listen_for_sensors(struct input *in, struct err *err)
{
	struct sys *sys = sys_host();
	int rc = sys->listen(sys, in->cfg.listen);

	if (rc < 0)
		return err_sys(err, -rc, "cannot listen on %s", in->cfg.listen);
	in->listener = rc;
	sys->bound(sys, rc, in->address);
	return 0;
}

static void free_input(struct input *in)
{
	struct sys *sys = sys_host();

	if (in->listener >= 0)
		sys->hang_up(sys, in->listener);
	if (in->halt >= 0)
		close(in->halt);
	expression_free(in->expression);
	free(in->origins);
	free(in);
}

struct input *input_start(const struct input_config *cfg, struct err *err)
{
	struct input *in = mem_alloc(sizeof(*in));
	int rc;

	in->cfg = *cfg;
	in->listener = -1;
	in->halt = eventfd(0, EFD_CLOEXEC);
	if (in->halt < 0) {
		err_sys(err, errno, "cannot make an eventfd");
		goto failed;
	}
	if (cfg->listen && listen_for_sensors(in, err) < 0)
		goto failed;
	rc = pthread_create(&in->thread, NULL, work, in);
	if (rc == 0) {
		pthread_setname_np(in->thread, "read");
		return in;
	}
	err_sys(err, rc, "cannot start the reading thread");
failed:
	free_input(in);
	return NULL;
}

void input_status(struct input *in, struct input_status *s)
{
	s->received = atomic_load(&in->received);
	s->filtered = atomic_load(&in->filtered);
	s->dropped_kernel = atomic_load(&in->dropped_kernel);
	s->dropped_interface = atomic_load(&in->dropped_interface);
	s->position = atomic_load(&in->position);
	s->size = atomic_load(&in->size);
}

const char *input_address(const struct input *in)
{
	return in->listener >= 0 ? in->address : NULL;
}

int input_stop(struct input *in, struct err *err)
{
	uint64_t one = 1;
	int rc;

	if (!in)
		return 0;
	atomic_store(&in->stop, true);
	(void)!write(in->halt, &one, sizeof(one));
	pthread_join(in->thread, NULL);
	rc = in->failure.code;
	if (rc < 0)
		*err = in->failure;
	free_input(in);
	return rc;
}
