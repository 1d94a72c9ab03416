/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * fastpath-bench rtt, throughput and compare: every access is counted at its other end, what goes
 * wrong is one line that says where, and two results are told apart. No times.
 *
 * GPL-2.0-only, because it includes the kernel's kselftest harness.
 */
#include <errno.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "interval.h"
#include "json_at.h"
#include "kselftest_harness.h"
#include "program.h"
#include "testdev_server.h"

#define ARGS(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define SHORT "--rounds", "2", "--count", "20"
#define OURS "ours=exec fastpathd --device testdev,socket=$SOCKET"

/* A directory for files, and what a run said. */
FIXTURE(bench_peers) {
	char dir[64];
	char a[80], b[80];
	struct program program;
};

FIXTURE_SETUP(bench_peers)
{
	strcpy(self->dir, "/tmp/bench_peers.XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	snprintf(self->a, sizeof(self->a), "%s/a.json", self->dir);
	snprintf(self->b, sizeof(self->b), "%s/b.json", self->dir);
}

FIXTURE_TEARDOWN(bench_peers)
{
	unlink(self->a);
	unlink(self->b);
	rmdir(self->dir);
}

static int run(struct program *program, const char *const *args)
{
	program_start(program, "fastpath-bench", args, false);
	program_wait(program);
	return program->status;
}

static bool complains(const struct program *program, const char *what)
{
	return strstr(program->complained, what);
}

static unsigned int lines(const char *text)
{
	unsigned int nr = 0;

	for (; *text; text++)
		nr += *text == '\n';
	return nr;
}

/* ---- rtt and throughput ---- */

static struct json_object *find_row(struct json_object *root, const char *peer, const char *access,
				    int64_t size)
{
	struct json_object *rows = json_at(root, "rows");

	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);

		if (!strcmp(json_text_at(row, "peer"), peer) &&
		    !strcmp(json_text_at(row, "access"), access) &&
		    json_number_at(row, "size_bytes") == size)
			return row;
	}
	return NULL;
}

TEST_F(bench_peers, every_round_trip_is_counted_at_its_other_end_by_either_client)
{
	static const char *const peers[] = { "ours", "bare", "floor" };
	static const char *const accesses[] = { "read", "write" };
	struct json_object *root;

	ASSERT_EQ(0, run(&self->program,
			 ARGS("rtt", SHORT, "--size", "1,2,4,8", "--start", OURS, "--start",
			      "bare=exec fastpathd --device testdev,socket=$SOCKET", "--client",
			      "bare=bare", "--json", self->a)));
	root = json_object_from_file(self->a);
	ASSERT_NE(NULL, root);
	EXPECT_STREQ("rtt", json_text_at(root, "mode"));
	EXPECT_EQ(24, json_object_array_length(json_at(root, "rows")));
	for (unsigned int i = 0; i < 24; i++) {
		struct json_object *row =
			find_row(root, peers[i % 3], accesses[i / 3 % 2], 1 << i / 6);

		ASSERT_NE(NULL, row);
		/* 16 of each round are to warm up. */
		EXPECT_EQ(2 * (20 + 16), json_number_at(row, "accesses"));
		EXPECT_EQ(2 * (20 + 16), json_number_at(row, "counted"));
		EXPECT_EQ(2 * 20, json_number_at(row, "rtt_ns/N"));
		EXPECT_EQ(2, json_object_array_length(json_at(row, "rtt_ns/rounds")));
		EXPECT_STREQ(i % 3 ? "bare" : "fastpath", json_text_at(row, "client"));
		EXPECT_NE(NULL, json_at(row, "server_cpu_ns_per_op"));
		EXPECT_STREQ(i % 3 ? "ours" : "", json_text_at(row, "ratio/to"));
		EXPECT_STREQ(i % 3 ? "too few rounds" : "", json_text_at(row, "ratio/verdict"));
	}
	json_object_put(root);
}

TEST_F(bench_peers, every_access_of_a_stream_is_counted_and_posts_with_the_read_behind_them)
{
	static const char *const peers[] = { "ours", "bare", "floor" };
	static const char *const accesses[] = { "read", "write", "mix", "posted" };
	struct json_object *root;

	ASSERT_EQ(0, run(&self->program,
			 ARGS("throughput", "--rounds", "2", "--count", "1000", "--depth", "7",
			      "--mix", "33", "--access", "posted,mix,write,read", "--start", OURS,
			      "--start", "bare=exec fastpathd --device testdev,socket=$SOCKET",
			      "--client", "bare=bare", "--json", self->a)));
	root = json_object_from_file(self->a);
	ASSERT_NE(NULL, root);
	EXPECT_EQ(12, json_object_array_length(json_at(root, "rows")));
	for (unsigned int i = 0; i < 12; i++) {
		struct json_object *row = find_row(root, peers[i % 3], accesses[i / 3], 4);
		int expected = i / 3 == 3 ? 2002 : 2000;

		ASSERT_NE(NULL, row);
		EXPECT_EQ(expected, json_number_at(row, "accesses"));
		EXPECT_EQ(expected, json_number_at(row, "counted"));
		EXPECT_EQ(2, json_number_at(row, "accesses_per_s/N"));
	}
	json_object_put(root);
}

