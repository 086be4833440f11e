/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/channel.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"

struct channel {
	pthread_mutex_t lock;
	pthread_cond_t came, went;
	unsigned room, first, n;
	bool closed;
	void *items[];
};

struct channel *channel_new(unsigned room)
{
	struct channel *c = mem_alloc(sizeof(*c) + room * sizeof(*c->items));
	pthread_condattr_t clock;

	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&c->came, &clock);
	pthread_cond_init(&c->went, &clock);
	pthread_condattr_destroy(&clock);
	c->room = room;
	return c;
}

void channel_free(struct channel *c)
{
	if (!c)
		return;
	pthread_cond_destroy(&c->came);
	pthread_cond_destroy(&c->went);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

bool channel_send(struct channel *c, void *item, bool wait)
{
	bool sent;

	pthread_mutex_lock(&c->lock);
	while (wait && c->n == c->room && !c->closed)
		pthread_cond_wait(&c->went, &c->lock);
	sent = c->n < c->room && !c->closed;
	if (sent) {
		c->items[(c->first + c->n) % c->room] = item;
		c->n++;
		pthread_cond_signal(&c->came);
	}
	pthread_mutex_unlock(&c->lock);
	return sent;
}

static struct timespec in_ms(int ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += (long)(ms % 1000) * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_nsec -= 1000000000;
		t.tv_sec++;
	}
	return t;
}

/* Until an item is there, the end, or the time is over. */
static void wait_for_one(struct channel *c, int timeout_ms)
{
	struct timespec end;

	if (timeout_ms < 0) {
		while (c->n == 0 && !c->closed)
			pthread_cond_wait(&c->came, &c->lock);
		return;
	}
	end = in_ms(timeout_ms);
	while (c->n == 0 && !c->closed)
		if (pthread_cond_timedwait(&c->came, &c->lock, &end) ==
		    ETIMEDOUT)
			return;
}

void *channel_receive(struct channel *c, int timeout_ms)
{
	void *item = NULL;

	pthread_mutex_lock(&c->lock);
	if (c->n == 0 && timeout_ms)
		wait_for_one(c, timeout_ms);
	if (c->n) {
		item = c->items[c->first];
		c->first = (c->first + 1) % c->room;
		c->n--;
		pthread_cond_signal(&c->went);
	}
	pthread_mutex_unlock(&c->lock);
	return item;
}

void channel_close(struct channel *c)
{
	pthread_mutex_lock(&c->lock);
	c->closed = true;
	pthread_cond_broadcast(&c->came);
	pthread_cond_broadcast(&c->went);
	pthread_mutex_unlock(&c->lock);
}

bool channel_over(struct channel *c)
{
	bool over;

	pthread_mutex_lock(&c->lock);
	over = c->closed && c->n == 0;
	pthread_mutex_unlock(&c->lock);
	return over;
}

unsigned channel_length(struct channel *c)
{
	unsigned n;

	pthread_mutex_lock(&c->lock);
	n = c->n;
	pthread_mutex_unlock(&c->lock);
	return n;
}
