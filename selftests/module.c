// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device of somebody's own, built apart, which a server loads.
 *
 * GPL-2.0-only, because it includes the kernel's kselftest harness.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fastpath-client.h"
#include "fastpath.h"
#include "kselftest_harness.h"
#include "lib/peer.h"
#include "lib/program.h"
#include "log.h"

#define ARGS(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* A device that answers 42 when it is read. */
#define HEAD "#include \"fastpath.h\"\n"
#define HANDLER                                                                   \
	"static int on_access(struct fp_device *dev, struct fp_access *access)\n" \
	"{ (void)dev; fp_access_answer(access, 42); return 0; }\n"
#define CLASS(ident, name_)                                                         \
	"FP_DEVICE(" ident ") = { .name = \"" name_ "\", .summary = \"answers\",\n" \
	".pci = { .vendor = 0x1b36, .device = 5, .class_code = 0xff00 },\n"         \
	".regions[FP_BAR0] = { .size = 4096, .access = on_access } };\n"

FIXTURE(module) {
	char dir[64];
	char so[80];
	char sockets[2][80];
	struct program program;
};

FIXTURE_SETUP(module)
{
	log_set_level(LOG_ERROR);
	snprintf(self->dir, sizeof(self->dir), "/tmp/fastpath-test.XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	snprintf(self->so, sizeof(self->so), "%s/my.so", self->dir);
	for (int i = 0; i < 2; i++)
		snprintf(self->sockets[i], sizeof(self->sockets[i]), "%s/%d", self->dir, i);
}

FIXTURE_TEARDOWN(module)
{
	unlink(self->so);
	rmdir(self->dir);
}

/* Builds self->so as its author would, without any library of ours. */
static bool build(FIXTURE_DATA(module) * self, const char *source)
{
	char command[256];
	FILE *cc;

	snprintf(command, sizeof(command),
		 "cc -x c -Wall -Wextra -Werror -shared -fPIC -Icore -o %s -", self->so);
	cc = popen(command, "w");
	if (!cc)
		return false;
	fputs(source, cc);
	return !pclose(cc);
}

#define NEEDS_SOURCE()                       \
	if (access("core/fastpath.h", R_OK)) \
	SKIP(return, "not run from the directory of core/")

/* What is read there by the first client that gets in; -errno. */
static int64_t answer_at(const char *path)
{
	struct fpc_options options = { .timeout_ms = PEER_DEADLINE_MS };
	int64_t deadline = 0;
	struct fpc *client;
	uint64_t value = 0;
	int ret;

	do
		ret = fpc_connect(path, &options, &client);
	while (ret && peer_time_left(&deadline));
	if (ret)
		return ret;
	ret = fpc_region_read(client, FP_BAR0, 0, &value, 8);
	fpc_close(client);
	return ret ? ret : (int64_t)value;
}

/* What the server says of the module, in its only line. */
static const char *refusal(FIXTURE_DATA(module) * self)
{
	char device[256];
	char *newline;

	snprintf(device, sizeof(device), "%s,socket=%s", self->so, self->sockets[0]);
	program_start(&self->program, "fastpathd", ARGS("--device", device), false);
	program_wait(&self->program);
	newline = strchr(self->program.complained, '\n');
	if (self->program.status != 1 || !newline || newline[1])
		fprintf(stderr, "# status %d: %s\n", self->program.status,
			self->program.complained);
	return self->program.complained;
}

static bool serves(FIXTURE_DATA(module) * self)
{
	char device[256];
	bool answers;

	snprintf(device, sizeof(device), "%s,socket=%s", self->so, self->sockets[0]);
	program_start(&self->program, "fastpathd", ARGS("--device", device), false);
	answers = answer_at(self->sockets[0]) == 42;
	kill(self->program.pid, SIGTERM);
	program_wait(&self->program);
	if (self->program.status || *self->program.complained)
		fprintf(stderr, "# status %d: %s\n", self->program.status,
			self->program.complained);
	return answers && !self->program.status;
}

TEST_F(module, its_device_is_served_like_a_built_in_one)
{
	NEEDS_SOURCE();
	ASSERT_TRUE(build(self, HEAD HANDLER CLASS("mine", "mine")));
	EXPECT_TRUE(serves(self));
}

TEST_F(module, two_devices_can_be_of_one_module)
{
	char devices[2][256];

	NEEDS_SOURCE();
	ASSERT_TRUE(build(self, HEAD HANDLER CLASS("mine", "mine")));
	for (int i = 0; i < 2; i++)
		snprintf(devices[i], sizeof(devices[i]), "%s,socket=%s", self->so,
			 self->sockets[i]);
	program_start(&self->program, "fastpathd",
		      ARGS("--device", devices[0], "--device", devices[1]), false);
	EXPECT_EQ(42, answer_at(self->sockets[0]));
	EXPECT_EQ(42, answer_at(self->sockets[1]));
	kill(self->program.pid, SIGTERM);
	program_wait(&self->program);
	EXPECT_EQ(0, self->program.status);
}

/* Those that no built-in device calls have to be there, too. */
TEST_F(module, it_finds_every_function_of_the_header)
{
	static const char names[] =
		"grep -o '\\bfp_[a-z_]*(' core/fastpath.h | tr -d '(' | sort -u | while read -r f;"
		" do grep -q \"FP_PUBLIC.*\\b$f(\" core/fastpath.h && echo $f; done";
	char source[8192] = HEAD HANDLER CLASS("mine", "mine") "void *const all[] = {";
	char name[128];
	FILE *list;

	NEEDS_SOURCE();
	list = popen(names, "r");
	ASSERT_NE(NULL, list);
	while (fgets(name, sizeof(name), list)) {
		name[strcspn(name, "\n")] = '\0';
		ASSERT_GT(sizeof(source), strlen(source) + sizeof(name) + 16);
		sprintf(source + strlen(source), "(void *)%s,\n", name);
	}
	pclose(list);
	ASSERT_NE(NULL, strstr(source, "fp_irq_trigger"));
	strcat(source, "};\n");
	ASSERT_TRUE(build(self, source));
	EXPECT_TRUE(serves(self));
}

TEST_F(module, one_that_was_built_for_another_version_is_refused)
{
	NEEDS_SOURCE();
	ASSERT_TRUE(build(self, HEAD "static void __attribute__((constructor)) mine(void)\n"
				     "{ fp_register_class((void *)1, FP_ABI + 1, 64); }\n"));
	EXPECT_NE(NULL, strstr(refusal(self), "build it anew"));
}

TEST_F(module, one_without_a_device_is_refused)
{
	NEEDS_SOURCE();
	ASSERT_TRUE(build(self, "int nothing;\n"));
	EXPECT_NE(NULL, strstr(refusal(self), "it has no FP_DEVICE()"));
}

TEST_F(module, one_with_two_devices_is_refused)
{
	NEEDS_SOURCE();
	ASSERT_TRUE(build(self, HEAD HANDLER CLASS("mine", "mine") CLASS("other", "other")));
	EXPECT_NE(NULL, strstr(refusal(self), "a module has one device, this one has 2"));
}

TEST_F(module, a_name_that_is_taken_is_refused)
{
	NEEDS_SOURCE();
	ASSERT_TRUE(build(self, HEAD HANDLER CLASS("mine", "testdev")));
	EXPECT_NE(NULL, strstr(refusal(self), "testdev: there are two of that name"));
}

TEST_F(module, what_is_no_module_is_refused_by_its_name)
{
	FILE *file;

	EXPECT_NE(NULL, strstr(refusal(self), self->so));
	file = fopen(self->so, "w");
	ASSERT_NE(NULL, file);
	fputs("not a library\n", file);
	fclose(file);
	EXPECT_NE(NULL, strstr(refusal(self), self->so));
}

TEST_HARNESS_MAIN