TEST_F(bench_peers, without_a_server_ours_is_started_and_every_other_one_is_compared_with_the_first)
{
	EXPECT_EQ(0, run(&self->program, ARGS("rtt", "--rounds", "6", "--count", "10")));
	EXPECT_NE(NULL, strstr(self->program.said, "read of 4: floor takes "));
	EXPECT_NE(NULL, strstr(self->program.said, " what fastpath takes: "));
	EXPECT_EQ(NULL, strstr(self->program.said, "too few rounds"));
	EXPECT_EQ(0, run(&self->program, ARGS("rtt", SHORT, "--no-floor")));
	EXPECT_EQ(NULL, strstr(self->program.said, "floor"));
}

TEST_F(bench_peers, a_server_that_runs_elsewhere_is_moved_and_moved_back)
{
	struct testdev_server served;
	char connect[128];
	cpu_set_t before, after;

	testdev_server_start(&served);
	snprintf(connect, sizeof(connect), "it=unix:%s", served.path);
	ASSERT_EQ(0, sched_getaffinity(served.pid, sizeof(before), &before));
	EXPECT_EQ(0, run(&self->program, ARGS("rtt", SHORT, "--same-cpu", "--connect", connect,
					      "--json", self->a)));
	ASSERT_EQ(0, sched_getaffinity(served.pid, sizeof(after), &after));
	EXPECT_TRUE(CPU_EQUAL(&before, &after));
	testdev_server_stop(&served);
}

TEST_F(bench_peers, a_server_that_dies_in_a_round_is_one_line_that_names_it)
{
	struct program server;
	char device[128], connect[128], said[64];
	size_t len = 0;
	char path[96];

	snprintf(path, sizeof(path), "%s/socket", self->dir);
	snprintf(device, sizeof(device), "testdev,socket=%s", path);
	snprintf(connect, sizeof(connect), "mortal=%s", path);
	program_start(&server, "fastpathd", ARGS("--device", device), false);
	while (access(path, F_OK))
		sched_yield();
	program_start(&self->program, "fastpath-bench",
		      ARGS("rtt", "--no-floor", "--access", "read", "--rounds", "400", "--count",
			   "10", "--connect", connect),
		      false);
	/* A quarter is done. */
	while (len < sizeof(said) && (!len || said[len - 1] != '\n'))
		ASSERT_EQ(1, read(self->program.stderr_fd, &said[len++], 1));
	EXPECT_EQ(0, strncmp(said, "round 100 of 400", 16));
	kill(server.pid, SIGKILL);
	program_wait(&self->program);
	program_wait(&server);
	EXPECT_EQ(1, self->program.status);
	EXPECT_TRUE(complains(&self->program, "mortal: read of 4 in round "));
	EXPECT_TRUE(complains(&self->program, "the server is gone"));
	EXPECT_EQ(1, lines(self->program.complained));
	EXPECT_STREQ("", self->program.said);
	unlink(path);
}

TEST_F(bench_peers, what_is_wrong_with_an_option_is_one_line_that_names_it)
{
	static const struct {
		const char *args[6];
		const char *why;
	} cases[] = {
		{ { "rtt", "--connect", "it=/nonexistent/socket" },
		  "--connect it=/nonexistent/socket: No such file or directory" },
		{ { "rtt", "--connect", "/tmp/socket" }, "--connect /tmp/socket: wants NAME=..." },
		{ { "rtt", "--start", "it=exit 3" },
		  "--start it: it ended before it listened at $SOCKET" },
		{ { "rtt", "--connect", "a=b", "--connect", "a=c" }, "there is a 'a' already" },
		{ { "rtt", "--connect", "floor=b" }, "there is a 'floor' already" },
		{ { "rtt", "--connect", "a=b", "--at", "c=0:0" }, "there is no server 'c'" },
		{ { "rtt", "--connect", "a=b", "--at", "a=0" }, "wants NAME=REGION:OFFSET" },
		{ { "rtt", "--connect", "a=b", "--at", "a=0:x" }, "--offset x: wants a number" },
		{ { "rtt", "--client", "wget" }, "--client wget: wants fastpath or bare" },
		{ { "rtt", "--size", "3" }, "--size 3: wants 1, 2, 4 or 8" },
		{ { "rtt", "--access", "posted" }, "--access posted: wants read or write" },
		{ { "throughput", "--access", "rea" }, "wants read, write, posted or mix" },
		{ { "throughput", "--depth", "0" }, "--depth 0: wants a number from 1" },
		{ { "rtt", "--wait", "soon" }, "--wait soon: wants" },
		{ { "rtt", "--cpus", "0" }, "--cpus 0: wants CLIENT,SERVER" },
		{ { "rtt", "--rounds", "0" }, "--rounds 0: wants a number from 1" },
		{ { "rtt", "more" }, "'more': not an option" },
	};

	for (unsigned int i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		EXPECT_EQ(1, run(&self->program, cases[i].args));
		EXPECT_TRUE(complains(&self->program, cases[i].why))
		{
			TH_LOG("%s: %s", cases[i].why, self->program.complained);
		}
		EXPECT_EQ(1, lines(self->program.complained));
	}
}

