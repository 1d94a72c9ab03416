// SPDX-License-Identifier: GPL-2.0-only
/*
 * What those who run a server see of it: times of handlers, metrics, rates, the log's levels.
 * (The harness that this is written with is GPL-2.0.)
 */
#include <ctype.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fastpath.h"
#include "json_at.h"
#include "kselftest_harness.h"
#include "peer.h"
#include "program.h"
#include "socket.h"
#include "testdev.h"

FIXTURE(observed) {
	struct peer *peer;
	struct program program;
};

FIXTURE_SETUP(observed)
{
	int64_t deadline = 0;
	int fd;

	self->peer = peer_open("testdev", PEER_LISTEN | PEER_CONTROL);
	/* It is there a moment after the device's socket is. */
	while ((fd = socket_connect(self->peer->control_path)) < 0 && peer_time_left(&deadline))
		sched_yield();
	ASSERT_LE(0, fd);
	close(fd);
}

FIXTURE_TEARDOWN(observed)
{
	peer_stop(self->peer);
}

static void ctl(struct program *program, const char *command, const struct peer *peer,
		const char *option)
{
	const char *args[] = { command, peer->control_path, option, NULL };

	program_start(program, "fastpathctl", args, false);
	program_wait(program);
}

/* ---- times of handlers ---- */

static struct json_object *stats(struct program *program, const struct peer *peer)
{
	ctl(program, "stats", peer, "--json");
	return json_tokener_parse(program->said);
}

/* Of a region and a road, -1: there are none. */
static int64_t latency(struct json_object *root, int64_t region, const char *road, const char *key)
{
	char path[80];

	for (unsigned int i = 0;; i++) {
		snprintf(path, sizeof(path), "devices/0/latency/%u/region", i);
		if (!json_at(root, path))
			return -1;
		if (json_number_at(root, path) != region)
			continue;
		snprintf(path, sizeof(path), "devices/0/latency/%u/road", i);
		if (strcmp(json_text_at(root, path), road))
			continue;
		snprintf(path, sizeof(path), "devices/0/latency/%u/%s", i, key);
		return json_number_at(root, path);
	}
}

static void post(struct peer *peer, uint32_t value)
{
	struct {
		struct wire_region_access access;
		uint32_t value;
	} __attribute__((packed)) body = {
		.access = { TESTDEV_REGISTER_4, FP_BAR2, 4 },
		.value = value,
	};

	peer_post(peer, WIRE_REGION_WRITE, &body, sizeof(body));
}

static void write_multi(struct peer *peer, unsigned int nr)
{
	struct {
		uint64_t nr;
		struct wire_region_write_multi writes[4];
	} __attribute__((packed)) body = { .nr = nr };

	for (unsigned int i = 0; i < nr; i++)
		body.writes[i] = (struct wire_region_write_multi){
			.offset = TESTDEV_REGISTER_4,
			.region = FP_BAR2,
			.count = 4,
		};
	peer_call(peer, WIRE_REGION_WRITE_MULTI, &body, 8 + nr * sizeof(body.writes[0]));
}

TEST_F(observed, each_call_of_a_handler_is_timed_under_its_region_and_road)
{
	struct json_object *root;

	for (unsigned int i = 0; i < 5; i++)
		peer_read(self->peer, FP_BAR2, TESTDEV_REGISTER_8, 8);
	for (unsigned int i = 0; i < 3; i++)
		post(self->peer, i);
	write_multi(self->peer, 4);
	peer_read(self->peer, FP_CONFIG, 0, 4);
	root = stats(&self->program, self->peer);
	EXPECT_EQ(5, latency(root, FP_BAR2, "socket", "count"));
	EXPECT_EQ(3, latency(root, FP_BAR2, "posted", "count"));
	EXPECT_EQ(4, latency(root, FP_BAR2, "multi", "count"));
	EXPECT_EQ(1, latency(root, FP_CONFIG, "socket", "count"));
	EXPECT_EQ(-1, latency(root, FP_BAR2, "eventfd", "count"));
	EXPECT_EQ(-1, latency(root, FP_BAR2, "ioregionfd", "count"));
	EXPECT_LE(latency(root, FP_BAR2, "socket", "p50_ns"),
		  latency(root, FP_BAR2, "socket", "p99_ns"));
	json_object_put(root);
}

