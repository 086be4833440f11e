/* SPDX-License-Identifier: Apache-2.0 */
#include "t.h"

#include "base/buf.h"
#include "engine/config/peer.h"

#define KEY "1sU1Q8YhMq0nRyT4+0bVgVz0S0bV0vFqz0c7l4cYH1I="

static int parse(const char *text, struct peer *p, struct err *err)
{
	*err = ERR_NONE;
	return peer_parse(bytes_of_text(text), "vulnbox.yml", p, err);
}

TEST(ipcaps_file_gives_address_port_and_key)
{
	struct err err;
	struct peer p;
	char address[PEER_ADDRESS_MAX];

	CHECK_OK(parse("# comment\nip: 10.10.3.2\nnoise_port: 7000\n"
		       "services: [a, {b: c}]\nnoise_pubkey: " KEY "\n",
		       &p, &err),
		 &err);
	peer_address(address, &p);
	CHECK_STR(address, "10.10.3.2:7000");
	CHECK_EQ(p.key[0], 0xd6);
	CHECK_OK(parse("{ip: \"fd00::1\", noise_pubkey: '" KEY "'}", &p, &err),
		 &err);
	peer_address(address, &p);
	CHECK_STR(address, "[fd00::1]:7878");
}

TEST(what_is_wrong_is_told_with_its_line)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ "ip: 1.2.3.4\n", "vulnbox.yml lacks noise_pubkey" },
		{ "noise_pubkey: " KEY "\n", "vulnbox.yml lacks ip" },
		{ "", "vulnbox.yml lacks ip" },
		{ "ip: a b\n", "vulnbox.yml, line 1: \"a b\" is no address" },
		{ "\nnoise_port: 70000\n", "vulnbox.yml, line 2: noise_port is "
					   "1 to 65535, not \"70000\"" },
		{ "noise_pubkey: abc\n", "vulnbox.yml, line 1: noise_pubkey is "
					 "the base64 of 32 bytes, as keygen "
					 "prints it" },
		{ "- a\n", "vulnbox.yml, line 1: \"key: value\" is expected" },
		{ "a: &x 1\nb: *x\n",
		  "vulnbox.yml, line 2: aliases are not taken" },
	};
	struct err err;
	struct peer p;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CHECK(parse(cases[i].text, &p, &err) < 0);
		CHECK_STR(err.text, cases[i].says);
	}
	CHECK(parse("ip: [1.2.3.4\n", &p, &err) == ERR_MALFORMED);
}

TEST(a_file_beyond_the_bounds_is_refused)
{
	struct buf b = { 0 };
	struct err err = ERR_NONE;
	struct peer p;

	put_text(&b, "a: ");
	for (int i = 0; i < 40; i++)
		put_text(&b, "[");
	CHECK(peer_parse(buf_bytes(&b), "f", &p, &err) == ERR_MALFORMED);
	buf_clear(&b);
	for (int i = 0; i < 3000; i++)
		put_text(&b, "k: v\n");
	CHECK(peer_parse(buf_bytes(&b), "f", &p, &err) == ERR_LIMIT);
	while (b.len <= PEER_FILE_MAX)
		put_text(&b, "# filling\n");
	CHECK(peer_parse(buf_bytes(&b), "f", &p, &err) == ERR_LIMIT);
	buf_release(&b);
}

TEST(a_nested_key_is_not_taken_for_an_outer_one)
{
	struct err err;
	struct peer p;

	CHECK(parse("x:\n  ip: 1.2.3.4\n  noise_pubkey: " KEY "\n", &p, &err) ==
	      ERR_MALFORMED);
	CHECK_OK(parse("? [a, b]\n: [c]\nip: h\nnoise_pubkey: " KEY "\n", &p,
		       &err),
		 &err);
}

TEST(I53_a_missing_file_is_gone_and_its_coming_is_seen)
{
	struct err err = ERR_NONE;
	struct peer p;
	uint64_t before = peer_version(t_dir());

	CHECK_EQ(peer_load(t_dir(), &p, &err), ERR_GONE);
	t_save(t_path("vulnbox.yml"),
	       bytes_of_text("ip: ::1\nnoise_pubkey: " KEY "\n"));
	CHECK(peer_version(t_dir()) != before);
	CHECK_OK(peer_load(t_dir(), &p, &err), &err);
	before = peer_version(t_dir());
	t_save(t_path("infra.yml"), bytes_of_text("pcap_dir: ''\n"));
	CHECK(peer_version(t_dir()) != before);
	CHECK_EQ(peer_load(t_dir(), &p, &err), ERR_MALFORMED);
	t_save(t_path("infra.yml"), bytes_of_text("pcap_dir: /traffic\n"));
	CHECK_OK(peer_load(t_dir(), &p, &err), &err);
}