TEST_F(bench_peers, a_place_that_a_server_does_not_have_is_a_failure_that_names_the_server)
{
	EXPECT_EQ(1, run(&self->program, ARGS("rtt", SHORT, "--start", OURS, "--at",
					      "ours=2:0x1000", "--no-floor")));
	EXPECT_TRUE(complains(&self->program, "ours: "));
	EXPECT_TRUE(complains(&self->program, " of 4 in round 1: Invalid argument"));
}

/* ---- ratios ---- */

TEST(the_interval_of_paired_rounds_is_that_of_the_sign_test)
{
	static const double ones[20] = {
		1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1
	};
	struct interval interval;
	double a[20];

	for (unsigned int i = 0; i < 20; i++)
		a[i] = 20 - i;
	ASSERT_EQ(0, interval_paired(a, ones, 20, &interval));
	EXPECT_EQ(10.5, interval.ratio);
	EXPECT_EQ(6, interval.low); /* the 6th and the 15th of 20, as any table has it */
	EXPECT_EQ(15, interval.high);
	ASSERT_EQ(0, interval_paired(a, ones, 6, &interval));
	EXPECT_EQ(15, interval.low);
	EXPECT_EQ(20, interval.high);
	ASSERT_EQ(0, interval_paired(a, ones, 5, &interval));
	EXPECT_TRUE(isinf(interval.high));
	EXPECT_EQ(VERDICT_TOO_FEW, interval_verdict(&interval, false, 0));
	EXPECT_EQ(-ENODATA, interval_paired(a, ones, 0, &interval));
}

TEST(the_interval_of_two_runs_is_that_of_mann_and_whitney)
{
	static const double a[] = { 11, 12, 13, 14, 15, 16, 17, 18 };
	static const double b[] = { 1, 1, 1, 1, 1, 1, 1, 1 };
	struct interval interval;

	ASSERT_EQ(0, interval_unpaired(a, 8, b, 8, &interval));
	EXPECT_EQ(14.5, interval.ratio);
	/* 8 * 8 / 2 - 1.96 * sqrt(8 * 8 * 17 / 12) = 13.3: the 13th of 64 pairs, 8 of each value. */
	EXPECT_EQ(12, interval.low);
	EXPECT_EQ(17, interval.high);
	ASSERT_EQ(0, interval_unpaired(a, 8, b, 3, &interval));
	EXPECT_TRUE(isinf(interval.high));
}

TEST(an_interval_that_reaches_into_the_margin_is_noise)
{
	static const struct {
		double low, high;
		bool more;
		double margin;
		enum verdict verdict;
	} cases[] = {
		{ 0.98, 1.02, false, 0, VERDICT_NOISE },
		{ 1.01, 1.02, false, 0, VERDICT_SLOWER },
		{ 1.01, 1.02, true, 0, VERDICT_FASTER },
		{ 0.98, 0.99, false, 0, VERDICT_FASTER },
		{ 0.98, 0.99, true, 0, VERDICT_SLOWER },
		{ 1.01, 1.20, false, 0.03, VERDICT_NOISE },
		{ 1.04, 1.20, false, 0.03, VERDICT_SLOWER },
		{ 0.80, 0.98, true, 0.03, VERDICT_NOISE },
		{ 0.80, 0.96, true, 0.03, VERDICT_SLOWER },
	};

	for (unsigned int i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct interval interval = { 1, cases[i].low, cases[i].high };

		EXPECT_EQ(cases[i].verdict,
			  interval_verdict(&interval, cases[i].more, cases[i].margin));
	}
}

