/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir recover - what a source's spools hold, and whether it is whole.
 *
 * Looks without touching, also while a writer is at it; mends only when asked.
 * A spool of ipcap is looked at as well, and brought into a source when asked.
 */
#include "cmd/cmd.h"
#include "cmd/recover_ipcap.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/opt.h"
#include "base/text.h"
#include "engine/spool/examine.h"
#include "engine/spool/siblings.h"
#include "sys/sys.h"

struct recover {
	const char *spool_dir, *into;
	uint64_t src_id, snaplen, linktype;
	bool json, repair, verify;

	/* while a spool is looked at */
	struct buf faults; /* as text, or as JSON */
	int percent;	   /* last one shown; -1 none */

	/* of all */
	uint64_t head, oldest, bytes, n_faults;
	unsigned n_spools;
};

/* -- while looking -------------------------------------------------------- */

static void put_json_text(struct buf *b, const char *text)
{
	char escaped[4 * ERR_TEXT];

	text_to_json(escaped, sizeof(escaped), text);
	put_format(b, "\"%s\"", escaped);
}

static void on_fault(void *arg, const struct spool_fault *f)
{
	struct recover *r = arg;
	struct buf *b = &r->faults;

	if (r->json) {
		put_text(b, b->len ? ",{\"file\":" : "{\"file\":");
		put_json_text(b, f->file);
		put_format(b,
			   ",\"offset\":%" PRIu64 ",\"from\":%" PRIu64
			   ",\"to\":%" PRIu64 ",\"what\":",
			   f->offset, f->from, f->to);
		put_json_text(b, f->what);
		put_text(b, "}");
		return;
	}
	put_format(b, "  damaged: %s at offset %" PRIu64, f->file, f->offset);
	if (f->to > f->from)
		put_format(b, ", packets %" PRIu64 " to %" PRIu64, f->from,
			   f->to - 1);
	put_format(b, ": %s\n", f->what);
}

static void on_progress(void *arg, uint64_t done, uint64_t total)
{
	struct recover *r = arg;
	int percent = total ? (int)(100.0 * (double)done / (double)total) : 0;

	if (percent == r->percent || percent > 100)
		return;
	r->percent = percent;
	fprintf(stderr, "\rreading packets: %d %%", percent);
}

static void end_progress(struct recover *r)
{
	if (r->percent >= 0)
		fputs("\r\033[K", stderr);
	r->percent = -1;
}

/* -- telling --------------------------------------------------------------- */

static void print_id(const uint8_t id[SPOOL_ID])
{
	for (int i = 0; i < SPOOL_ID; i++)
		printf("%02x", id[i]);
}

static void print_json(const struct recover *r, const char *dir,
		       const struct spool_report *p)
{
	struct buf name = { 0 };

	put_json_text(&name, dir);
	put_text(&name, ",\"name\":");
	put_json_text(&name, p->identity.name);
	printf("%s{\"dir\":%.*s,\"id\":\"", r->n_spools ? "," : "",
	       (int)name.len, (const char *)name.p);
	print_id(p->identity.id);
	printf("\",\"linktype\":%" PRIu32 ",\"oldest\":%" PRIu64
	       ",\"head\":%" PRIu64 ",\"bytes\":%" PRIu64
	       ",\"segments\":%" PRIu64 ",\"gaps\":%" PRIu64
	       ",\"lost\":%" PRIu64 ",\"dropped\":%" PRIu64
	       ",\"torn_bytes\":%" PRIu64 ",\"written\":%s,\"faults\":[%.*s]}",
	       p->identity.linktype, p->oldest, p->head, p->bytes, p->segments,
	       p->gaps, p->lost, p->dropped, p->torn,
	       p->written ? "true" : "false", (int)r->faults.len,
	       r->faults.p ? (const char *)r->faults.p : "");
	buf_release(&name);
}

static void print_text(const struct recover *r, const char *dir,
		       const struct spool_report *p)
{
	char size[TEXT_SIZE];

	printf("%s%s: id ", dir, p->written ? " (being written)" : "");
	print_id(p->identity.id);
	printf(", name %s, link type %" PRIu32 "\n",
	       p->identity.name[0] ? p->identity.name : "unknown",
	       p->identity.linktype);
	printf("  oldest %" PRIu64 ", head %" PRIu64 ", %" PRIu64
	       " segments, %s\n",
	       p->oldest, p->head, p->segments, text_of_size(size, p->bytes));
	printf("  %" PRIu64 " packets lost before the spool, %" PRIu64
	       " gaps of %" PRIu64 " packets in it\n",
	       p->dropped, p->gaps, p->lost);
	if (p->torn)
		printf("  torn tail of %" PRIu64 " bytes%s\n", p->torn,
		       p->written ? ", being written just now"
				  : "; the next start cuts it");
	printf("%.*s", (int)r->faults.len,
	       r->faults.p ? (const char *)r->faults.p : "");
}

