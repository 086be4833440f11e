/* SPDX-License-Identifier: Apache-2.0 */
/*
 * patterns.c - the patterns of new streams, handed from any thread to shards.
 *
 * A shard looks at one number for each new stream, and takes the lock only
 * when that has changed.
 */
#include "engine/analyze/analyze_priv.h"

#include "engine/match/match.h"

void patterns_init(struct patterns *p, struct match_set *set, uint64_t version)
{
	pthread_mutex_init(&p->lock, NULL);
	if (set)
		match_set_get(set);
	p->set = set;
	p->version = version;
	atomic_init(&p->changes, 1);
}

void patterns_release(struct patterns *p)
{
	match_set_put(p->set);
	pthread_mutex_destroy(&p->lock);
}

void patterns_set(struct patterns *p, struct match_set *set, uint64_t version)
{
	struct match_set *was;

	if (set)
		match_set_get(set);
	pthread_mutex_lock(&p->lock);
	was = p->set;
	p->set = set;
	p->version = version;
	atomic_fetch_add(&p->changes, 1);
	pthread_mutex_unlock(&p->lock);
	match_set_put(was);
}

struct match_set *patterns_get(struct patterns *p, uint64_t *version,
			       uint64_t *changes)
{
	struct match_set *set;

	pthread_mutex_lock(&p->lock);
	set = p->set;
	if (set)
		match_set_get(set);
	*version = p->version;
	*changes = atomic_load(&p->changes);
	pthread_mutex_unlock(&p->lock);
	return set;
}