/* ---- compare ---- */

/* A result of one row, whose rounds are `scale` times 100 to 109. */
static void write_result(const char *path, const char *metric, const char *cpu, const char *peer,
			 double scale, unsigned int rounds)
{
	FILE *file = fopen(path, "w");

	if (!file)
		abort();
	fprintf(file,
		"{\"file_version\":1,\"mode\":\"rtt\",\"machine\":{\"cpu\":\"%s\"},"
		"\"rows\":[{\"peer\":\"%s\",\"access\":\"read\",\"%s\":{\"rounds\":[",
		cpu, peer, metric);
	for (unsigned int i = 0; i < rounds; i++)
		fprintf(file, "%s%f", i ? "," : "", scale * (100 + i));
	fprintf(file, "]}}]}\n");
	fclose(file);
}

TEST_F(bench_peers, two_results_are_told_apart_by_more_than_the_margin)
{
	static const struct {
		const char *metric;
		double scale;
		unsigned int rounds;
		const char *margin;
		int status;
		const char *verdict;
	} cases[] = {
		{ "rtt_ns", 1, 10, "3", 0, "inside noise\n" },
		{ "rtt_ns", 1.3, 10, "3", 3, "  slower\n" },
		{ "rtt_ns", 1.3, 10, "30", 0, "inside noise\n" },
		{ "rtt_ns", 0.7, 10, "3", 0, "  faster\n" },
		{ "guest_ns", 1.3, 10, "3", 3, "  slower\n" },
		{ "accesses_per_s", 1.3, 10, "3", 0, "  faster\n" },
		{ "accesses_per_s", 0.7, 10, "3", 3, "  slower\n" },
		{ "rtt_ns", 1.3, 3, "3", 0, "too few rounds\n" },
	};

	for (unsigned int i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		write_result(self->a, cases[i].metric, "x", "ours", 1, 10);
		write_result(self->b, cases[i].metric, "x", "ours", cases[i].scale,
			     cases[i].rounds);
		EXPECT_EQ(cases[i].status,
			  run(&self->program,
			      ARGS("compare", "--margin", cases[i].margin, self->a, self->b)));
		EXPECT_NE(NULL, strstr(self->program.said, cases[i].verdict))
		{
			TH_LOG("%u: %s", i, self->program.said);
		}
	}
}

TEST_F(bench_peers, results_of_two_machines_are_refused_and_the_field_is_named)
{
	write_result(self->a, "rtt_ns", "fast", "ours", 1, 10);
	write_result(self->b, "rtt_ns", "slow", "ours", 1.3, 10);
	EXPECT_EQ(2, run(&self->program, ARGS("compare", self->a, self->b)));
	EXPECT_TRUE(complains(&self->program, "machine/cpu: "));
	EXPECT_TRUE(complains(&self->program, "has \"slow\""));
	EXPECT_STREQ("", self->program.said);
	EXPECT_EQ(3, run(&self->program, ARGS("compare", "--anyway", self->a, self->b)));
	EXPECT_TRUE(complains(&self->program, "machine/cpu: "));
}

TEST_F(bench_peers, results_without_a_row_in_common_or_that_are_none_are_a_failure)
{
	write_result(self->a, "rtt_ns", "x", "ours", 1, 10);
	write_result(self->b, "rtt_ns", "x", "theirs", 1, 10);
	EXPECT_EQ(1, run(&self->program, ARGS("compare", self->a, self->b)));
	EXPECT_TRUE(complains(&self->program, "have no row in common"));
	EXPECT_EQ(1, run(&self->program, ARGS("compare", self->a, "/nonexistent.json")));
	EXPECT_TRUE(complains(&self->program, "/nonexistent.json: No such file"));
	EXPECT_EQ(1, run(&self->program, ARGS("compare", "/dev/null", self->a)));
	EXPECT_TRUE(complains(&self->program, "/dev/null: it is no JSON"));
	EXPECT_EQ(1, run(&self->program, ARGS("compare", self->a)));
	EXPECT_TRUE(complains(&self->program, "wants two files"));
}

TEST_F(bench_peers, the_roads_of_two_runs_can_be_compared)
{
	EXPECT_EQ(0, run(&self->program, ARGS("--no-kvm", "--ops", "200", "--repeat", "4",
					      "--roads", "socket", "--json", self->a)));
	EXPECT_EQ(0, run(&self->program, ARGS("compare", "--margin", "99", self->a, self->a)));
	EXPECT_NE(NULL, strstr(self->program.said, "socket write asleep 4 host"));
	EXPECT_NE(NULL, strstr(self->program.said, " 1.000 "));
}

TEST_HARNESS_MAIN
