/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sift/asn.h"

#include <maxminddb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/siphash.h"

enum { KEPT = 4096 };

struct answer {
	struct address address; /* version 0: none */
	uint32_t number;
};

struct asn {
	MMDB_s db;
	struct answer kept[KEPT];
};

struct asn *asn_open(const char *path, struct err *err)
{
	struct asn *a = mem_alloc(sizeof(*a));
	int rc = MMDB_open(path, MMDB_MODE_MMAP, &a->db);

	if (rc == MMDB_SUCCESS)
		return a;
	err_set(err, ERR_FAILED, "%s is no database of AS numbers: %s", path,
		MMDB_strerror(rc));
	free(a);
	return NULL;
}

void asn_close(struct asn *a)
{
	if (!a)
		return;
	MMDB_close(&a->db);
	free(a);
}

static uint32_t look_up(struct asn *a, const struct address *address)
{
	struct sockaddr_in in4 = { .sin_family = AF_INET };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	const struct sockaddr *sa = (const struct sockaddr *)&in4;
	MMDB_entry_data_s data;
	MMDB_lookup_result_s found;
	int rc;

	memcpy(&in4.sin_addr, address->b + 12, 4);
	memcpy(&in6.sin6_addr, address->b, 16);
	if (address->version == 6)
		sa = (const struct sockaddr *)&in6;
	found = MMDB_lookup_sockaddr(&a->db, sa, &rc);
	if (rc != MMDB_SUCCESS || !found.found_entry)
		return 0;
	rc = MMDB_get_value(&found.entry, &data, "autonomous_system_number",
			    NULL);
	if (rc != MMDB_SUCCESS || !data.has_data ||
	    data.type != MMDB_DATA_TYPE_UINT32)
		return 0;
	return data.uint32;
}

uint32_t asn_of(struct asn *a, const struct address *address)
{
	static const struct siphash_key key = { 0, 0 };
	uint64_t h = siphash(&key, bytes_of(address->b, sizeof(address->b)));
	struct answer *k = &a->kept[h % KEPT];

	if (k->address.version != address->version ||
	    memcmp(k->address.b, address->b, sizeof(address->b)) != 0)
		*k = (struct answer){ *address, look_up(a, address) };
	return k->number;
}
