/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir extract - the packets of one event's flow out of Suricata's captures.
 *
 * Files are read in the order of their times, from the one that the event
 * names on, and only those of the same thread; it ends when the flow has been
 * silent for its timeout.
 */
#include "cmd/cmd.h"

#include <dirent.h>
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
#include "engine/capfile/capfile.h"
#include "engine/capfile/output.h"
#include "engine/sift/flowpick.h"
#include "engine/sift/namepattern.h"

enum { FILES_MAX = 1 << 20 };

static const char part[] = "extract";

struct options {
	const char *event, *dump, *dir, *format;
	bool skip_bpf;
	uint64_t timeout_ns;
	struct cmd_logs logs;
};

struct file {
	char *path;
	uint64_t time_s, thread;
};

struct extracting {
	const struct options *opt;
	struct eve_event event;
	struct flowpick *pick;
	struct file *files; /* owned */
	size_t n;

	struct capfile_output *out;
	char *out_path; /* while it is written */
	uint32_t linktype;
	bool nanoseconds;
	uint64_t last_ns; /* of the flow; 0: nothing yet */
	uint64_t packets, other_linktype;
	size_t read;
	bool over; /* silent for the timeout */
};

/* -- the event ------------------------------------------------------------ */

static int read_event(struct extracting *x, struct err *err)
{
	const char *path = x->opt->event;
	int fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO)
					: open(path, O_RDONLY | O_CLOEXEC);
	struct buf b = { 0 };
	ssize_t n = 1;

	if (fd < 0)
		return err_sys(err, errno, "%s cannot be opened", path);
	while ((n > 0 || (n < 0 && errno == EINTR)) && b.len <= EVE_LINE_MAX) {
		n = read(fd, buf_reserve(&b, 1 << 16), 1 << 16);
		buf_added(&b, n > 0 ? (size_t)n : 0);
	}
	close(fd);
	if (n < 0)
		err_sys(err, errno, "%s cannot be read", path);
	else if (b.len > EVE_LINE_MAX ||
		 eve_parse(buf_bytes(&b), &x->event) < 0)
		err_set(err, ERR_MALFORMED,
			"%s is not one event of an EVE log, as JSON", path);
	buf_release(&b);
	return err->code;
}

/* -- which files ---------------------------------------------------------- */

static int by_time(const void *a, const void *b)
{
	const struct file *x = a, *y = b;

	if (x->time_s != y->time_s)
		return x->time_s < y->time_s ? -1 : 1;
	return strcmp(x->path, y->path);
}

/* Where captures lie: the folder asked for, and what the event adds. */
static char *folder_of(const struct extracting *x)
{
	const char *file = x->event.capture_file;
	const char *slash = strrchr(file, '/');
	const char *dir = x->opt->dir;

	if (!slash)
		return mem_text(dir);
	if (*file == '/')
		return mem_format(
			"%.*s", slash == file ? 1 : (int)(slash - file), file);
	return mem_format("%s/%.*s", dir, (int)(slash - file), file);
}

static bool wanted(const struct extracting *x, const struct name_parts *first,
		   const struct name_parts *p)
{
	if (!*x->event.capture_file)
		return true;
	return (!first->has_thread || p->thread == first->thread) &&
	       p->time_s >= first->time_s;
}

static int list_folder(struct extracting *x, const char *dir,
		       const struct name_parts *first, struct err *err)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	if (!d)
		return err_sys(err, errno, "the folder %s cannot be read", dir);
	while ((e = readdir(d)) && x->n < FILES_MAX) {
		struct name_parts p;

		if (!name_pattern_match(x->opt->format, e->d_name, &p) ||
		    !wanted(x, first, &p))
			continue;
		if ((x->n & (x->n - 1)) == 0)
			x->files =
				mem_grow(x->files, (x->n ? 2 * x->n : 1) *
							   sizeof(*x->files));
		x->files[x->n++] =
			(struct file){ mem_format("%s/%s", dir, e->d_name),
				       p.time_s, p.thread };
	}
	closedir(d);
	if (x->n)
		qsort(x->files, x->n, sizeof(*x->files), by_time);
	return 0;
}

