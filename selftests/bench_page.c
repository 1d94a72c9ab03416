/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What fastpath-bench makes of a result: a page, files for other programs, and tables that know what
 * they are printed on. The numbers are those of the JSON, and no times are looked at.
 *
 * GPL-2.0-only, because it includes the kernel's kselftest harness.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "json_at.h"
#include "kselftest_harness.h"
#include "program.h"

#define ARGS(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define ROADS "--no-kvm", "--ops", "60", "--repeat", "3"
#define RTT "rtt", "--rounds", "6", "--count", "10"

/* A directory for files, and what a run said. */
FIXTURE(bench_page) {
	char dir[64];
	char json[80], page[80], other[80];
	struct program program;
};

FIXTURE_SETUP(bench_page)
{
	unsetenv("COLUMNS");
	unsetenv("NO_COLOR");
	strcpy(self->dir, "/tmp/bench_page.XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	snprintf(self->json, sizeof(self->json), "%s/json", self->dir);
	snprintf(self->page, sizeof(self->page), "%s/page", self->dir);
	snprintf(self->other, sizeof(self->other), "%s/other", self->dir);
}

static int delete_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

FIXTURE_TEARDOWN(bench_page)
{
	nftw(self->dir, delete_one, 8, FTW_DEPTH | FTW_PHYS);
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

/* All of a file, to be freed; "" when it is not there. */
static char *content(const char *path)
{
	char *text = calloc(1, 4 << 20);
	FILE *file = fopen(path, "r");

	if (file) {
		if (fread(text, 1, (4 << 20) - 1, file) == (4 << 20) - 1)
			abort();
		fclose(file);
	}
	return text;
}

static void write_text(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	if (!file)
		abort();
	fputs(text, file);
	fclose(file);
}

static bool exists(const char *path)
{
	return !access(path, F_OK);
}

/* ---- the page ---- */

#define MAX_DEPTH 32
#define MAX_NAME 24

/* The name of the tag at `at`, behind "<" or "</". */
static size_t tag_name(const char *at, char name[MAX_NAME])
{
	size_t len = 0;

	while (len < MAX_NAME - 1 && isalnum((unsigned char)at[len])) {
		name[len] = at[len];
		len++;
	}
	name[len] = 0;
	return len;
}

/* The end of a tag, whose attributes have to be name="value"; NULL: they are not. */
static const char *tag_end(const char *at)
{
	for (;;) {
		at += strspn(at, " \n");
		if (*at == '>' || !strncmp(at, "/>", 2))
			return at;
		while (isalnum((unsigned char)*at) || (*at && strchr("-:", *at)))
			at++;
		if (strncmp(at, "=\"", 2))
			return NULL;
		at = strpbrk(at + 2, "\"<");
		if (!at || *at++ != '"')
			return NULL;
	}
}

/* Whether an "&" begins one of the few entities that HTML and XML share. */
static bool is_entity(const char *at)
{
	static const char *const known[] = { "&amp;", "&lt;", "&gt;", "&quot;", "&#160;" };

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (!strncmp(at, known[i], strlen(known[i])))
			return true;
	return false;
}

/* Where it stops being well-formed XML, but for its <!DOCTYPE>; NULL: nowhere. */
static const char *malformed(const char *page)
{
	char open[MAX_DEPTH][MAX_NAME];
	const char *at = strstr(page, "<html");
	unsigned int depth = 0;
	bool had_root = false;

	for (; at && *at; at++) {
		const char *begin = at;
		char name[MAX_NAME];

		if (*at == '&' && !is_entity(at))
			return at;
		if (*at != '<')
			continue;
		if (at[1] == '/') {
			at += 2 + tag_name(at + 2, name);
			if (!depth || strcmp(open[--depth], name) || *at != '>')
				return begin;
			continue;
		}
		if (!tag_name(at + 1, name) || (had_root && !depth) || depth == MAX_DEPTH)
			return begin;
		at = tag_end(at + 1 + strlen(name));
		if (!at)
			return begin;
		had_root = true;
		if (*at == '/')
			at++;
		else
			strcpy(open[depth++], name);
	}
	return had_root && !depth ? NULL : "its end";
}

/* What would be fetched or run; NULL: nothing. */
static const char *reaches_out(const char *page)
{
	static const char *const ways[] = { "http:",   "https:", "src=",    "<script", "<link",
					    "<a ",     "url(",	 "@import", "<img",    "<iframe",
					    "<object", "onload", "data:",   "srcset" };

	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++)
		if (strstr(page, ways[i]))
			return ways[i];
	for (const char *at = page; (at = strstr(at, "href=\"")); at++)
		if (at[6] != '#')
			return at;
	return NULL;
}

/* Every "#id" that is used is there. */
static bool uses_what_it_has(const char *page)
{
	for (const char *at = page; (at = strstr(at, "href=\"#")); at++) {
		char wanted[64];

		snprintf(wanted, sizeof(wanted), "id=\"%.*s\"", (int)strcspn(at + 7, "\""), at + 7);
		if (!strstr(page, wanted))
			return false;
	}
	return true;
}

/* The row that begins with such a header cell, behind `from`; NULL: there is none. */
static const char *find_row(const char *from, const char *name)
{
	char wanted[128];

	snprintf(wanted, sizeof(wanted), ">%s</th>", name);
	return strstr(from, wanted);
}

/* Whether `what` is there before the row ends. */
static bool row_has(const char *row, const char *what)
{
	const char *end = row ? strstr(row, "</tr>") : NULL;
	const char *found = end ? strstr(row, what) : NULL;

	return found && found < end;
}

static double number_at(struct json_object *row, const char *path)
{
	return json_object_get_double(json_at(row, path));
}

/* The bars: by groups, so that rows of a name are in the JSON's order only within one. */
static bool has_bar(const char *page, const char *group, const char *name, const char *value)
{
	const char *at = find_row(page, group);

	return at && row_has(find_row(at, name), value);
}

TEST_F(bench_page, it_holds_every_row_with_the_numbers_of_the_json)
{
	struct json_object *root, *rows;
	const char *table;
	char *page;

	ASSERT_EQ(0, run(&self->program, ARGS("--no-kvm", "--ops", "4000", "--repeat", "3",
					      "--json", self->json, "--html", self->page)));
	root = json_object_from_file(self->json);
	page = content(self->page);
	table = strstr(page, "<h2>All numbers</h2>");
	ASSERT_NE(NULL, table);
	rows = json_at(root, "rows");
	ASSERT_LT(20, json_object_array_length(rows));
	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);
		char name[64], value[160], group[64];

		snprintf(name, sizeof(name), "%s %s", json_text_at(row, "road"),
			 json_text_at(row, "op"));
		snprintf(group, sizeof(group), "server %s", json_text_at(row, "server"));
		if (!strcmp(json_text_at(row, "server"), "-"))
			strcpy(group, "no server involved");
		table = find_row(table, name);
		ASSERT_NE(NULL, table)
		{
			TH_LOG("%s is not in the table, in its place", name);
		}
		if (*json_text_at(row, "skip")) {
			EXPECT_TRUE(row_has(table, "not measured: "));
			EXPECT_TRUE(has_bar(page, group, name, "not measured: "));
			continue;
		}
		snprintf(value, sizeof(value), "<data value=\"%.1f\">",
			 number_at(row, "guest_ns/percentile/50.000000"));
		EXPECT_TRUE(has_bar(page, group, name, value));
		snprintf(value, sizeof(value),
			 "<td>%.0f</td><td>%.0f</td><td>%.0f</td><td>%.0f</td><td>%.0f</td>",
			 number_at(row, "guest_ns/percentile/50.000000"),
			 number_at(row, "guest_ns/percentile/90.000000"),
			 number_at(row, "guest_ns/percentile/99.000000"),
			 number_at(row, "guest_ns/percentile/99.900000"),
			 number_at(row, "guest_ns/max"));
		EXPECT_TRUE(row_has(table, value));
		snprintf(value, sizeof(value), "<td>%.0f</td>",
			 number_at(row, "client_cpu_ns_per_op"));
		EXPECT_TRUE(row_has(table, value));
		table++;
	}
	EXPECT_NE(NULL, strstr(page, "A doorbell") ?: strstr(page, "a doorbell by ioeventfd"));
	EXPECT_NE(NULL, strstr(page, json_text_at(root, "machine/kernel")));
	EXPECT_NE(NULL, strstr(page, "--no-kvm --ops 4000 --repeat 3 --json "));
	json_object_put(root);
	free(page);
}