static int one_spool(struct recover *r, const char *dir, struct err *err)
{
	struct spool_examine how = { .verify = r->verify, .arg = r };
	struct spool_report report;
	int rc = 0;

	if (isatty(STDERR_FILENO))
		how.on_progress = on_progress;
	if (r->repair)
		rc = spool_mend(sys_host(), dir, &how, err);
	how.on_fault = on_fault;
	buf_clear(&r->faults);
	if (rc == 0)
		rc = spool_examine(sys_host(), dir, &how, &report, err);
	end_progress(r);
	if (rc == ERR_GONE) { /* begun, and nothing in it yet */
		*err = ERR_NONE;
		return 0;
	}
	if (rc < 0)
		return rc;
	if (r->json)
		print_json(r, dir, &report);
	else
		print_text(r, dir, &report);
	r->head = report.head;
	r->oldest = report.oldest;
	r->bytes += report.bytes;
	r->n_faults += report.faults;
	r->n_spools++;
	return 0;
}

static int all_spools(struct recover *r, const char *source, struct err *err)
{
	struct siblings all;
	int rc = siblings_list(sys_host(), source, &all, err);

	if (rc < 0)
		return rc;
	if (r->json)
		printf("{\"spools\":[");
	for (size_t i = 0; rc == 0 && i < all.n; i++) {
		char *dir = sibling_dir(source, all.at[i]);

		rc = one_spool(r, dir, err);
		free(dir);
	}
	siblings_release(&all);
	if (rc == 0 && !r->n_spools && !r->json)
		return err_set(err, ERR_FAILED,
			       "there is no spool %s; --spool-dir and --src-id "
			       "name another",
			       source);
	if (r->json)
		printf("],\"head\":%" PRIu64 ",\"oldest\":%" PRIu64
		       ",\"bytes\":%" PRIu64 "}\n",
		       r->head, r->oldest, r->bytes);
	else
		printf("recover: src=%" PRIu64 " head=%" PRIu64
		       " oldest=%" PRIu64 " bytes=%" PRIu64 "\n",
		       r->src_id, r->head, r->oldest, r->bytes);
	return rc;
}

/* -- a spool of ipcap ------------------------------------------------------ */

static void on_ipcap_fault(void *arg, const char *file, uint64_t from,
			   uint64_t to, const char *what)
{
	struct recover *r = arg;
	const struct spool_fault f = {
		.file = file, .from = from, .to = to, .what = what
	};

	r->n_faults++;
	on_fault(r, &f);
}

static void print_ipcap(const struct recover *r,
			const struct recover_ipcap_report *p)
{
	char size[TEXT_SIZE];

	printf("%s: a spool of ipcap, %" PRIu64 " files of source %" PRIu64
	       ", %s\n",
	       r->spool_dir, p->files, r->src_id, text_of_size(size, p->bytes));
	printf("  oldest %" PRIu64 ", head %" PRIu64 ", %" PRIu64
	       " packets, %" PRIu64 " missing\n",
	       p->oldest, p->head, p->packets, p->missing);
	if (p->torn)
		printf("  torn tail in the last file\n");
	if (p->linktypes > 1)
		printf("  %u link types one after another; each becomes a "
		       "spool of its own\n",
		       p->linktypes);
	printf("%.*s", (int)r->faults.len,
	       r->faults.p ? (const char *)r->faults.p : "");
	if (r->into)
		printf("  %" PRIu64 " packets are in %s/src%" PRIu64
		       " now that were not\n",
		       p->brought, r->into, r->src_id);
	printf("recover: src=%" PRIu64 " head=%" PRIu64 " oldest=%" PRIu64
	       " bytes=%" PRIu64 "\n",
	       r->src_id, p->head, p->oldest, p->bytes);
}

static void print_ipcap_json(const struct recover *r,
			     const struct recover_ipcap_report *p)
{
	struct buf dir = { 0 };

	put_json_text(&dir, r->spool_dir);
	printf("{\"ipcap\":{\"dir\":%.*s,\"files\":%" PRIu64
	       ",\"packets\":%" PRIu64 ",\"missing\":%" PRIu64
	       ",\"torn\":%s,\"linktypes\":%u,\"brought\":%" PRIu64
	       ",\"faults\":[%.*s]},\"head\":%" PRIu64 ",\"oldest\":%" PRIu64
	       ",\"bytes\":%" PRIu64 "}\n",
	       (int)dir.len, (const char *)dir.p, p->files, p->packets,
	       p->missing, p->torn ? "true" : "false", p->linktypes, p->brought,
	       (int)r->faults.len, r->faults.p ? (const char *)r->faults.p : "",
	       p->head, p->oldest, p->bytes);
	buf_release(&dir);
}