static int find_captures(struct extracting *x, struct err *err)
{
	const char *file = x->event.capture_file;
	const char *slash = strrchr(file, '/');
	struct name_parts first = { 0 };
	char *dir = folder_of(x);

	if (*file && !name_pattern_match(x->opt->format,
					 slash ? slash + 1 : file, &first))
		err_set(err, ERR_USAGE,
			"the event's capture_file %s does not follow "
			"--file-format %s",
			file, x->opt->format);
	else if (list_folder(x, dir, &first, err) == 0 && x->n == 0)
		err_set(err, ERR_FAILED,
			"no file in %s follows --file-format %s%s%s", dir,
			x->opt->format, *file ? " and is not older than " : "",
			file);
	free(dir);
	return err->code;
}

/* -- packets -------------------------------------------------------------- */

static void on_item(void *arg, const struct pcapstream_item *item)
{
	struct extracting *x = arg;

	if (item->kind == PCAPSTREAM_INTERFACE && item->from.resolution != 6)
		x->nanoseconds = true;
}

static int open_output(struct extracting *x, uint32_t linktype, struct err *err)
{
	const struct pcap_head head = { .linktype = linktype,
					.snaplen = PACKET_SNAPLEN,
					.micro = !x->nanoseconds };

	x->linktype = linktype;
	x->out = capfile_output_open(x->out_path, &head, err);
	return x->out ? 0 : err->code;
}

/* 1 when the flow is over, for the next packets come too late. */
static int one_packet(struct extracting *x, const struct capfile_packet *p,
		      struct err *err)
{
	uint64_t ns = p->packet.time_ns;

	if (x->last_ns && ns > x->last_ns &&
	    ns - x->last_ns > x->opt->timeout_ns) {
		x->over = true;
		return 0;
	}
	if (!flowpick_takes(x->pick, p->linktype, &p->packet))
		return 0;
	if (!x->out && open_output(x, p->linktype, err) < 0)
		return err->code;
	if (p->linktype != x->linktype) {
		x->other_linktype++;
		return 0;
	}
	if (ns > x->last_ns)
		x->last_ns = ns;
	x->packets++;
	return capfile_output_put(x->out, &p->packet, 1, err);
}

static int read_capture(struct extracting *x, const struct file *f,
			struct err *err)
{
	struct err why = ERR_NONE;
	struct capfile *c = capfile_open(f->path, &why);
	struct capfile_packet p;
	int rc = c ? 0 : why.code;

	x->read++;
	if (c)
		capfile_on_item(c, on_item, x);
	while (c && !x->over && (rc = capfile_next(c, &p, &why)) == 0)
		if (one_packet(x, &p, err) < 0)
			break;
	if (!err->code && rc < 0 && rc != ERR_END)
		log_warn(part, "%s", why.text);
	else if (c && capfile_warning(c))
		log_warn(part, "%s", capfile_warning(c));
	capfile_close(c);
	return err->code;
}

/* A flow that begins in one file goes on in the next ones of the thread. */
static int read_captures(struct extracting *x, struct err *err)
{
	x->last_ns = *x->event.capture_file ? x->event.time_ns : 0;
	for (size_t i = 0; i < x->n && !x->over && !err->code; i++)
		read_capture(x, &x->files[i], err);
	return err->code;
}

static int keep_output(struct extracting *x, struct err *err)
{
	bool file = strcmp(x->opt->dump, "-") != 0;

	if (capfile_output_close(x->out, err) < 0)
		return err->code;
	x->out = NULL;
	if (file && rename(x->out_path, x->opt->dump) < 0)
		return err_sys(err, errno, "%s cannot be made", x->opt->dump);
	return 0;
}

