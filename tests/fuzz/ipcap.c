/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first byte chooses what the rest is.  What is taken can be written, and
 * reads back the same.  Checksums are put right first where they would keep
 * everything else from being tried.
 */
#include <stdlib.h>

#include "base/buf.h"
#include "base/crc32c.h"
#include "base/cursor.h"
#include "base/err.h"
#include "codec/ipcap.h"
#include "codec/record.h"
#include "codec/zframe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool true_)
{
	if (!true_)
		abort();
}

static void fuzz_preamble(struct bytes body)
{
	static struct ipcap_preamble p, again;
	struct buf b = { 0 };
	size_t used;

	put_text(&b, "PMX1");
	put_be16(&b, IPCAP_VERSION);
	put_be32(&b, crc32c(body));
	put_be16(&b, (uint16_t)body.len);
	put_bytes(&b, body);
	if (ipcap_preamble_parse(buf_bytes(&b), &used, &p) == 0) {
		must(used == b.len);
		buf_clear(&b);
		put_ipcap_preamble(&b, &p);
		must(ipcap_preamble_parse(buf_bytes(&b), &used, &again) == 0);
		must(used == b.len && p.n_sources == again.n_sources &&
		     p.n_resume == again.n_resume);
	}
	buf_release(&b);
}

static void fuzz_batch(struct bytes payload)
{
	struct run run = { 0 };
	struct buf records = { 0 }, batch = { 0 }, again = { 0 };
	struct cursor c;
	uint32_t count, more;

	if (ipcap_batch_records(payload, &records, &count) == 0 && count) {
		run.records = buf_bytes(&records);
		must(run_measure(&run) == 0 && run.count == count);
		c = cursor_on(run.records);
		must(put_ipcap_batch(&batch, &c, UINT16_MAX,
				     IPCAP_PAYLOAD_MAX) == (int)count);
		must(ipcap_batch_records(buf_bytes(&batch), &again, &more) ==
		     0);
		must(more == count &&
		     bytes_equal(run.records, buf_bytes(&again)));
	}
	buf_release(&records);
	buf_release(&batch);
	buf_release(&again);
}

static void fuzz_unpack(struct bytes in)
{
	static struct zframe z; /* what one leaves behind must not matter */
	struct buf out = { 0 };

	if (zframe_unpack(&z, in, &out, 1 << 20) < 0)
		must(out.len == 0);
	must(out.len <= 1 << 20);
	buf_release(&out);
}

static void fuzz_payloads(struct bytes in)
{
	struct ipcap_ack ack;
	struct ipcap_gap gap;
	struct ipcap_heartbeat beat;
	struct ipcap_stats stats, again;
	struct buf b = { 0 };

	(void)ipcap_ack_parse(in, &ack);
	(void)ipcap_gap_parse(in, &gap);
	(void)ipcap_heartbeat_parse(in, &beat);
	if (ipcap_stats_parse(in, &stats) == 0) {
		put_ipcap_stats(&b, &stats);
		must(ipcap_stats_parse(buf_bytes(&b), &again) == 0);
		must(memcmp(&stats, &again, sizeof(stats)) == 0);
	}
	buf_release(&b);
}

/* A frame whose head is the fuzzer's, but for magic and checksums. */
static void fuzz_head(struct bytes in)
{
	struct buf b = { 0 }, again = { 0 };
	struct ipcap_frame f;
	size_t used;

	if (in.len < 25)
		return;
	put_be16(&b, 0xd0ca);
	put_u8(&b, IPCAP_VERSION);
	put_bytes(&b, bytes_of(in.p, 25));
	put_be32(&b, crc32c(buf_bytes(&b)));
	in = bytes_of(in.p + 25, in.len - 25);
	put_bytes(&b, in);
	put_be32(&b, crc32c(in));
	if (ipcap_frame_parse(buf_bytes(&b), &used, &f) == 0) {
		must(used <= b.len);
		put_ipcap_frame(&again, &f);
		must(bytes_equal(buf_bytes(&again), bytes_of(b.p, used)));
	}
	buf_release(&b);
	buf_release(&again);
}

/* The stream as it is, in pieces: the pieces change nothing. */
static void fuzz_stream(struct bytes in, size_t piece)
{
	struct ipcap_reader r = { 0 };
	struct ipcap_frame f, whole;
	size_t at = 0, used;
	int rc = ERR_AGAIN;

	while (at < in.len && rc == ERR_AGAIN) {
		size_t n = in.len - at < piece ? in.len - at : piece;

		put_bytes(ipcap_reader_room(&r), bytes_of(in.p + at, n));
		at += n;
		rc = ipcap_reader_frame(&r, &f);
	}
	if (rc == 0) {
		must(ipcap_frame_parse(in, &used, &whole) == 0);
		must(bytes_equal(f.payload, whole.payload));
	}
	ipcap_reader_release(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes in;

	if (!size || size > UINT16_MAX)
		return 0;
	in = bytes_of(data + 1, size - 1);
	switch (data[0] & 7) {
	case 0:
		fuzz_preamble(in);
		break;
	case 1:
		fuzz_batch(in);
		break;
	case 2:
		fuzz_unpack(in);
		break;
	case 3:
		fuzz_payloads(in);
		break;
	case 4:
		fuzz_head(in);
		break;
	default:
		fuzz_stream(in, 1 + (data[0] >> 3));
	}
	return 0;
}