TEST_F(observed, calls_by_io_fds_are_timed_as_such)
{
	const struct wire_ioregion_cmd read = {
		.cmd = WIRE_IOREGION_READ,
		.size_resp = 2 | WIRE_IOREGION_RESP,
		.user_data = 7, /* the scratch memory */
	};
	const struct wire_region_io_fds asked = { .argsz = 4096, .index = FP_BAR2 };
	const uint64_t times = 5;
	struct wire_ioregion_resp answer;
	struct json_object *root;
	int64_t deadline = 0;
	int64_t rings;

	ASSERT_EQ(0, peer_call(self->peer, WIRE_DEVICE_GET_REGION_IO_FDS, &asked, sizeof(asked)));
	ASSERT_EQ(8, write(self->peer->reply.fds[0], &times, 8));
	ASSERT_EQ(sizeof(read), send(self->peer->reply.fds[TESTDEV_NR_DOORBELLS], &read,
				     sizeof(read), MSG_NOSIGNAL));
	ASSERT_EQ(sizeof(answer), recv(self->peer->reply.fds[TESTDEV_NR_DOORBELLS], &answer,
				       sizeof(answer), MSG_WAITALL));
	do {
		root = stats(&self->program, self->peer);
		rings = latency(root, FP_BAR2, "eventfd", "count");
		if (rings < 1)
			json_object_put(root);
	} while (rings < 1 && peer_time_left(&deadline));
	EXPECT_EQ(1, rings); /* five rings, heard as one */
	EXPECT_EQ(1, latency(root, FP_BAR2, "ioregionfd", "count"));
	json_object_put(root);
}

/* ---- metrics ---- */

/* OpenMetrics text as it comes, strictly: a family's lines together, its TYPE first, EOF last. */
struct metrics {
	char family[128];
	char type[16];
	char seen[64][128]; /* families */
	unsigned int nr_seen;
	unsigned int samples;
	double bucket; /* the last one's value */
	const char *wrong;
};

static const char *take_name(const char *at, char *name, size_t size)
{
	size_t len = strspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

	if (!len || len >= size || isdigit((unsigned char)*at))
		return NULL;
	memcpy(name, at, len);
	name[len] = '\0';
	return at + len;
}

/* {a="b",...} */
static const char *take_labels(const char *at)
{
	char name[64];

	if (*at++ != '{')
		return NULL;
	do {
		at = take_name(at, name, sizeof(name));
		if (!at || strncmp(at, "=\"", 2))
			return NULL;
		at = strpbrk(at + 2, "\"\\\n");
		if (!at || *at++ != '"')
			return NULL;
	} while (*at++ == ',');
	return at[-1] == '}' ? at : NULL;
}

static const char *check_comment(struct metrics *metrics, char *line)
{
	char *word = strtok(line + 2, " "), *name = strtok(NULL, " "), *rest = strtok(NULL, "");

	if (!word || !name || !rest)
		return "a comment that is none of the format";
	if (!strcmp(word, "HELP")) {
		for (unsigned int i = 0; i < metrics->nr_seen; i++)
			if (!strcmp(metrics->seen[i], name))
				return "a family comes twice";
		snprintf(metrics->seen[metrics->nr_seen++ % 64], 128, "%s", name);
		snprintf(metrics->family, sizeof(metrics->family), "%s", name);
		*metrics->type = '\0';
		return NULL;
	}
	if (strcmp(metrics->family, name))
		return "of another family";
	if (!strcmp(word, "TYPE"))
		return snprintf(metrics->type, 16, "%s", rest) < 16 ? NULL : "a long type";
	if (strcmp(word, "UNIT"))
		return "neither HELP, TYPE nor UNIT";
	return strlen(name) > strlen(rest) && !strcmp(name + strlen(name) - strlen(rest), rest) ?
		       NULL :
		       "a family's name ends with its unit";
}

static const char *check_sample(struct metrics *metrics, const char *line)
{
	const char *wanted[] = { "_total", NULL, NULL };
	char name[128];
	const char *at = take_name(line, name, sizeof(name));
	size_t len = strlen(metrics->family);
	bool is_good = false;
	double value;
	char *end;

	if (!strcmp(metrics->type, "gauge"))
		wanted[0] = "";
	if (!strcmp(metrics->type, "histogram"))
		wanted[0] = "_bucket", wanted[1] = "_count", wanted[2] = "_sum";
	at = at ? take_labels(at) : NULL;
	if (!at || *at++ != ' ')
		return "no name, labels and value";
	for (unsigned int i = 0; i < 3 && wanted[i]; i++)
		is_good |= !strncmp(name, metrics->family, len) && !strcmp(name + len, wanted[i]);
	if (!is_good)
		return "not of its family and type";
	value = strtod(at, &end);
	if (end == at || *end || value < 0)
		return "no value";
	if (strstr(name, "_bucket")) {
		if (!strstr(line, "le=\"0.000000128\"") && value < metrics->bucket)
			return "buckets add up";
		metrics->bucket = value;
	}
	if (strstr(name, "_count") && value != metrics->bucket)
		return "the last bucket has all";
	metrics->samples++;
	return NULL;
}

