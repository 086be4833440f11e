/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/hpack.h"

#include "t.h"

static void note_field(void *self, const struct hpack_field *f)
{
	struct buf *b = self;

	put_format(b, "%.*s: %.*s%s\n", (int)f->name.len,
		   (const char *)f->name.p, (int)f->value.len,
		   (const char *)f->value.p,
		   f->never_indexed ? " (never)" : "");
}

static void ignore_field(void *self, const struct hpack_field *f)
{
	(void)f;
	++*(unsigned *)self;
}

/* A few blocks of one direction; `size` of the table behind each. */
struct example {
	const char *what;
	struct {
		const char *hex, *fields;
		uint32_t size;
	} blocks[3];
};

#define FIRST                                                                  \
	":method: GET\n:scheme: http\n:path: /\n"                              \
	":authority: www.example.com\n"
#define THIRD                                                                  \
	":method: GET\n:scheme: https\n:path: /index.html\n"                   \
	":authority: www.example.com\ncustom-key: custom-value\n"
#define ANSWER(status, second)                                                 \
	":status: " status "\ncache-control: private\n"                        \
	"date: Mon, 21 Oct 2013 20:13:" second " GMT\n"                        \
	"location: https://www.example.com\n"
#define LAST_ANSWER                                                            \
	ANSWER("200", "22")                                                    \
	"content-encoding: gzip\n"                                             \
	"set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; "          \
	"version=1\n"

/* RFC 7541, appendix C; of C.5 and C.6 the table's size is said on the wire. */
static const struct example examples[] = {
	{ "C.2.1",
	  { { "400a637573746f6d2d6b65790d637573746f6d2d686561646572",
	      "custom-key: custom-header\n", 55 } } },
	{ "C.2.2",
	  { { "040c2f73616d706c652f70617468", ":path: /sample/path\n", 0 } } },
	{ "C.2.3",
	  { { "100870617373776f726406736563726574",
	      "password: secret (never)\n", 0 } } },
	{ "C.2.4", { { "82", ":method: GET\n", 0 } } },
	{ "C.3",
	  { { "828684410f7777772e6578616d706c652e636f6d", FIRST, 57 },
	    { "828684be58086e6f2d6361636865", FIRST "cache-control: no-cache\n",
	      110 },
	    { "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
	      THIRD, 164 } } },
	{ "C.4",
	  { { "828684418cf1e3c2e5f23a6ba0ab90f4ff", FIRST, 57 },
	    { "828684be5886a8eb10649cbf", FIRST "cache-control: no-cache\n",
	      110 },
	    { "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf", THIRD,
	      164 } } },
	{ "C.5",
	  { { "3fe1014803333032580770726976617465611d4d6f6e2c203231204f63742032"
	      "3031332032303a31333a323120474d546e1768747470733a2f2f7777772e6578"
	      "616d706c652e636f6d",
	      ANSWER("302", "21"), 222 },
	    { "4803333037c1c0bf",
	      ":status: 307\ncache-control: private\n"
	      "date: Mon, 21 Oct 2013 20:13:21 GMT\n"
	      "location: https://www.example.com\n",
	      222 },
	    { "88c1611d4d6f6e2c203231204f637420323031332032303a31333a3232204"
	      "74d54c05a04677a69707738666f6f3d4153444a4b48514b425a584f515745"
	      "4f50495541585157454f49553b206d61782d6167653d333630303b2076657"
	      "273696f6e3d31",
	      LAST_ANSWER, 215 } } },
	{ "C.6",
	  { { "3fe101488264025885aec3771a4b6196d07abe941054d444a8200595040b8166"
	      "e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3",
	      ANSWER("302", "21"), 222 },
	    { "4883640effc1c0bf", ANSWER("307", "21"), 222 },
	    { "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9"
	      "ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5"
	      "291f9587316065c003ed4ee5b1063d5007",
	      LAST_ANSWER, 215 } } },
};

TEST(R29_the_standards_examples_are_decoded)
{
	for (size_t i = 0; i < sizeof(examples) / sizeof(*examples); i++) {
		struct hpack h;

		hpack_begin(&h);
		for (int k = 0; k < 3 && examples[i].blocks[k].hex; k++) {
			struct buf out = { 0 };
			struct hpack_sink sink = { &out, note_field };

			CHECK_EQ(hpack_decode(&h,
					      t_hex(examples[i].blocks[k].hex),
					      &sink),
				 0);
			if (!bytes_equal(buf_bytes(&out),
					 bytes_of_text(
						 examples[i].blocks[k].fields)))
				fail_msg("%s: %.*s", examples[i].what,
					 (int)out.len, (char *)out.p);
			CHECK_EQ(h.size, examples[i].blocks[k].size);
			buf_release(&out);
		}
		hpack_release(&h);
	}
}

