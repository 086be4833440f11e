/* SPDX-License-Identifier: Apache-2.0 */
#include "spool_here.h"

#include <unistd.h>

static const char *file_of(uint64_t first, const char *kind)
{
	char name[FILE_NAME_MAX];

	segment_name(name, first, kind);
	return t_path("spool/src1/%s", name);
}

/* Put back the spool that `saved` holds, in place of the present one. */
static void restore(const char *saved)
{
	remove_dir(t_path("spool/src1"));
	copy_dir(saved, t_path("spool/src1"));
}

TEST(what_was_committed_reads_back)
{
	struct spool *s = open_here();
	struct got g;

	write_some(s, 10, 7);
	CHECK_EQ(spool_next(s), 70);
	g = read_all();
	CHECK_EQ(g.packets, 70);
	CHECK_EQ(g.begins, 1);
	CHECK_EQ(g.starts, 1);
	CHECK_EQ(g.gaps + g.damaged, 0);
	spool_close(s);
	g = read_all();
	CHECK_EQ(g.packets, 70);
}

TEST(what_was_not_committed_is_not_seen)
{
	struct spool *s = open_here();
	struct got g;

	write_some(s, 1, 3);
	append_run(s, 4);
	g = read_all();
	CHECK_EQ(g.packets, 3);
	commit(s);
	g = read_all();
	CHECK_EQ(g.packets, 7);
	spool_close(s);
}

TEST(I04_five_restarts_leave_indices_without_hole_or_repeat)
{
	struct spool_status st;
	struct got g;

	for (int i = 0; i < 5; i++) {
		struct spool *s = open_here();

		CHECK_EQ(spool_next(s), (uint64_t)i * 33);
		write_some(s, 3, 11);
		spool_status(s, &st);
		CHECK_EQ(st.incarnation, (uint64_t)i + 1);
		CHECK_EQ(st.head, (uint64_t)(i + 1) * 33);
		spool_close(s);
	}
	g = read_all();
	CHECK_EQ(g.packets, 165);
	CHECK_EQ(g.starts, 5);
	CHECK_EQ(g.begins, 1);
	CHECK_EQ(g.gaps + g.damaged, 0);
}

TEST(I09_a_pcap_torn_at_any_byte_is_cut_to_whole_batches)
{
	struct spool *s = open_here();
	const char *saved = t_path("saved");
	size_t end[6];
	struct bytes whole;

	for (int i = 0; i < 6; i++) {
		write_some(s, 1, 2);
		end[i] = t_load(file_of(0, "pcap")).len;
	}
	copy_dir(t_path("spool/src1"), saved);
	spool_close(s);
	whole = t_load(t_path("saved/00000000000000000000.pcap"));
	for (size_t cut = end[2]; cut <= end[5]; cut++) {
		uint64_t kept = 0;
		struct got g;

		restore(saved);
		t_save(file_of(0, "pcap"), bytes_of(whole.p, cut));
		for (int i = 0; i < 6; i++)
			kept += cut >= end[i] ? 2 : 0;
		s = open_here();
		CHECK_EQ(spool_next(s), kept);
		write_some(s, 1, 5);
		spool_close(s);
		g = read_all();
		CHECK_EQ(g.packets, kept + 5);
		CHECK_EQ(g.gaps + g.damaged, 0);
	}
}

TEST(I09_an_idx_torn_at_any_byte_is_cut_to_whole_batches)
{
	struct spool *s = open_here();
	const char *saved = t_path("saved");
	struct bytes whole;

	write_some(s, 6, 2);
	copy_dir(t_path("spool/src1"), saved);
	spool_close(s);
	whole = t_load(t_path("saved/00000000000000000000.idx"));
	CHECK_EQ(whole.len, IDX_HEADER + 7 * IDX_ENTRY);
	for (size_t cut = whole.len - 3 * IDX_ENTRY; cut <= whole.len; cut++) {
		/* One entry is the NOTE of the start. */
		uint64_t kept = ((cut - IDX_HEADER) / IDX_ENTRY - 1) * 2;
		struct got g;

		restore(saved);
		t_save(file_of(0, "idx"), bytes_of(whole.p, cut));
		s = open_here();
		CHECK_EQ(spool_next(s), kept);
		write_some(s, 1, 5);
		spool_close(s);
		g = read_all();
		CHECK_EQ(g.packets, kept + 5);
		CHECK_EQ(g.gaps + g.damaged, 0);
	}
}
