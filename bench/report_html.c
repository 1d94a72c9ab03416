/* SPDX-License-Identifier: BSD-3-Clause */
/* The page: what a result comes to at a glance, its charts, its numbers, and how to get them again. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "html.h"
#include "report.h"

/* ---- at a glance ---- */

static void put_gain(FILE *to, const struct result *result, const char *server)
{
	const struct result_row *fd = result_find(result, "ioeventfd", "wildcard", server);
	const struct result_row *socket = result_find(result, "socket", "write", server);

	if (!fd || !socket || !(fd->cost.p50 > 0))
		return;
	fprintf(to,
		"<li>What a doorbell costs the %s by eventfd instead of by message, the server %s:<b>%.*f times "
		"%s</b>",
		strcmp(fd->guest, "host") ? "guest" : "host", server,
		fmax(socket->cost.p50 / fd->cost.p50, fd->cost.p50 / socket->cost.p50) < 9.95,
		fmax(socket->cost.p50 / fd->cost.p50, fd->cost.p50 / socket->cost.p50),
		fd->cost.p50 <= socket->cost.p50 ? "less" : "more");
	html_time(to, fd->cost.p50);
	fputs(" instead of ", to);
	html_time(to, socket->cost.p50);
	fputs("</li>\n", to);
}

static void put_floor(FILE *to, const struct result *result)
{
	const struct result_row *row = result_find(result, "exit", "write", "-");

	if (!row)
		return;
	fputs("<li>Leaving the guest, and nothing else:<b>", to);
	html_time(to, row->cost.p50);
	fputs("</b>what any access costs that no fd takes</li>\n", to);
}

/* What made the accesses says what times mean. */
static void put_guest(FILE *to, const struct result *result)
{
	const char *guest = "";

	for (unsigned int i = 0; i < result->nr_rows && !*guest; i++)
		guest = result->rows[i].guest;
	if (!strcmp(guest, "host"))
		fputs("<p>There was no guest: a process of the host made the accesses, and what is said "
		      "of the guest is of that process.</p>\n",
		      to);
	else if (!strcmp(guest, "emulated"))
		fputs("<p>This KVM interprets its guests: the guest’s times are the interpreter’s."
		      "</p>\n",
		      to);
}

static void put_tiles(FILE *to, const struct result *result)
{
	fputs("<ul class=\"tiles\">\n", to);
	put_gain(to, result, "awake");
	put_gain(to, result, "asleep");
	put_floor(to, result);
	fputs("</ul>\n", to);
}

/* ---- words ---- */

static void put_findings(FILE *to, const struct result *result)
{
	if (!result->nr_findings)
		return;
	fputs("<section><h2>In words</h2>\n<ul class=\"findings\">\n", to);
	for (unsigned int i = 0; i < result->nr_findings; i++) {
		fputs("<li>", to);
		html_text(to, result->findings[i]);
		fputs("</li>\n", to);
	}
	fputs("</ul>\n", to);
	if (result->is_roads)
		fputs("<p class=\"dim\">Awake: a server that looks for work for a millisecond before it "
		      "sleeps. Asleep: one that sleeps at once and has to be woken. In parentheses: "
		      "where the ratios of the single rounds lie.</p>\n",
		      to);
	fputs("</section>\n", to);
}

/* ---- where and how ---- */

static void put_fact(FILE *to, const char *name, const char *value)
{
	if (!value)
		return;
	fputs("<dt>", to);
	html_text(to, name);
	fputs("</dt><dd>", to);
	html_text(to, value);
	fputs("</dd>\n", to);
}

/* Members of an object, which may have objects with members. */
static void put_facts(FILE *to, const struct result *result, const char *path)
{
	struct json_object *object = NULL;

	if (json_pointer_get(result->root, path, &object) ||
	    !json_object_is_type(object, json_type_object))
		return;
	json_object_object_foreach(object, name, value) {
		char text[256];

		if (!json_object_is_type(value, json_type_object)) {
			put_fact(to, name, json_object_get_string(value));
			continue;
		}
		text[0] = 0;
		json_object_object_foreach(value, inner, number) {
			size_t len = strlen(text);

			snprintf(text + len, sizeof(text) - len, "%s%s %s", len ? ", " : "", inner,
				 json_object_get_string(number));
		}
		put_fact(to, name, text);
	}
}