TEST_F(bench_page, it_is_well_formed_and_needs_nothing_from_elsewhere)
{
	char *page;

	ASSERT_EQ(0, run(&self->program, ARGS(ROADS, "--json", self->json)));
	ASSERT_EQ(0, run(&self->program, ARGS(RTT, "--json", self->other)));
	ASSERT_EQ(0, run(&self->program,
			 ARGS("report", "--html", self->page, self->json, self->other)));
	page = content(self->page);
	EXPECT_EQ(NULL, malformed(page))
	{
		TH_LOG("%.80s", malformed(page));
	}
	EXPECT_EQ(NULL, reaches_out(page))
	{
		TH_LOG("%.80s", reaches_out(page));
	}
	EXPECT_TRUE(uses_what_it_has(page));
	EXPECT_NE(NULL, strstr(page, "<h2>The ladder</h2>"));
	EXPECT_NE(NULL, strstr(page, "<h2>Round trips</h2>"));
	EXPECT_NE(NULL, strstr(page, "<h2>Beside fastpath</h2>"));
	EXPECT_NE(NULL, strstr(page, "prefers-color-scheme:dark"));
	EXPECT_NE(NULL, strstr(page, "@media print"));
	free(page);
}

TEST_F(bench_page, one_of_a_run_and_one_of_its_json_are_the_same)
{
	char *page, *again;

	ASSERT_EQ(0, run(&self->program, ARGS(RTT, "--json", self->json, "--html", self->page)));
	ASSERT_EQ(0, run(&self->program, ARGS("report", self->json, "--html", self->other)));
	page = content(self->page);
	again = content(self->other);
	EXPECT_LT(1000, strlen(page));
	EXPECT_STREQ(page, again);
	free(page);
	free(again);
}

