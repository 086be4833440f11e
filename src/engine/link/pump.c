/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/link/pump.h"

#include <errno.h>

#include "base/err.h"
#include "sys/sys.h"

#include "engine/link/end.h"
#include "engine/link/wire.h"

enum {
	CHUNK = 64 << 10,
	TURN = 2 << 20 /* bytes each way in one run */
};

void link_pump_init(struct link_pump *p, struct sys *sys, int socket,
		    struct link_end *end, uint64_t now_ns)
{
	*p = (struct link_pump){ .sys = sys,
				 .socket = socket,
				 .end = end,
				 .moved_ns = now_ns,
				 .wants_read = true,
				 .deadline_ns = now_ns };
}

static bool try_again(ssize_t rc)
{
	return rc == -EAGAIN || rc == -EWOULDBLOCK || rc == -EINTR;
}

/* 1 when bytes came, 0 when none are there, or the end. */
static int receive(struct link_pump *p, uint64_t now_ns, struct err *err)
{
	uint8_t chunk[CHUNK];
	ssize_t n;
	int rc;

	if (!p->end->calls->hungry(p->end))
		return 0;
	n = p->sys->recv(p->sys, p->socket, chunk, sizeof(chunk));
	if (try_again(n))
		return 0;
	if (n == 0)
		return err_set(err, ERR_FAILED, "the peer has hung up");
	if (n < 0)
		return err_sys(err, (int)-n, "the connection broke");
	p->received += (uint64_t)n;
	rc = p->end->calls->take(p->end, bytes_of(chunk, (size_t)n), now_ns,
				 err);
	return rc < 0 ? rc : 1;
}

/* 1 when all is out, 0 when the socket is full, or the end. */
static int send_out(struct link_pump *p, uint64_t now_ns, struct err *err)
{
	struct bytes out;

	while ((out = link_wire_out(p->end->wire)).len) {
		ssize_t n = p->sys->send(p->sys, p->socket, out.p, out.len);

		if (try_again(n))
			return 0;
		if (n <= 0)
			return err_sys(err, n ? (int)-n : EPIPE,
				       "the connection broke");
		link_wire_sent(p->end->wire, (size_t)n);
		p->moved_ns = now_ns;
		p->sent += (uint64_t)n;
	}
	p->moved_ns = now_ns;
	return 1;
}

int link_pump_run(struct link_pump *p, uint64_t now_ns, struct err *err)
{
	uint64_t received = p->received + TURN, sent = p->sent + TURN;
	uint64_t before;
	int got, out, rc;

	do {
		before = p->sent;
		got = receive(p, now_ns, err);
		if (got < 0)
			return got;
		rc = p->end->calls->work(p->end, now_ns, err);
		out = send_out(p, now_ns, rc < 0 ? NULL : err);
		if (rc < 0)
			return rc;
		if (out < 0)
			return out;
		/* What went out made room: there may be more to give. */
		p->more = got || (out && p->sent != before);
	} while (p->more && p->received < received && p->sent < sent);
	if (!out && now_ns - p->moved_ns >= LINK_WRITE_NS)
		return err_set(err, ERR_FAILED,
			       "the peer takes nothing for 30 s");
	p->wants_read = p->end->calls->hungry(p->end);
	p->wants_write = !out;
	p->deadline_ns = p->end->calls->deadline(p->end);
	if (!out && p->moved_ns + LINK_WRITE_NS < p->deadline_ns)
		p->deadline_ns = p->moved_ns + LINK_WRITE_NS;
	return 0;
}

void link_pump_release(struct link_pump *p)
{
	if (p->socket < 0)
		return;
	(void)send_out(p, p->moved_ns, NULL);
	p->sys->hang_up(p->sys, p->socket);
	p->socket = -1;
}