/* As a shell takes it. */
static void put_word(FILE *to, const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "-_=+,./:@%";
	char letter[2] = "";

	if (*word && strspn(word, plain) == strlen(word)) {
		html_text(to, word);
		return;
	}
	fputc('\'', to);
	for (; *word; word++) {
		letter[0] = *word;
		html_text(to, *word == '\'' ? "'\\''" : letter);
	}
	fputc('\'', to);
}

static void put_command(FILE *to, const struct result *result)
{
	struct json_object *list = NULL;

	if (json_pointer_get(result->root, "/command_line", &list) ||
	    !json_object_is_type(list, json_type_array))
		return;
	fputs("<p>The command:</p>\n<pre><code>", to);
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		const char *word = json_object_get_string(json_object_array_get_idx(list, i));

		fputs(i ? " " : "", to);
		put_word(to, word ? word : "");
	}
	fputs("</code></pre>\n", to);
}

static void put_machine(FILE *to, const struct result *result)
{
	fputs("<section><h2>Where and how</h2>\n<dl class=\"machine\">\n", to);
	put_fact(to, "date", result_text_at(result, "/date"));
	put_fact(to, "fastpath", result_text_at(result, "/fastpath"));
	put_facts(to, result, "/machine");
	put_facts(to, result, "/config");
	fputs("</dl>\n", to);
	put_command(to, result);
	fputs("</section>\n", to);
}

/* ---- the page ---- */

static const char *title_of(const struct result *result)
{
	return result->is_roads	      ? "What a guest’s access to a device costs" :
	       result->more_is_better ? "How many accesses servers do" :
					"What an access to servers costs";
}

static void put_about(FILE *to, const struct result *result)
{
	static const char *const paths[] = { "/machine/cpu", "/machine/kernel",
					     "/machine/kvm_module", "/date" };
	static const char *const before[] = { "", "Linux ", "KVM: ", "" };
	bool is_first = true;

	fputs("<p class=\"dim\">", to);
	for (unsigned int i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		const char *text = result_text_at(result, paths[i]);

		if (!text)
			continue;
		fputs(is_first ? "" : " · ", to);
		fputs(before[i], to);
		html_text(to, text);
		is_first = false;
	}
	fputs("</p>\n", to);
}

static void put_result(FILE *to, const struct result *result)
{
	fprintf(to, "<article>\n<h1>%s</h1>\n", title_of(result));
	put_about(to, result);
	if (result->is_roads) {
		put_guest(to, result);
		put_tiles(to, result);
	}
	html_bars(to, result);
	html_ratios(to, result);
	put_findings(to, result);
	if (!result->more_is_better) /* each round is one value then */
		html_curves(to, result);
	html_cpu(to, result);
	html_rounds(to, result);
	html_table(to, result);
	put_machine(to, result);
	fputs("</article>\n", to);
}

int report_html(const struct result *results, unsigned int nr, FILE *to)
{
	fprintf(to,
		"<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
		"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
		/* Whatever a result says, nothing is run and nothing is fetched. */
		"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
		"style-src 'unsafe-inline'\"/>\n<title>%s</title>\n<style>\n%s</style>\n</head>\n"
		"<body>\n<main>\n",
		title_of(results), html_style);
	for (unsigned int i = 0; i < nr; i++)
		put_result(to, &results[i]);
	fprintf(to,
		"</main>\n<footer><p>fastpath-bench %s. What each number is: docs/benchmarking.md. "
		"Ratios travel from one machine to another, times do not.</p></footer>\n</body>\n"
		"</html>\n",
		FASTPATH_VERSION);
	return ferror(to) ? -EIO : 0;
}
