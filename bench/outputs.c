/* SPDX-License-Identifier: BSD-3-Clause */
#include "outputs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "report.h"
#include "result_file.h"
#include "terminal.h"

static int write_json(const struct result *results, unsigned int nr, FILE *to)
{
	(void)nr;
	return result_print(results->root, to);
}

static int write_csv(const struct result *results, unsigned int nr, FILE *to)
{
	(void)nr;
	return report_csv(results, to);
}

/* A file, or a directory of them. */
static const struct {
	const char *option;
	const char *arg;
	int (*write)(const struct result *results, unsigned int nr, FILE *to);
	int (*write_dir)(const struct result *result, int dir);
	bool takes_several;
	const char *help;
} kinds[NR_OUTPUTS] = {
	[OUTPUT_JSON] = { "--json", "FILE", write_json, .help = "all that was measured" },
	[OUTPUT_CSV] = { "--csv", "FILE", write_csv, .help = "a line for each row" },
	[OUTPUT_HTML] = { "--html", "FILE", report_html, .takes_several = true,
			  .help = "a page to look at, with charts" },
	[OUTPUT_HGRM] = { "--hgrm", "DIR", .write_dir = report_hgrm,
			  .help = "HdrHistogram's percentiles, a file for each row" },
	[OUTPUT_GNUPLOT] = { "--gnuplot", "DIR", .write_dir = report_gnuplot,
			     .help = "data, and plot.gp that draws it" },
};

void outputs_usage(FILE *to, int indent)
{
	for (unsigned int i = 0; i < NR_OUTPUTS; i++) {
		char option[32];

		snprintf(option, sizeof(option), "%s %s", kinds[i].option, kinds[i].arg);
		fprintf(to, "  %-*s%s\n", indent - 2, option, kinds[i].help);
	}
	fprintf(to, "%*sFILE may be -, the standard output; the table\n", indent, "");
	fprintf(to, "%*sgoes to the standard error then\n", indent, "");
	fprintf(to, "  %-*sno table and no progress\n", indent - 2, "--quiet");
	fprintf(to, "  %-*sauto, always or never; auto: on a terminal, unless\n", indent - 2,
		"--color=WHEN");
	fprintf(to, "%*sNO_COLOR is set\n", indent, "");
}

int outputs_option(struct outputs *outputs, int opt, const char *arg)
{
	int kind = opt - OUTPUTS_FIRST;

	if (kind < 0 || kind > NR_OUTPUTS + 1)
		return 0;
	if (kind == NR_OUTPUTS + 1) {
		if (!terminal_set_colour(arg))
			return 1;
		log_error("--color=%s: wants auto, always or never", arg);
		return -EINVAL;
	}
	if (kind == NR_OUTPUTS) {
		outputs->is_quiet = true;
		terminal_set_quiet();
	} else {
		outputs->paths[kind] = arg;
	}
	return 1;
}

/* ---- opening ---- */

static bool is_stdout(const char *path)
{
	return path && !strcmp(path, "-");
}

/* What a file has is kept until there is something new. */
static int open_file(const char *path, bool *is_new)
{
	int fd;

	if (is_stdout(path))
		return fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	*is_new = fd >= 0;
	return fd < 0 && errno == EEXIST ? open(path, O_WRONLY | O_CLOEXEC) : fd;
}

static int open_dir(const char *path, bool *is_new)
{
	int fd;

	*is_new = !mkdir(path, 0777);
	if (!*is_new && errno != EEXIST)
		return -1;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 && faccessat(fd, ".", W_OK, AT_EACCESS)) {
		close(fd);
		return -1;
	}
	return fd;
}

static int open_one(struct outputs *outputs, unsigned int kind)
{
	const char *path = outputs->paths[kind];
	bool *is_new = &outputs->is_new[kind];
	int fd;

	if (kinds[kind].write_dir && is_stdout(path)) {
		log_error("%s -: wants a directory", kinds[kind].option);
		return -EINVAL;
	}
	fd = kinds[kind].write_dir ? open_dir(path, is_new) : open_file(path, is_new);
	if (fd < 0) {
		log_error("%s %s: %s", kinds[kind].option, path, strerror(errno));
		return -EINVAL;
	}
	outputs->fds[kind] = fd;
	outputs->is_open[kind] = true;
	return 0;
}

