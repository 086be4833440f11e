/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/feed/names.h"

#include <netdb.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "sys/sys.h"

enum { STOP_NS = 50000000 }; /* for a thread that is not in the resolver */

struct question {
	char peer[SYS_PEER_MAX];
	uint64_t asked_ns;
};

/* Two own it: the thread and who started it.  The last one frees it. */
struct names {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct question queue[NAMES_QUEUE];
	unsigned begin, n; /* under lock, as is all below */
	bool stop;
	int owners;
};

static uint64_t now_ns(void)
{
	return sys_host()->mono_ns(sys_host());
}

static void let_go(struct names *n)
{
	bool last;

	pthread_mutex_lock(&n->lock);
	last = --n->owners == 0;
	pthread_mutex_unlock(&n->lock);
	if (!last)
		return;
	pthread_cond_destroy(&n->more);
	pthread_mutex_destroy(&n->lock);
	free(n);
}

/* "10.0.0.7:80" or "[::1]:80" as the resolver wants it. */
static bool to_address(const char *peer, struct sockaddr_storage *at,
		       socklen_t *len)
{
	const struct addrinfo want = { .ai_flags =
					       AI_NUMERICHOST | AI_NUMERICSERV,
				       .ai_socktype = SOCK_STREAM };
	struct addrinfo *list;
	char host[SYS_PEER_MAX];
	const char *colon = strrchr(peer, ':');
	size_t skip = peer[0] == '[';

	if (!colon || (size_t)(colon - peer) < 2 * skip + 1)
		return false;
	memcpy(host, peer + skip, (size_t)(colon - peer) - 2 * skip);
	host[(size_t)(colon - peer) - 2 * skip] = 0;
	if (getaddrinfo(host, NULL, &want, &list) != 0)
		return false;
	memcpy(at, list->ai_addr, list->ai_addrlen);
	*len = list->ai_addrlen;
	freeaddrinfo(list);
	return true;
}

static void answer(const struct question *q)
{
	struct sockaddr_storage at;
	socklen_t len;
	char name[NI_MAXHOST];

	if (now_ns() - q->asked_ns > NAMES_LATE_NS ||
	    !to_address(q->peer, &at, &len) ||
	    getnameinfo((struct sockaddr *)&at, len, name, sizeof(name), NULL,
			0, NI_NAMEREQD) != 0)
		return;
	log_info("feed", "client %s is %s", q->peer, name);
}

static void *work(void *arg)
{
	struct names *n = arg;

	pthread_mutex_lock(&n->lock);
	while (!n->stop) {
		struct question q;

		if (n->n == 0) {
			pthread_cond_wait(&n->more, &n->lock);
			continue;
		}
		q = n->queue[n->begin];
		n->begin = (n->begin + 1) % NAMES_QUEUE;
		n->n--;
		pthread_mutex_unlock(&n->lock);
		answer(&q);
		pthread_mutex_lock(&n->lock);
	}
	pthread_mutex_unlock(&n->lock);
	let_go(n);
	return NULL;
}

struct names *names_start(void)
{
	struct names *n = mem_alloc(sizeof(*n));

	pthread_mutex_init(&n->lock, NULL);
	pthread_cond_init(&n->more, NULL);
	n->owners = 2;
	if (pthread_create(&n->thread, NULL, work, n) == 0)
		return n;
	n->owners = 1;
	let_go(n);
	return NULL;
}

void names_stop(struct names *n)
{
	struct timespec until;

	if (!n)
		return;
	pthread_mutex_lock(&n->lock);
	n->stop = true;
	pthread_cond_signal(&n->more);
	pthread_mutex_unlock(&n->lock);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += STOP_NS;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	if (pthread_timedjoin_np(n->thread, NULL, &until) != 0)
		pthread_detach(n->thread);
	let_go(n);
}

void names_ask(struct names *n, const char *peer)
{
	struct question *q;

	if (!n)
		return;
	pthread_mutex_lock(&n->lock);
	if (n->n < NAMES_QUEUE) {
		q = &n->queue[(n->begin + n->n++) % NAMES_QUEUE];
		strcpy(q->peer, peer);
		q->asked_ns = now_ns();
		pthread_cond_signal(&n->more);
	}
	pthread_mutex_unlock(&n->lock);
}
