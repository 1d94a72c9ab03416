/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * standalone: a fuzz target's main() where there is no libFuzzer: each argument is a file, or a
 * directory of files, that is one input. So any compiler can replay what a fuzzer has found.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "fuzz.h"

static unsigned int nr_inputs;

static int feed_file(const char *path)
{
	FILE *file = fopen(path, "re");
	CLEANUP_FREE uint8_t *bytes = NULL;
	size_t len = 0;
	struct stat st;

	if (!file || fstat(fileno(file), &st)) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		if (file)
			fclose(file);
		return 1;
	}
	bytes = malloc((size_t)st.st_size + 1);
	if (bytes)
		len = fread(bytes, 1, (size_t)st.st_size, file);
	fclose(file);
	if (!bytes || len != (size_t)st.st_size) {
		fprintf(stderr, "%s: it can't be read\n", path);
		return 1;
	}
	if (getenv("FASTPATH_FUZZ_LOG"))
		fprintf(stderr, "%s:\n", path);
	LLVMFuzzerTestOneInput(bytes, len);
	nr_inputs++;
	return 0;
}

static int feed_directory(const char *path)
{
	struct dirent **entries;
	int nr = scandir(path, &entries, NULL, alphasort);
	int ret = 0;

	if (nr < 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return 1;
	}
	for (int i = 0; i < nr; i++) {
		char file[PATH_MAX];

		snprintf(file, sizeof(file), "%s/%s", path, entries[i]->d_name);
		if (entries[i]->d_name[0] != '.')
			ret |= feed_file(file);
		free(entries[i]);
	}
	free(entries);
	return ret;
}

int main(int argc, char **argv)
{
	int ret = 0;

	for (int i = 1; i < argc; i++) {
		struct stat st;
		bool is_directory = !stat(argv[i], &st) && S_ISDIR(st.st_mode);

		ret |= is_directory ? feed_directory(argv[i]) : feed_file(argv[i]);
	}
	printf("%u inputs\n", nr_inputs);
	return ret;
}
