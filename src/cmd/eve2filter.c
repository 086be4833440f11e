/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir eve2filter - a filter for the flow of every alert in an EVE log.
 */
#include "cmd/cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/opt.h"
#include "cmd/common.h"
#include "engine/sift/eve.h"
#include "engine/sift/rules.h"
#include "sys/sys.h"

static const char part[] = "eve2filter";

struct reading {
	struct buf yaml;
	uint64_t *flows; /* owned; an open table of those that have a filter */
	size_t n, cap;
	uint64_t lines, alerts, wrong, untold, long_lines;
};

/* -- which flows there are ------------------------------------------------ */

static size_t place_of(const uint64_t *flows, size_t cap, uint64_t id)
{
	size_t i = (id * UINT64_C(0x9e3779b97f4a7c15)) % cap;

	while (flows[i] && flows[i] != id)
		i = (i + 1) % cap;
	return i;
}

static void grow(struct reading *r)
{
	size_t cap = r->cap ? 2 * r->cap : 1024;
	uint64_t *bigger = mem_array(cap, sizeof(*bigger));

	for (size_t i = 0; i < r->cap; i++)
		if (r->flows[i])
			bigger[place_of(bigger, cap, r->flows[i])] =
				r->flows[i];
	free(r->flows);
	r->flows = bigger;
	r->cap = cap;
}

static bool is_new(struct reading *r, uint64_t id)
{
	size_t i;

	if (r->n * 2 >= r->cap)
		grow(r);
	i = place_of(r->flows, r->cap, id);
	if (r->flows[i])
		return false;
	r->flows[i] = id;
	r->n++;
	return true;
}

/* -- filters -------------------------------------------------------------- */

static const char *port_suffix(uint8_t protocol)
{
	return protocol == IP_TCP    ? "tcp"
	       : protocol == IP_UDP  ? "udp"
	       : protocol == IP_SCTP ? "sctp"
				     : NULL;
}

static void put_condition(struct buf *b, const char *kind, const char *match)
{
	put_format(b, "    - kind: %s\n      match:\n        - \"%s\"\n", kind,
		   match);
}

static void put_subnet(struct buf *b, const struct address *a)
{
	char text[ADDRESS_TEXT], net[ADDRESS_TEXT + 8];

	snprintf(net, sizeof(net), "%s/%d", address_text(text, a),
		 a->version == 4 ? 32 : 128);
	put_condition(b, "subnet", net);
}

/*
 * With equal ports or addresses "either end is" is too little: the exact flow,
 * in tcpdump's words.
 */
static void put_exact(struct buf *b, const struct eve_flow *f)
{
	char src[ADDRESS_TEXT], dst[ADDRESS_TEXT], text[512];
	unsigned sp = f->src_port, dp = f->dst_port;

	address_text(src, &f->src);
	address_text(dst, &f->dst);
	snprintf(text, sizeof(text),
		 "(src host %s and src port %u and dst host %s and dst port "
		 "%u) or (src host %s and src port %u and dst host %s and dst "
		 "port %u)",
		 src, sp, dst, dp, dst, dp, src, sp);
	put_condition(b, "raw", text);
}

static void put_filter(struct buf *b, const struct eve_event *e)
{
	const struct eve_flow *f = &e->flow;
	const char *suffix = port_suffix(f->protocol);
	char port[32];

	if (e->tunnel_depth)
		put_text(b, "# inside a tunnel: weir filter --decap\n");
	put_format(b, "\"%llu\":\n  conditions:\n",
		   (unsigned long long)e->flow_id);
	put_subnet(b, &f->src);
	put_subnet(b, &f->dst);
	if (suffix) {
		snprintf(port, sizeof(port), "%u/%s", f->src_port, suffix);
		put_condition(b, "port", port);
		snprintf(port, sizeof(port), "%u/%s", f->dst_port, suffix);
		put_condition(b, "port", port);
		if (f->src_port == f->dst_port ||
		    memcmp(&f->src, &f->dst, sizeof(f->src)) == 0)
			put_exact(b, f);
	} else if (f->protocol) {
		snprintf(port, sizeof(port), "%s proto %u",
			 f->src.version == 4 ? "ip" : "ip6", f->protocol);
		put_condition(b, "raw", port);
	}
}

static int take_line(struct reading *r, struct bytes line, struct err *err)
{
	struct eve_event e;

	r->lines++;
	if (line.len == 0)
		return 0;
	if (eve_parse(line, &e) < 0) {
		if (r->wrong++ == 0)
			log_warn(part,
				 "line %llu is no event that is "
				 "understood",
				 (unsigned long long)r->lines);
		return 0;
	}
	if (strcmp(e.type, "alert") != 0)
		return 0;
	r->alerts++;
	if (!e.flow_id || !e.flow.src.version || !e.flow.dst.version) {
		r->untold++;
		return 0;
	}
	if (r->n == RULES_MAX)
		return err_set(err, ERR_LIMIT,
			       "line %llu: alerts of over %d flows; cut the "
			       "log into parts",
			       (unsigned long long)r->lines, RULES_MAX);
	if (is_new(r, e.flow_id))
		put_filter(&r->yaml, &e);
	return 0;
}

