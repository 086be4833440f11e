/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/metrics/metrics.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sys/loop.h"
#include "t.h"

static double half(void *arg)
{
	(void)arg;
	return 0.5;
}

static double four_billion(void *arg)
{
	(void)arg;
	return 4294967296.0;
}

static void check_text(struct metrics *m, const char *want)
{
	struct bytes text = metrics_text(m);

	CHECK_BYTES(text, bytes_of_text(want));
}

TEST(I59_samples_of_one_name_stand_together_below_its_type)
{
	struct metrics *m = metrics_new();
	atomic_uint_fast64_t n = 7;

	metrics_add_count(m,
			  &(struct metric){ METRIC_COUNTER, "weir_a_total",
					    "how many",
					    metrics_labels(m, "source", "x",
							   NULL) },
			  &n);
	metrics_add(m,
		    &(struct metric){ METRIC_GAUGE, "weir_lag_seconds",
				      "how late", NULL },
		    half, NULL);
	metrics_add(m,
		    &(struct metric){ METRIC_COUNTER, "weir_a_total", "",
				      metrics_labels(m, "source", "y", "kind",
						     "z", NULL) },
		    four_billion, NULL);
	check_text(m, "# HELP weir_a_total how many\n"
		      "# TYPE weir_a_total counter\n"
		      "weir_a_total{source=\"x\"} 7\n"
		      "weir_a_total{source=\"y\",kind=\"z\"} 4294967296\n"
		      "# HELP weir_lag_seconds how late\n"
		      "# TYPE weir_lag_seconds gauge\n"
		      "weir_lag_seconds 0.5\n");
	metrics_remove(m, &n);
	metrics_remove(m, NULL);
	check_text(m, "");
	metrics_free(m);
}

TEST(I59_a_label_cannot_break_its_line)
{
	struct metrics *m = metrics_new();

	CHECK_STR(metrics_labels(m, "name", "a\"b\\c\nd", NULL),
		  "name=\"a\\\"b\\\\c\\nd\"");
	metrics_free(m);
}

/* A server and one client of it, both on one loop. */
struct talk {
	struct loop *loop;
	struct metrics *m;
	struct metrics_server *server;
	atomic_uint_fast64_t count;
	char got[4096];
	size_t len;
	bool timed_out;
};

static void talk_begin(struct talk *t)
{
	struct err err = ERR_NONE;

	*t = (struct talk){ .loop = loop_new(&err) };
	CHECK(t->loop != NULL);
	t->count = 42;
	t->m = metrics_new();
	metrics_add_count(t->m,
			  &(struct metric){ METRIC_COUNTER, "weir_n_total", "n",
					    NULL },
			  &t->count);
	t->server = metrics_serve(t->loop, t->m, "127.0.0.1:0", &err);
	if (!t->server)
		fail_msg("%s", err.text);
}

static void talk_end(struct talk *t)
{
	metrics_server_free(t->server);
	metrics_free(t->m);
	loop_free(t->loop);
}

static int dial(struct talk *t)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	to.sin_port = htons((uint16_t)metrics_server_port(t->server));
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK_EQ(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

static void on_answer(void *arg, int fd, int what)
{
	struct talk *t = arg;
	ssize_t n = read(fd, t->got + t->len, sizeof(t->got) - 1 - t->len);

	(void)what;
	if (n > 0)
		t->len += (size_t)n;
	else
		loop_stop(t->loop);
}

static void on_too_late(void *arg)
{
	struct talk *t = arg;

	t->timed_out = true;
	loop_stop(t->loop);
}

/* Everything that comes on fd until the server closes it. */
static const char *hear(struct talk *t, int fd)
{
	struct loop_watch *w = loop_watch(t->loop, fd, LOOP_READ, on_answer, t);
	struct loop_timer *limit = loop_timer(t->loop, on_too_late, t);

	t->len = 0;
	loop_timer_in(limit, UINT64_C(20000000000));
	loop_run(t->loop);
	CHECK(!t->timed_out);
	loop_timer_free(limit);
	loop_watch_free(w);
	close(fd);
	t->got[t->len] = 0;
	return t->got;
}

static const char *ask(struct talk *t, const char *request)
{
	int fd = dial(t);
	size_t len = strlen(request);

	CHECK_EQ(send(fd, request, len, MSG_NOSIGNAL), (ssize_t)len);
	return hear(t, fd);
}

TEST(I59_get_metrics_is_answered_and_nothing_else)
{
	struct talk t;
	const char *got;

	talk_begin(&t);
	got = ask(&t, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
	CHECK(strncmp(got, "HTTP/1.1 200 OK\r\n", 17) == 0);
	CHECK(strstr(got, "\nweir_n_total 42\n") != NULL);
	got = ask(&t, "GET /metrics?x=1 HTTP/1.0\n\n");
	CHECK(strncmp(got, "HTTP/1.1 200 OK\r\n", 17) == 0);
	got = ask(&t, "GET / HTTP/1.1\r\n\r\n");
	CHECK(strncmp(got, "HTTP/1.1 404 ", 13) == 0);
	got = ask(&t, "POST /metrics HTTP/1.1\r\n\r\n");
	CHECK(strncmp(got, "HTTP/1.1 404 ", 13) == 0);
	got = ask(&t, "GET /metricsandmore HTTP/1.1\r\n\r\n");
	CHECK(strncmp(got, "HTTP/1.1 404 ", 13) == 0);
	CHECK(strstr(got, "weir_n_total") == NULL);
	talk_end(&t);
}

TEST(a_request_without_an_end_is_hung_up_on)
{
	struct talk t;
	char endless[9000];

	talk_begin(&t);
	memset(endless, 'a', sizeof(endless) - 1);
	endless[sizeof(endless) - 1] = 0;
	CHECK_STR(ask(&t, endless), "");
	talk_end(&t);
}

TEST(silent_clients_hold_up_others_for_seconds_only)
{
	struct talk t;
	int silent[40];

	talk_begin(&t);
	for (int i = 0; i < 40; i++)
		silent[i] = dial(&t);
	for (int i = 16; i < 40; i++)
		close(silent[i]);
	CHECK(strstr(ask(&t, "GET /metrics HTTP/1.1\r\n\r\n"), " 200 OK"));
	for (int i = 0; i < 16; i++)
		close(silent[i]);
	talk_end(&t);
}

TEST(an_address_in_use_is_said_with_its_name)
{
	struct talk t;
	char address[32];
	struct err err = ERR_NONE;

	talk_begin(&t);
	snprintf(address, sizeof(address), "%u",
		 metrics_server_port(t.server));
	CHECK(metrics_serve(t.loop, t.m, address, &err) == NULL);
	CHECK(strstr(err.text, "127.0.0.1:") != NULL);
	CHECK(strstr(err.text, address) != NULL);
	talk_end(&t);
}