/* A result of one row of a server. */
#define RESULT(peer, series)                                                                       \
	"{\"mode\":\"rtt\",\"command_line\":[\"it's\",\"<b>\"],\"machine\":{\"cpu\":\"<i>&\"},"    \
	"\"rows\":[{\"peer\":\"" peer "\",\"access\":\"read\",\"size_bytes\":4,\"rtt_ns\":" series \
	"}]}"
#define SERIES "{\"N\":3,\"min\":1,\"max\":3,\"percentile\":{\"50.000000\":2}}"

TEST_F(bench_page, what_a_result_says_is_text_whatever_it_is)
{
	char *page;

	write_text(self->json, RESULT("<script>alert('&amp;')</script>\\\" x=\\\"", SERIES));
	ASSERT_EQ(0, run(&self->program, ARGS("report", self->json, "--html", self->page)));
	page = content(self->page);
	EXPECT_EQ(NULL, malformed(page));
	EXPECT_EQ(NULL, reaches_out(page));
	EXPECT_NE(NULL, strstr(page, "&lt;script&gt;alert('&amp;amp;')&lt;/script&gt;&quot;"));
	EXPECT_NE(NULL, strstr(page, "'it'\\''s' '&lt;b&gt;'"));
	EXPECT_NE(NULL, strstr(page, "&lt;i&gt;&amp;"));
	free(page);
}