static int decode(struct hpack *h, const char *hex)
{
	unsigned n = 0;
	struct hpack_sink sink = { &n, ignore_field };

	return hpack_decode(h, t_hex(hex), &sink);
}

TEST(R31_what_breaks_a_block_is_refused)
{
	static const struct {
		const char *what, *hex;
	} wrong[] = {
		{ "index 0", "80" },
		{ "an index behind both tables", "be" },
		{ "a name of such an index", "7e0161" },
		{ "a number that goes on for ever", "ffffffffffffff" },
		{ "a number past all tables", "ff80808080808001" },
		{ "a number that is cut off", "ff80" },
		{ "a value that is cut off", "0001610562" },
		{ "a literal without a value", "000161" },
		{ "eight bits of padding", "00016181ff" },
		{ "padding of zeros", "0001618118" },
		{ "the end mark", "00016184ffffffff" },
		{ "a table size behind a field", "8220" },
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		struct hpack h;

		hpack_begin(&h);
		if (decode(&h, wrong[i].hex) != ERR_MALFORMED)
			fail_msg("%s", wrong[i].what);
		hpack_release(&h);
	}
}

TEST(the_tables_size_follows_what_both_sides_say)
{
	struct hpack h;

	hpack_begin(&h);
	CHECK_EQ(decode(&h, "400161016240016301 64"), 0);
	CHECK_EQ(h.n, 2);
	/* Two sizes in a row: the smaller one evicts. */
	CHECK_EQ(decode(&h, "2022 3fe11f 82"), 0);
	CHECK_EQ(h.n, 0);
	CHECK_EQ(h.limit, 4096);
	/* One entry fits, the next one takes its place. */
	CHECK_EQ(decode(&h, "3f03 4001610162 4001630164"), 0);
	CHECK_EQ(h.n, 1);
	CHECK_EQ(decode(&h, "be"), 0);
	/* One that is larger than the table empties it. */
	CHECK_EQ(decode(&h, "40026161026262"), 0);
	CHECK_EQ(h.n, 0);
	CHECK_EQ(h.size, 0);

	hpack_allow(&h, 100);
	CHECK_EQ(decode(&h, "3f45"), 0); /* 100 */
	CHECK_EQ(decode(&h, "3f46"), ERR_MALFORMED);
	hpack_release(&h);
}

TEST(R31_a_block_that_unfolds_without_end_is_stopped)
{
	struct buf block = { 0 };
	struct hpack h;
	unsigned n = 0;
	struct hpack_sink sink = { &n, ignore_field };

	hpack_begin(&h);
	put_bytes(&block, t_hex("4001617f8107"));
	put_zeros(&block, 1024);
	for (int i = 0; i < 60000; i++) /* each a reference to that kilobyte */
		put_u8(&block, 0xbe);
	CHECK_EQ(hpack_decode(&h, buf_bytes(&block), &sink), ERR_LIMIT);
	CHECK_EQ(n, HPACK_LIST_MAX / (1 + 1024 + 32));
	hpack_release(&h);
	buf_release(&block);
}

TEST(R31_a_table_stays_within_its_cap)
{
	struct buf block = { 0 };
	struct hpack h;
	unsigned n = 0;
	struct hpack_sink sink = { &n, ignore_field };

	hpack_begin(&h);
	CHECK_EQ(decode(&h, "3fe2ff03"), ERR_LIMIT); /* 65537 */
	CHECK_EQ(decode(&h, "3fe1ff03"), 0);
	for (int i = 0; i < 100000; i++) {
		char name[8];
		int len = snprintf(name, sizeof(name), "%d", i);

		put_u8(&block, 0x40);
		put_u8(&block, (uint8_t)len);
		put_text(&block, name);
		put_u8(&block, 0);
		if (block.len < 10000)
			continue;
		CHECK_EQ(hpack_decode(&h, buf_bytes(&block), &sink), 0);
		buf_clear(&block);
	}
	CHECK(n > 98000);
	CHECK(h.size <= HPACK_TABLE_MAX);
	CHECK(h.n > 1700 && h.n < 2048);
	CHECK(hpack_held(&h) <= 512 << 10);
	hpack_release(&h);
	buf_release(&block);
}