/* -- lines ---------------------------------------------------------------- */

/* Take all whole lines out of the buffer; a line over the bound is skipped. */
static int take_lines(struct reading *r, struct buf *b, bool end, bool *skip,
		      struct err *err)
{
	size_t at = 0;

	while (at < b->len) {
		const uint8_t *from = b->p + at;
		const uint8_t *nl = memchr(from, '\n', b->len - at);
		size_t len = nl ? (size_t)(nl - from) : b->len - at;

		if (!nl && !end)
			break;
		if (*skip)
			*skip = false;
		else if (take_line(r, bytes_of(from, len), err) < 0)
			return err->code;
		at += len + (nl != NULL);
	}
	buf_consume(b, at);
	if (b->len > EVE_LINE_MAX) {
		r->long_lines += !*skip;
		*skip = true;
		buf_clear(b);
	}
	return 0;
}

static int read_log(struct reading *r, const char *path, struct err *err)
{
	int fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO)
					: open(path, O_RDONLY | O_CLOEXEC);
	struct buf b = { 0 };
	bool skip = false;
	ssize_t n = 1;

	if (fd < 0)
		return err_sys(err, errno, "%s cannot be opened", path);
	while (n > 0 && !err->code) {
		n = read(fd, buf_reserve(&b, 1 << 20), 1 << 20);
		if (n < 0 && errno == EINTR) {
			n = 1;
			continue;
		}
		if (n < 0)
			err_sys(err, errno, "%s cannot be read", path);
		buf_added(&b, n > 0 ? (size_t)n : 0);
		if (n >= 0)
			take_lines(r, &b, n == 0, &skip, err);
	}
	close(fd);
	buf_release(&b);
	return err->code;
}

static int write_filters(const struct reading *r, const char *path,
			 struct err *err)
{
	int rc;

	if (strcmp(path, "-") == 0) {
		bool whole = fwrite(r->yaml.p, 1, r->yaml.len, stdout) ==
				     r->yaml.len &&
			     fflush(stdout) == 0;

		return whole ? 0
			     : err_sys(err, errno,
				       "standard output cannot be written");
	}
	rc = sys_replace_file(sys_host(), path, r->yaml.p, r->yaml.len);
	return rc < 0 ? err_sys(err, -rc, "%s cannot be written", path) : 0;
}

static int run(const char *eve, const char *filter, struct err *err)
{
	struct reading r = { 0 };

	if (read_log(&r, eve, err) == 0) {
		if (r.wrong || r.untold || r.long_lines)
			log_warn(part,
				 "%llu lines are not understood, %llu are over "
				 "16 MiB, %llu alerts tell no flow",
				 (unsigned long long)r.wrong,
				 (unsigned long long)r.long_lines,
				 (unsigned long long)r.untold);
		if (r.n == 0)
			err_set(err, ERR_FAILED,
				"%s has no alert that tells its flow, in %llu "
				"lines",
				eve, (unsigned long long)r.lines);
		else if (write_filters(&r, filter, err) == 0)
			log_info(part,
				 "%zu filters out of %llu alerts are in %s",
				 r.n, (unsigned long long)r.alerts, filter);
	}
	free(r.flows);
	buf_release(&r.yaml);
	return err->code;
}

static const char about[] =
	"Make a filter for the flow of each alert in Suricata's EVE log.\n"
	"\n"
	"The file is one for weir filter: a filter a flow, named by its "
	"flow_id, that\n"
	"takes the packets of that flow and no others. Several alerts of one "
	"flow\n"
	"make one filter.";

static const char examples[] =
	"  weir eve2filter --path-eve eve.json --path-filter alerts.yaml\n"
	"  weir filter --yaml alerts.yaml --input /data --output flows";

int cmd_eve2filter(int argc, char **argv)
{
	const char *eve = NULL, *filter = "./filter-generated.yaml";
	struct cmd_logs logs = CMD_LOGS_DEFAULT;
	const struct opt opts[] = {
		OPT_TEXT(0, "path-eve", &eve, "FILE",
			 "the log; - is standard input"),
		OPT_TEXT(0, "path-filter", &filter, "FILE",
			 "the filters; - is standard output"),
		CMD_LOGS_OPTIONS(&logs), OPT_END()
	};
	const struct opt_command cmd = { .name = "eve2filter",
					 .synopsis = "--path-eve FILE "
						     "[OPTIONS]",
					 .about = about,
					 .examples = examples,
					 .opts = opts };
	struct opt_args args;
	struct err err = ERR_NONE;
	int status;

	if (!cmd_begin(&cmd, argc, argv, &args, &status) ||
	    !cmd_logs_begin(&cmd, &logs, &status))
		return status;
	if (!eve || !*eve)
		err_set(&err, ERR_USAGE,
			"which log? --path-eve /var/log/suricata/eve.json");
	else
		run(eve, filter, &err);
	return cmd_exit(cmd.name, &err);
}