/* Whether both are files, and the same one; /dev/null may be given twice. */
static bool is_same(const struct outputs *outputs, unsigned int a, unsigned int b)
{
	struct stat one, other;

	return outputs->is_open[a] && outputs->is_open[b] && !kinds[a].write_dir &&
	       !fstat(outputs->fds[a], &one) && !fstat(outputs->fds[b], &other) &&
	       S_ISREG(one.st_mode) && one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

static int check_apart(const struct outputs *outputs)
{
	for (unsigned int a = 0; a < NR_OUTPUTS; a++)
		for (unsigned int b = a + 1; b < NR_OUTPUTS; b++) {
			if (is_stdout(outputs->paths[a]) && is_stdout(outputs->paths[b]))
				log_error(
					"%s - and %s -: only one of them can be the standard output",
					kinds[a].option, kinds[b].option);
			else if (is_same(outputs, a, b))
				log_error("%s %s and %s %s: that is the same file", kinds[a].option,
					  outputs->paths[a], kinds[b].option, outputs->paths[b]);
			else
				continue;
			return -EINVAL;
		}
	return 0;
}

int outputs_open(struct outputs *outputs)
{
	int ret = check_apart(outputs);

	for (unsigned int kind = 0; kind < NR_OUTPUTS && !ret; kind++)
		if (outputs->paths[kind])
			ret = open_one(outputs, kind);
	return ret ? ret : check_apart(outputs);
}

/* ---- writing ---- */

static int write_file(struct outputs *outputs, unsigned int kind, const struct result *results,
		      unsigned int nr)
{
	int fd = outputs->fds[kind];
	struct stat st;
	FILE *to;
	int ret;

	if (!is_stdout(outputs->paths[kind]) && !fstat(fd, &st) && S_ISREG(st.st_mode) &&
	    ftruncate(fd, 0))
		return -errno;
	to = fdopen(fd, "w");
	if (!to)
		return -errno;
	outputs->is_open[kind] = false;
	ret = kinds[kind].write(results, nr, to);
	if (ferror(to) && !ret)
		ret = -EIO;
	if (fclose(to) && !ret)
		ret = -errno;
	return ret;
}

static FILE *terminal_of(const struct outputs *outputs)
{
	for (unsigned int kind = 0; kind < NR_OUTPUTS; kind++)
		if (is_stdout(outputs->paths[kind]))
			return stderr;
	return stdout;
}

int outputs_write(struct outputs *outputs, const struct result *results, unsigned int nr)
{
	FILE *to = terminal_of(outputs);
	int ret = 0;

	for (unsigned int kind = 0; kind < NR_OUTPUTS; kind++)
		if (nr > 1 && outputs->paths[kind] && !kinds[kind].takes_several) {
			log_error("%s takes one result, not %u", kinds[kind].option, nr);
			return -EINVAL;
		}
	for (unsigned int i = 0; i < nr && !outputs->is_quiet; i++)
		report_text(&results[i], to);
	if (fflush(to)) {
		log_error("the table can't be written: %s", strerror(errno));
		return -EIO;
	}
	for (unsigned int kind = 0; kind < NR_OUTPUTS && !ret; kind++) {
		if (!outputs->is_open[kind])
			continue;
		ret = kinds[kind].write_dir ? kinds[kind].write_dir(results, outputs->fds[kind]) :
					      write_file(outputs, kind, results, nr);
		outputs->is_new[kind] = false;
		if (ret)
			log_error("%s %s: can't be written: %s", kinds[kind].option,
				  outputs->paths[kind], strerror(-ret));
	}
	return ret;
}

void outputs_close(struct outputs *outputs)
{
	for (unsigned int kind = 0; kind < NR_OUTPUTS; kind++) {
		if (outputs->is_open[kind])
			close(outputs->fds[kind]);
		outputs->is_open[kind] = false;
		if (!outputs->is_new[kind])
			continue;
		if (kinds[kind].write_dir)
			rmdir(outputs->paths[kind]);
		else
			unlink(outputs->paths[kind]);
	}
}