static int run(const struct options *opt, struct err *err)
{
	struct extracting x = { .opt = opt };

	x.out_path = strcmp(opt->dump, "-") == 0
			     ? mem_text("-")
			     : mem_format("%s.part", opt->dump);
	if (name_pattern_check(opt->format, err) == 0 &&
	    read_event(&x, err) == 0)
		x.pick = flowpick_new(&x.event, err);
	if (x.pick && find_captures(&x, err) == 0)
		read_captures(&x, err);
	if (x.out && !err->code)
		keep_output(&x, err);
	else if (x.out)
		unlink(x.out_path);
	if (!err->code) {
		log_info(part, "%llu packets out of %zu files are in %s",
			 (unsigned long long)x.packets, x.read, opt->dump);
		if (x.packets == 0)
			err_set(err, ERR_FAILED,
				"no packet of the flow is in the %zu files "
				"that were read",
				x.read);
		else if (x.other_linktype)
			log_warn(part,
				 "%llu packets of another link type are "
				 "left out",
				 (unsigned long long)x.other_linktype);
	}
	capfile_output_close(x.out, NULL);
	for (size_t i = 0; i < x.n; i++)
		free(x.files[i].path);
	free(x.files);
	free(x.out_path);
	flowpick_free(x.pick);
	return err->code;
}

static int check(const struct options *opt, struct err *err)
{
	if (!opt->event || !*opt->event)
		return err_set(err, ERR_USAGE,
			       "which event? --event FILE, one JSON object");
	if (!opt->dump || !*opt->dump)
		return err_set(err, ERR_USAGE,
			       "where to? --dump-pcap FILE; - is standard "
			       "output");
	return 0;
}

static const char about[] =
	"Write the packets of one event's flow to a capture file.\n"
	"\n"
	"The event is a JSON object of Suricata's EVE log. Its capture_file is "
	"looked\n"
	"for in --dir-pcap and read first, then the later ones of the same "
	"thread,\n"
	"until the flow has been silent for ten minutes. Without a "
	"capture_file all\n"
	"files that are named so are read. Both directions are taken, "
	"fragments too,\n"
	"and inside tunnels where the event tells of one.";

static const char examples[] =
	"  weir extract --dir-pcap /var/log/suricata --event event.json \\\n"
	"      --dump-pcap event.pcap\n"
	"  weir extract --event event.json --dump-pcap - \\\n"
	"      --file-format log-%n-%t.pcap | tshark -r -";

int cmd_extract(int argc, char **argv)
{
	struct options opt = { .dir = ".",
			       .format = "pcap.%n.%t",
			       .timeout_ns = 600 * UINT64_C(1000000000),
			       .logs = CMD_LOGS_DEFAULT };
	const struct opt opts[] = {
		OPT_TEXT(0, "event", &opt.event, "FILE",
			 "the event; - is standard input"),
		OPT_TEXT(0, "dump-pcap", &opt.dump, "FILE",
			 "where packets go; - is standard output"),
		OPT_TEXT(0, "dir-pcap", &opt.dir, "DIR",
			 "where Suricata's captures lie"),
		OPT_TEXT(0, "file-format", &opt.format, "FORMAT",
			 "how they are named: %n or %i thread, %t time"),
		OPT_DURATION(0, "timeout", &opt.timeout_ns, 1, UINT64_MAX,
			     "so long silent, and the flow is over"),
		OPT_FLAG(0, "skip-bpf", &opt.skip_bpf,
			 "taken for gophercap's sake; packets are always "
			 "decoded"),
		CMD_LOGS_OPTIONS(&opt.logs),
		OPT_END()
	};
	const struct opt_command cmd = { .name = "extract",
					 .synopsis = "--event FILE --dump-pcap "
						     "FILE [OPTIONS]",
					 .about = about,
					 .examples = examples,
					 .opts = opts };
	struct opt_args args;
	struct err err = ERR_NONE;
	int status;

	if (!cmd_begin(&cmd, argc, argv, &args, &status) ||
	    !cmd_logs_begin(&cmd, &opt.logs, &status))
		return status;
	if (check(&opt, &err) == 0)
		run(&opt, &err);
	return cmd_exit(cmd.name, &err);
}
