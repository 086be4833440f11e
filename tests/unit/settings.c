/* SPDX-License-Identifier: Apache-2.0 */
#include "t.h"

#include "engine/config/settings.h"
#include "engine/config/yamltree.h"

static const char *value_of(const struct settings *s, const char *path, int nth)
{
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->at[i].path, path) == 0 && nth-- == 0)
			return s->at[i].value;
	return NULL;
}

TEST(G45_a_path_is_the_same_however_its_keys_are_written)
{
	static const char *const texts[] = {
		"map: {dir: {src: /x}}",  "map.dir.src: /x",
		"map:\n  dir-src: /x",	  "Map:\n  dir_src: '/x'",
		"map.dir: {src: \"/x\"}",
	};
	struct err err = ERR_NONE;
	struct settings s;

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		t_save(t_path("c.yml"), bytes_of_text(texts[i]));
		CHECK_OK(settings_load(t_path("c.yml"), &s, &err), &err);
		CHECK_STR(value_of(&s, "map-dir-src", 0), "/x");
		settings_release(&s);
	}
}

TEST(a_list_is_one_setting_an_element_and_lines_are_told)
{
	struct err err = ERR_NONE;
	struct settings s;

	t_save(t_path("c.yml"), bytes_of_text("a:\n  b: [x, y]\n  c: no\n"));
	CHECK_OK(settings_load(t_path("c.yml"), &s, &err), &err);
	CHECK_EQ(s.n, 3);
	CHECK_STR(value_of(&s, "a-b", 0), "x");
	CHECK_STR(value_of(&s, "a-b", 1), "y");
	CHECK_STR(value_of(&s, "a-c", 0), "no");
	CHECK_EQ(s.at[2].line, 3);
	settings_release(&s);
}

TEST(what_is_no_file_of_settings_is_refused)
{
	static const char *const bad[] = {
		"- a\n- b\n", "text",	    "a: [",	   "a: &x b\nc: *x",
		"? [a]\n: b", "a: \"\\0\"", "{{a: b}: c}", "a: b: c",
	};
	struct err err = ERR_NONE;
	struct settings s;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		t_save(t_path("c.yml"), bytes_of_text(bad[i]));
		if (settings_load(t_path("c.yml"), &s, &err) == 0)
			fail_msg("taken: %s", bad[i]);
		CHECK(strstr(err.text, "c.yml"));
	}
	CHECK_EQ(settings_load(t_path("none.yml"), &s, &err), ERR_GONE);
}

TEST(nothing_is_no_setting)
{
	static const char *const empty[] = { "", "---\n", "# only words\n",
					     "a:\n", "a: {}\n" };
	struct err err = ERR_NONE;
	struct settings s;

	for (size_t i = 0; i < sizeof(empty) / sizeof(*empty); i++) {
		t_save(t_path("c.yml"), bytes_of_text(empty[i]));
		CHECK_OK(settings_load(t_path("c.yml"), &s, &err), &err);
		for (size_t k = 0; k < s.n; k++)
			CHECK_STR(s.at[k].value, "");
		settings_release(&s);
	}
}

TEST(nesting_stops_at_its_bound)
{
	char deep[2 * YAML_LEVELS_MAX + 8];
	struct err err = ERR_NONE;

	memset(deep, '[', sizeof(deep));
	memset(deep + YAML_LEVELS_MAX + 1, ']', YAML_LEVELS_MAX + 1);
	CHECK(!yamltree_parse(bytes_of(deep, 2 * YAML_LEVELS_MAX + 2), "t",
			      &err));
	CHECK(strstr(err.text, "too deep"));
}
