/* SPDX-License-Identifier: Apache-2.0 */
#include "t.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "sys/secret.h"

static unsigned mode_of(const char *path)
{
	struct stat st;

	CHECK_EQ(stat(path, &st), 0);
	return st.st_mode & 07777;
}

TEST(I27_a_saved_secret_has_mode_0600_and_reads_back)
{
	const char *path = t_path("key");
	struct err err = ERR_NONE;
	struct buf got = { 0 };

	CHECK_OK(secret_save(path, false, bytes_of_text("secret"), &err), &err);
	CHECK_EQ(mode_of(path), 0600);
	CHECK_OK(secret_load(path, false, 100, &got, &err), &err);
	CHECK_BYTES(buf_bytes(&got), bytes_of_text("secret"));
	secret_release(&got);
}

TEST(I27_a_secret_is_replaced_only_on_request)
{
	const char *path = t_path("key");
	struct err err = ERR_NONE;

	CHECK_OK(secret_save(path, false, bytes_of_text("old"), &err), &err);
	CHECK_EQ(secret_save(path, false, bytes_of_text("new"), &err),
		 ERR_BUSY);
	CHECK_BYTES(t_load(path), bytes_of_text("old"));
	CHECK_OK(secret_save(path, true, bytes_of_text("new"), &err), &err);
	CHECK_BYTES(t_load(path), bytes_of_text("new"));
	CHECK_EQ(mode_of(path), 0600);
}

TEST(a_secret_that_others_may_read_is_refused_unless_told)
{
	static const unsigned modes[] = { 0640, 0604, 0620, 0644, 0666, 0610 };
	const char *path = t_path("key");
	struct buf got = { 0 };

	t_save(path, bytes_of_text("secret"));
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		struct err err = ERR_NONE;

		CHECK_EQ(chmod(path, modes[i]), 0);
		CHECK_EQ(secret_load(path, false, 100, &got, &err), ERR_AUTH);
		CHECK(strstr(err.text, path) != NULL);
		CHECK(strstr(err.text, "chmod 600") != NULL);
		CHECK_EQ(got.len, 0);
		CHECK_EQ(secret_load(path, true, 100, &got, &err), 0);
		secret_release(&got);
	}
	CHECK_EQ(chmod(path, 0400), 0);
	CHECK_EQ(secret_load(path, false, 100, &got, NULL), 0);
	secret_release(&got);
}

TEST(what_is_no_small_file_is_refused_and_never_waited_for)
{
	const char *path = t_path("key");
	const char *pipe = t_path("pipe");
	struct err err = ERR_NONE;
	struct buf got = { 0 };

	t_save(path, bytes_of_text("12345"));
	CHECK_EQ(chmod(path, 0600), 0);
	CHECK_EQ(secret_load(path, false, 4, &got, &err), ERR_LIMIT);
	CHECK_EQ(mkfifo(pipe, 0600), 0);
	CHECK_EQ(secret_load(pipe, false, 100, &got, &err), ERR_FAILED);
	CHECK_EQ(secret_load(t_dir(), true, 100, &got, &err), ERR_FAILED);
	CHECK_EQ(secret_load("/nowhere/key", false, 100, &got, &err),
		 ERR_FAILED);
	CHECK_EQ(secret_save("/nowhere/key", false, bytes_of_text("x"), &err),
		 ERR_FAILED);
}
