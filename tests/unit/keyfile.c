/* SPDX-License-Identifier: Apache-2.0 */
#include "t.h"

#include "base/buf.h"
#include "codec/base64.h"
#include "codec/hex.h"
#include "codec/keyfile.h"

TEST(base64_is_that_of_rfc_4648)
{
	static const char *const table[][2] = {
		{ "", "" },
		{ "f", "Zg==" },
		{ "fo", "Zm8=" },
		{ "foo", "Zm9v" },
		{ "foob", "Zm9vYg==" },
		{ "fooba", "Zm9vYmE=" },
		{ "foobar", "Zm9vYmFy" },
	};
	char text[16];
	uint8_t back[8];

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct bytes plain = bytes_of_text(table[i][0]);

		CHECK_STR(base64_of(text, plain), table[i][1]);
		CHECK_EQ(base64_parse(bytes_of_text(table[i][1]), back,
				      plain.len),
			 0);
		CHECK_BYTES(bytes_of(back, plain.len), plain);
	}
	CHECK_STR(base64_of(text, t_hex("fb ff fe")), "+//+");
}

TEST(base64_has_one_spelling)
{
	static const char *const wrong[] = {
		"Zm9vYg",     "Zm9vYg=",  "Zm9vYh==", "Zm9vY===", "Zm9v Yg=",
		"Zm9vYg==\n", "=m9vYg==", "Zm9=Yg==", "Zm-vYg==", "Zm9vYmE=",
	};
	uint8_t out[4];

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		CHECK_EQ(base64_parse(bytes_of_text(wrong[i]), out, 4),
			 ERR_MALFORMED);
}

TEST(every_byte_goes_through_hex_and_back)
{
	uint8_t all[256], back[256];
	char text[513];

	for (int i = 0; i < 256; i++)
		all[i] = (uint8_t)i;
	hex_of(text, bytes_of(all, sizeof(all)));
	CHECK(strncmp(text, "000102", 6) == 0);
	CHECK_EQ(hex_parse(bytes_of_text(text), back, sizeof(back)), 0);
	CHECK(memcmp(all, back, sizeof(all)) == 0);
	CHECK_EQ(hex_parse(bytes_of_text("aF"), back, 1), 0);
	CHECK_EQ(back[0], 0xaf);
	CHECK_EQ(hex_parse(bytes_of_text("a"), back, 1), ERR_MALFORMED);
	CHECK_EQ(hex_parse(bytes_of_text("ag"), back, 1), ERR_MALFORMED);
	CHECK_EQ(hex_parse(bytes_of_text("0xa"), back, 1), ERR_MALFORMED);
}

/* The file of a throw-away key. */
static const char line[] = "VshbdPUlT4FqfGEzhk2jFyN7Qpdu6SvWmxYbBKecNjs=";
static const char key_hex[] =
	"56c85b74f5254f816a7c6133864da317237b42976ee92bd69b161b04a79c363b";

TEST(I27_a_key_file_is_one_line_and_reads_back)
{
	struct bytes key = t_hex(key_hex);
	uint8_t back[KEYFILE_KEY];
	struct buf file = { 0 };

	put_keyfile(&file, key.p);
	CHECK_EQ(file.len, 45);
	CHECK(memcmp(file.p, line, 44) == 0 && file.p[44] == '\n');
	CHECK_EQ(keyfile_parse(buf_bytes(&file), back), 0);
	CHECK_BYTES(bytes_of(back, KEYFILE_KEY), key);
	buf_release(&file);
}

TEST(blank_lines_and_comments_before_the_key_are_passed_over)
{
	static const char *const around[][2] = {
		{ "", "" },
		{ "", "\n" },
		{ "\n\n", "\n" },
		{ "# agent of vulnbox\n", "\n" },
		{ "  \t\r\n#x\n   # y\n\t ", " \r\nrest is ignored\n" },
	};
	uint8_t back[KEYFILE_KEY];
	char file[200];

	for (size_t i = 0; i < sizeof(around) / sizeof(around[0]); i++) {
		snprintf(file, sizeof(file), "%s%s%s", around[i][0], line,
			 around[i][1]);
		CHECK_EQ(keyfile_parse(bytes_of_text(file), back), 0);
		CHECK_BYTES(bytes_of(back, KEYFILE_KEY), t_hex(key_hex));
	}
}

TEST(what_is_no_key_is_refused)
{
	uint8_t back[KEYFILE_KEY];
	char text[64];

	CHECK_EQ(keyfile_parse(bytes_of_text(""), back), ERR_END);
	CHECK_EQ(keyfile_parse(bytes_of_text("\n# only words\n"), back),
		 ERR_END);
	CHECK_EQ(keyfile_parse(bytes_of_text("hello\n"), back), ERR_MALFORMED);
	for (size_t cut = 1; cut < sizeof(line) - 1; cut++)
		CHECK_EQ(keyfile_parse(bytes_of(line, cut), back),
			 ERR_MALFORMED);
	snprintf(text, sizeof(text), "%s=", line);
	CHECK_EQ(keyfile_parse(bytes_of_text(text), back), ERR_MALFORMED);
	CHECK_EQ(key_parse(bytes_of_text(text), back), ERR_MALFORMED);
	snprintf(text, sizeof(text), " %s\n", line);
	CHECK_EQ(key_parse(bytes_of_text(text), back), 0);
}

TEST(I27_the_key_files_that_ipcap_wrote_are_read)
{
	static const struct {
		const char *path, *hex;
	} files[] = {
		{ "agent", "56ccf950784bfa6b3bb1ee801593a1f2"
			   "e8a831570b37b1bf223bed814d6c04bb" },
		{ "collector", "0b94121a1f1c6cecb5e83c853a83be90"
			       "20cbde13655acf40fc764bcf124dabc5" },
	};
	char path[1024];
	uint8_t key[KEYFILE_KEY];

	if (!t_shared())
		t_skip("the shared material is not there");
	for (int i = 0; i < 2; i++) {
		struct buf again = { 0 };
		struct bytes file;

		snprintf(path, sizeof(path),
			 "%s/interop/ipcap/noise/keys/%s.key", t_shared(),
			 files[i].path);
		file = t_load(path);
		CHECK_EQ(keyfile_parse(file, key), 0);
		CHECK_BYTES(bytes_of(key, KEYFILE_KEY), t_hex(files[i].hex));
		put_keyfile(&again, key);
		CHECK_BYTES(buf_bytes(&again), file);
		buf_release(&again);
	}
}