static void parse_metrics(struct metrics *metrics, char *text)
{
	char *line, *next = text;
	bool has_ended = false;
	char kept[256] = "";

	while ((line = strsep(&next, "\n")) && next && !metrics->wrong) {
		snprintf(kept, sizeof(kept), "%s", line);
		if (has_ended)
			metrics->wrong = "something behind EOF";
		else if (!strcmp(line, "# EOF"))
			has_ended = true;
		else
			metrics->wrong = *line == '#' ? check_comment(metrics, line) :
							check_sample(metrics, line);
	}
	if (!metrics->wrong && (!has_ended || *line))
		metrics->wrong = "no EOF";
	if (metrics->wrong)
		fprintf(stderr, "# %s: %s\n", metrics->wrong, kept);
}

TEST_F(observed, metrics_are_open_metrics_text_with_what_was_counted)
{
	struct metrics metrics = { 0 };

	for (unsigned int i = 0; i < 5; i++)
		peer_read(self->peer, FP_BAR2, TESTDEV_REGISTER_8, 8);
	ctl(&self->program, "metrics", self->peer, NULL);
	EXPECT_EQ(0, self->program.status);
	EXPECT_NE(NULL, strstr(self->program.said, "\nfastpath_commands_total{device=\"testdev\","
						   "command=\"REGION_READ\"} 5\n"));
	EXPECT_NE(NULL, strstr(self->program.said, "\nfastpath_region_reads_total{device="
						   "\"testdev\",region=\"2\"} 5\n"));
	EXPECT_NE(NULL, strstr(self->program.said,
			       "\nfastpath_handler_seconds_bucket{device=\"testdev\",region=\"2\","
			       "road=\"socket\",le=\"+Inf\"} 5\n"));
	EXPECT_NE(NULL, strstr(self->program.said, "\nfastpath_connected{device=\"testdev\"} 1\n"));
	parse_metrics(&metrics, self->program.said);
	EXPECT_EQ(NULL, metrics.wrong);
	EXPECT_LT(40, metrics.samples);
}

/* ---- stats --watch ---- */

/* The server sees to a client's words between two of fastpathctl's questions, or the next two. */
TEST_F(observed, a_watch_tells_what_happened_in_between_until_it_is_interrupted)
{
	const char *args[] = { "stats", self->peer->control_path, "--watch=0.02", NULL };
	int64_t deadline = 0;
	char said[8192] = "";
	size_t len = 0;

	program_start(&self->program, "fastpathctl", args, false);
	ASSERT_TRUE(program_await_line(&self->program)); /* it has asked twice */
	peer_read(self->peer, FP_BAR2, TESTDEV_REGISTER_8, 8);
	while (!strstr(said, "testdev:  region 2 by socket: ") && peer_time_left(&deadline)) {
		ssize_t n = read(self->program.stdout_fd, said + len, sizeof(said) - 1 - len);

		ASSERT_LT(0, n);
		len = len + (size_t)n > 6000 ? 0 : len + (size_t)n;
		said[len] = '\0';
	}
	EXPECT_NE(NULL, strstr(said, "testdev:  region 2 by socket: "));
	EXPECT_EQ(NULL, strchr(said, '\033')); /* not a terminal */
	kill(self->program.pid, SIGINT);
	program_wait(&self->program);
	EXPECT_EQ(0, self->program.status);
	EXPECT_STREQ("", self->program.complained);
}

TEST_F(observed, a_watch_whose_time_is_none_is_refused_by_name)
{
	ctl(&self->program, "stats", self->peer, "--watch=never");
	EXPECT_EQ(1, self->program.status);
	EXPECT_NE(NULL, strstr(self->program.complained, "--watch=never: wants seconds"));
	ctl(&self->program, "list", self->peer, "--watch");
	EXPECT_EQ(1, self->program.status);
	EXPECT_NE(NULL, strstr(self->program.complained, "--watch: not of list"));
}

/* ---- the log ---- */

static unsigned int lines_at(const char *level, const char *what)
{
	struct peer *peer;
	unsigned int nr;

	peer_set_option(level);
	peer = peer_open("testdev", PEER_LISTEN);
	peer_call(peer, WIRE_DEVICE_RESET, NULL, 0);
	nr = peer_log_count(peer, what);
	peer_stop(peer);
	peer_set_option(NULL);
	return nr;
}

TEST(each_level_of_the_log_tells_more_than_the_one_below)
{
	EXPECT_EQ(0, lines_at("--log-level=warn", ": a client has come\n"));
	EXPECT_EQ(1, lines_at("--log-level=info", ": a client has come\n"));
	EXPECT_EQ(0, lines_at("--log-level=info", ": VERSION is agreed on"));
	EXPECT_EQ(1,
		  lines_at("--log-level=debug", ": VERSION is agreed on: its client takes 16 fds"));
	EXPECT_EQ(0, lines_at("--log-level=info", ": reset\n"));
	EXPECT_EQ(1, lines_at("--log-level=debug", ": reset\n"));
}

TEST_HARNESS_MAIN