TEST_F(bench_page, what_is_no_result_is_refused_by_the_member_that_is_wrong)
{
	static const struct {
		const char *text;
		const char *why;
	} cases[] = {
		{ "", "it is no JSON" },
		{ "[]", "wants a JSON object" },
		{ "{}", "rows: wants a list of rows" },
		{ "{\"mode\":\"dance\",\"rows\":[{}]}", "mode: wants roads, rtt or throughput" },
		{ "{\"mode\":1,\"rows\":[{}]}", "mode: wants a text" },
		{ "{\"rows\":[3]}", "rows[0].: wants an object" },
		{ "{\"rows\":[{\"road\":\"exit\"}]}", "rows[0].guest_ns: wants an object" },
		{ RESULT("x", "7"), "rows[0].rtt_ns: wants an object" },
		{ RESULT("x", "{\"N\":0}"), "rows[0].rtt_ns.N: wants a number above 0" },
		{ RESULT("x", "{\"N\":1,\"min\":2,\"max\":1}"), "rows[0].rtt_ns.min: wants" },
		{ RESULT("x", "{\"N\":1,\"min\":1,\"max\":1}"), "rtt_ns.percentile: wants the 50" },
		{ RESULT("x", "{\"N\":1,\"min\":1,\"max\":1,\"percentile\":{\"50.000000\":\"1\"}}"),
		  "rtt_ns.50.000000: wants a number" },
		{ RESULT("x", "{\"N\":1,\"min\":1,\"max\":1,\"percentile\":{\"50.000000\":1},"
			      "\"rounds\":[\"1\"]}"),
		  "rtt_ns.rounds: wants a list of numbers" },
		{ RESULT("x", "{\"N\":1,\"min\":1,\"max\":1,\"percentile\":{\"50.000000\":1},"
			      "\"curve\":[[101,1]]}"),
		  "rtt_ns.curve: wants a list of pairs" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		write_text(self->json, cases[i].text);
		EXPECT_EQ(1, run(&self->program, ARGS("report", self->json, "--html", self->page)));
		EXPECT_TRUE(complains(&self->program, cases[i].why))
		{
			TH_LOG("%s: %s", cases[i].why, self->program.complained);
		}
		EXPECT_FALSE(exists(self->page));
	}
}

/* ---- for other programs ---- */

TEST_F(bench_page, hgrm_files_have_percentiles_up_to_the_last_one)
{
	struct json_object *root;
	double value, percentile, before = 0;
	unsigned long count = 0;
	char path[128];
	char *text, *line, *at;

	ASSERT_EQ(0, run(&self->program, ARGS(ROADS, "--roads", "ioeventfd", "--json", self->json,
					      "--hgrm", self->other)));
	root = json_object_from_file(self->json);
	snprintf(path, sizeof(path), "%s/ioeventfd-wildcard-awake.guest_ns.hgrm", self->other);
	at = text = content(path);
	EXPECT_NE(NULL, strstr(text, "1/(1-Percentile)\n\n"));
	while ((line = strsep(&at, "\n")))
		if (sscanf(line, "%lf %lf %lu", &value, &percentile, &count) == 3) {
			EXPECT_LE(before, value);
			before = value;
		}
	EXPECT_EQ(1, percentile);
	EXPECT_EQ(json_number_at(root, "rows/3/guest_ns/N"), count);
	EXPECT_STREQ("awake", json_text_at(root, "rows/3/server"));
	EXPECT_GT(0.06, value - number_at(root, "rows/3/guest_ns/max"));
	EXPECT_GT(0.06, number_at(root, "rows/3/guest_ns/max") - value);
	free(text);
	text = content(path);
	EXPECT_NE(NULL, strstr(text, "\n#[Mean    = "));
	free(text);
	/* One that has no curves. */
	write_text(self->json, RESULT("it", SERIES));
	EXPECT_EQ(1, run(&self->program, ARGS("report", self->json, "--hgrm", self->other)));
	EXPECT_TRUE(complains(&self->program, "can't be written: No data available"));
	json_object_put(root);
}

TEST_F(bench_page, gnuplot_has_all_data_that_its_script_names)
{
	unsigned int nr = 0;
	char path[128];
	char *script;

	ASSERT_EQ(0, run(&self->program, ARGS(RTT, "--gnuplot", self->other)));
	snprintf(path, sizeof(path), "%s/plot.gp", self->other);
	script = content(path);
	for (const char *at = script; (at = strstr(at, ".dat'")); at++, nr++) {
		const char *begin = at;

		while (begin[-1] != '\'')
			begin--;
		snprintf(path, sizeof(path), "%s/%.*s", self->other, (int)(at + 4 - begin), begin);
		EXPECT_TRUE(exists(path));
	}
	EXPECT_EQ(8, nr); /* two servers, two kinds of access, two charts */
	free(script);
}

/* ---- where it goes ---- */

TEST_F(bench_page, outputs_that_can_t_both_be_are_refused_before_anything_is_measured)
{
	const struct {
		const char *const *args;
		const char *why;
	} cases[] = {
		{ ARGS(ROADS, "--json", "-", "--csv", "-"),
		  "--json - and --csv -: only one of them can be the standard output" },
		{ ARGS(RTT, "--csv", "-", "--html", "-"),
		  "--csv - and --html -: only one of them can be the standard output" },
		{ ARGS(ROADS, "--json", self->json, "--csv", self->json), "that is the same file" },
		{ ARGS(ROADS, "--html", "/nonexistent/page.html"),
		  "--html /nonexistent/page.html: No such file or directory" },
		{ ARGS(RTT, "--hgrm", "/dev/null"), "--hgrm /dev/null: Not a directory" },
		{ ARGS(RTT, "--gnuplot", "-"), "--gnuplot -: wants a directory" },
		{ ARGS(RTT, "--color", "pink"), "--color=pink: wants auto, always or never" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		EXPECT_EQ(1, run(&self->program, cases[i].args));
		EXPECT_TRUE(complains(&self->program, cases[i].why))
		{
			TH_LOG("%s: %s", cases[i].why, self->program.complained);
		}
		EXPECT_FALSE(complains(&self->program, "round "));
		EXPECT_FALSE(exists(self->json));
	}
}

TEST_F(bench_page, a_run_that_fails_leaves_what_a_file_had_and_makes_none)
{
	char *text;

	write_text(self->json, "kept");
	EXPECT_EQ(1, run(&self->program,
			 ARGS("rtt", "--connect", "it=/nonexistent", "--json", self->json, "--html",
			      self->page, "--hgrm", self->other)));
	text = content(self->json);
	EXPECT_STREQ("kept", text);
	EXPECT_FALSE(exists(self->page));
	EXPECT_FALSE(exists(self->other));
	free(text);
}

TEST_F(bench_page, quiet_leaves_only_what_was_asked_for)
{
	struct json_object *root;

	EXPECT_EQ(0, run(&self->program,
			 ARGS(RTT, "--quiet", "--access", "read", "--no-floor", "--json", "-")));
	EXPECT_STREQ("", self->program.complained);
	root = json_tokener_parse(self->program.said);
	EXPECT_STREQ("rtt", json_text_at(root, "mode"));
	json_object_put(root);
}

/* ---- the terminal ---- */

/* The longest line, in columns of a terminal: all that is printed is ASCII. */
static size_t longest(const char *text)
{
	size_t most = 0;

	while (*text) {
		size_t len = strcspn(text, "\n");

		most = len > most ? len : most;
		text += len + (text[len] == '\n');
	}
	return most;
}

TEST_F(bench_page, tables_fit_their_columns_and_use_more_when_there_are_more)
{
	static const char *const widths[] = { "80", "60", "100", "140" };

	ASSERT_EQ(0, run(&self->program, ARGS(ROADS, "--json", self->json)));
	ASSERT_EQ(0, run(&self->program, ARGS(RTT, "--json", self->other)));
	for (size_t i = 0; i < sizeof(widths) / sizeof(*widths); i++) {
		setenv("COLUMNS", widths[i], 1);
		ASSERT_EQ(0, run(&self->program, ARGS("report", self->json)));
		EXPECT_GE(atoi(widths[i]), longest(self->program.said));
		EXPECT_EQ(i == 3, !!strstr(self->program.said, " guest\n"));
		EXPECT_NE(NULL, strstr(self->program.said, "ioeventfd  wildcard"));
		ASSERT_EQ(0, run(&self->program, ARGS("report", self->other)));
		EXPECT_GE(atoi(widths[i]), longest(self->program.said));
	}
	/* No terminal, and nothing said: nothing is left out. */
	unsetenv("COLUMNS");
	ASSERT_EQ(0, run(&self->program, ARGS("report", self->json)));
	EXPECT_NE(NULL, strstr(self->program.said, " n guest\n"));
}

/* Runs it on a terminal of so many columns; what it prints there, to be freed. */
static char *on_terminal(unsigned short columns, const char *const *args)
{
	struct winsize size = { .ws_col = columns, .ws_row = 24 };
	const char *argv[PROGRAM_MAX_ARGS] = { "fastpath-bench" };
	char *text = calloc(1, 1 << 20);
	size_t len = 0;
	ssize_t got;
	int terminal;
	pid_t pid;

	for (unsigned int i = 0; args[i]; i++)
		argv[i + 1] = args[i];
	pid = forkpty(&terminal, NULL, NULL, &size);
	if (!pid) {
		setenv("TERM", "xterm", 1);
		execv(program_path("fastpath-bench"), (char *const *)argv);
		_exit(127);
	}
	/* EIO is the end of a terminal. */
	while ((got = read(terminal, text + len, (1 << 20) - 1 - len)) > 0)
		len += (size_t)got;
	waitpid(pid, NULL, 0);
	close(terminal);
	return text;
}

TEST_F(bench_page, a_terminal_gets_colour_unless_no_color_or_we_say_otherwise)
{
	static const struct {
		const char *no_color;
		const char *option;
		bool has_colour;
	} cases[] = {
		{ NULL, "--color=auto", true },	  { "1", "--color=auto", false },
		{ "", "--color=auto", true },	  { "1", "--color=always", true },
		{ NULL, "--color=never", false },
	};

	write_text(self->json, RESULT("it", SERIES));
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char *text;

		unsetenv("NO_COLOR");
		if (cases[i].no_color)
			setenv("NO_COLOR", cases[i].no_color, 1);
		text = on_terminal(80, ARGS("report", self->json, cases[i].option));
		EXPECT_EQ(cases[i].has_colour, !!strstr(text, "\033["))
		{
			TH_LOG("case %zu: %s", i, text);
		}
		EXPECT_NE(NULL, strstr(text, "it"));
		free(text);
	}
	unsetenv("NO_COLOR");
	/* A pipe gets none. */
	EXPECT_EQ(0, run(&self->program, ARGS("report", self->json)));
	EXPECT_EQ(NULL, strchr(self->program.said, '\033'));
}

TEST_F(bench_page, a_terminal_s_width_is_heeded_and_it_is_told_how_long_it_takes)
{
	char *text;

	ASSERT_EQ(0, run(&self->program, ARGS(ROADS, "--json", self->json)));
	text = on_terminal(72, ARGS("report", self->json, "--color=never"));
	EXPECT_GE(72 + 1, longest(text)); /* a terminal's lines end with \r\n */
	EXPECT_NE(NULL, strstr(text, "ioeventfd  wildcard"));
	free(text);
	text = on_terminal(80, ARGS("rtt", "--rounds", "60", "--count", "10", "--access", "read"));
	EXPECT_NE(NULL, strstr(text, "\rround 1 of 60"));
	EXPECT_NE(NULL, strstr(text, " s left"));
	EXPECT_NE(NULL, strstr(text, "\r\033[K"));
	free(text);
	text = on_terminal(80, ARGS(RTT, "--quiet"));
	EXPECT_STREQ("", text);
	free(text);
}

TEST_HARNESS_MAIN
