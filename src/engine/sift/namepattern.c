/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sift/namepattern.h"

#include <string.h>

#include "base/err.h"

int name_pattern_check(const char *pattern, struct err *err)
{
	int threads = 0, times = 0;

	for (const char *p = pattern; (p = strchr(p, '%')); p += 2) {
		if (p[1] == 'n' || p[1] == 'i')
			threads++;
		else if (p[1] == 't')
			times++;
		else
			return err_set(err, ERR_USAGE,
				       "--file-format knows %%n, %%i and %%t, "
				       "not \"%.2s\"",
				       p);
	}
	if (threads > 1 || times != 1 || strchr(pattern, '/'))
		return err_set(err, ERR_USAGE,
			       "--file-format is the name of a file with %%t "
			       "once and %%n or %%i at most once, such as "
			       "pcap.%%n.%%t, not \"%s\"",
			       pattern);
	return 0;
}

static bool take_number(const char **name, uint64_t *v)
{
	const char *p = *name;

	for (*v = 0; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(*v, 10u, v) ||
		    __builtin_add_overflow(*v, (unsigned)(*p - '0'), v))
			return false;
	if (p == *name)
		return false;
	*name = p;
	return true;
}

bool name_pattern_match(const char *pattern, const char *name,
			struct name_parts *parts)
{
	*parts = (struct name_parts){ 0 };
	for (; *pattern; pattern++) {
		if (*pattern != '%') {
			if (*name++ != *pattern)
				return false;
			continue;
		}
		pattern++;
		if (*pattern == 't') {
			parts->has_time = true;
			if (!take_number(&name, &parts->time_s))
				return false;
		} else {
			parts->has_thread = true;
			if (!take_number(&name, &parts->thread))
				return false;
		}
	}
	return *name == '\0';
}