static int run_ipcap(struct recover *r, struct err *err)
{
	const struct recover_ipcap how = { .dir = r->spool_dir,
					   .id = (uint16_t)r->src_id,
					   .into = r->into,
					   .on_fault = on_ipcap_fault,
					   .arg = r };
	struct recover_ipcap_report report;
	int rc = recover_ipcap(&how, &report, err);

	if (rc < 0)
		return rc;
	if (r->json)
		print_ipcap_json(r, &report);
	else
		print_ipcap(r, &report);
	if (r->n_faults)
		err_set(err, ERR_DAMAGED,
			"%" PRIu64 " packets of ipcap's source %" PRIu64
			" in %s are missing, in %" PRIu64 " places",
			report.missing, r->src_id, r->spool_dir, r->n_faults);
	return err->code;
}

/* A folder may hold both; a source of Weir is what is asked about then. */
static bool is_ipcap(const struct recover *r, const char *source)
{
	struct siblings all;
	bool weir = siblings_list(sys_host(), source, &all, NULL) == 0 && all.n;

	siblings_release(&all);
	return !weir && recover_ipcap_there(r->spool_dir, (uint16_t)r->src_id);
}

static int run(struct recover *r, struct err *err)
{
	char *source = mem_format("%s/src%" PRIu64, r->spool_dir, r->src_id);
	int rc;

	if (r->into || is_ipcap(r, source)) {
		rc = run_ipcap(r, err);
		buf_release(&r->faults);
		free(source);
		return rc;
	}
	rc = all_spools(r, source, err);

	if (rc == 0 && r->n_faults)
		rc = err_set(err, ERR_DAMAGED,
			     "%s is damaged in %" PRIu64
			     " places; --repair sets "
			     "the damaged files aside and records what is lost",
			     source, r->n_faults);
	buf_release(&r->faults);
	free(source);
	return rc;
}

int cmd_recover(int argc, char **argv)
{
	struct recover r = { .spool_dir = "/var/lib/weir/spool",
			     .src_id = 1,
			     .linktype = 1,
			     .snaplen = 65536,
			     .percent = -1 };
	const struct opt opts[] = {
		OPT_TEXT('d', "spool-dir", &r.spool_dir, "DIR",
			 "where the spools of all sources lie"),
		OPT_UINT(0, "src-id", &r.src_id, 0, 65535, "ID",
			 "the source: its spools are DIR/srcID, DIR/srcID.2 …"),
		OPT_FLAG(0, "verify", &r.verify,
			 "read all packets and compare their checksums"),
		OPT_FLAG(0, "repair", &r.repair,
			 "mend what is damaged and cut a torn tail"),
		OPT_FLAG(0, "json", &r.json, "print one JSON object"),
		OPT_TEXT(0, "into", &r.into, "DIR",
			 "bring the packets of ipcap's files into DIR/srcID"),
		OPT_UINT(0, "snaplen", &r.snaplen, 0, UINT32_MAX, "BYTES",
			 "accepted for ipcap's sake: a spool knows its own"),
		OPT_UINT(0, "link-type", &r.linktype, 0, UINT32_MAX, "N",
			 "accepted for ipcap's sake: a spool knows its own"),
		OPT_END()
	};
	const struct opt_command command = {
		.name = "recover",
		.synopsis = "[OPTIONS]",
		.about = "Tell what a source's spools hold: oldest packet, "
			 "head, "
			 "bytes, gaps, losses, a\ntorn tail, and every damage "
			 "with its file, offset and packets.  Nothing is\n"
			 "changed, and a writer may be at work meanwhile.\n\n"
			 "With --repair the damaged files are copied to "
			 "damaged/ "
			 "inside the spool, good\npackets are kept under their "
			 "numbers, a lost index is made again from "
			 "the\npackets, "
			 "and what is lost is recorded as a gap.\n\n"
			 "Where DIR holds capture files of ipcap's "
			 "(src1-00000000000000000000.pcap),\nthese are told of "
			 "in the same way.  With --into their packets are "
			 "brought into\na source under the numbers that they "
			 "have, and what is missing becomes a gap;\nthe files "
			 "stay as they are.  Interrupted, it goes on where it "
			 "was.\n\n"
			 "The exit status is 0 when all is whole, 1 when "
			 "something is damaged.",
		.examples =
			"  weir recover --spool-dir spool --src-id 1 --verify\n"
			"  weir recover --spool-dir spool --repair\n"
			"  weir recover --spool-dir /var/lib/ipcap/spool "
			"--into /var/lib/weir/spool\n",
		.opts = opts,
	};
	struct opt_args args;
	struct err err = ERR_NONE;
	int status;

	if (!cmd_begin(&command, argc, argv, &args, &status))
		return status;
	run(&r, &err);
	fflush(stdout);
	return cmd_exit("recover", &err);
}
