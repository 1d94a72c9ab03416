/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * fastpathctl as its users meet it: what it says of a good server, of an odd one, of none, and that
 * it changes nothing. (The harness that this is written with is GPL-2.0.)
 */
#include <errno.h>
#include <json-c/json.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "json_at.h"
#include "kselftest_harness.h"
#include "program.h"
#include "script.h"
#include "testdev.h"
#include "testdev_server.h"

/* Runs it with up to four arguments. */
static void run(struct program *program, const char *a, const char *b, const char *c, const char *d)
{
	const char *args[] = { a, b, c, d, NULL };

	if (program_start(program, "fastpathctl", args, false))
		abort();
	program_wait(program);
}

static bool says(const struct program *program, const char *what)
{
	return strstr(program->said, what);
}

static bool complains(const struct program *program, const char *what)
{
	return strstr(program->complained, what);
}

/* ---- testdev ---- */

FIXTURE(testdev) {
	struct testdev_server served;
	struct program program;
};

FIXTURE_SETUP(testdev)
{
	testdev_server_start(&self->served);
}

FIXTURE_TEARDOWN(testdev)
{
	testdev_server_stop(&self->served);
}

TEST_F(testdev, is_told_to_people)
{
	const struct program *program = &self->program;

	run(&self->program, "probe", self->served.path, NULL, NULL);
	EXPECT_EQ(0, program->status);
	EXPECT_STREQ("", program->complained);
	EXPECT_TRUE(says(program, ": vfio-user 0.2\n"));
	EXPECT_TRUE(says(program, "device: PCI, can be reset, 9 regions, 5 kinds of interrupts\n"));
	EXPECT_TRUE(says(program, "PCI: 1b36:0005"));
	EXPECT_TRUE(says(program, "11 MSI-X\n"));
	EXPECT_TRUE(says(program, "BAR1    256 bytes, read, write, I/O ports\n"));
	EXPECT_TRUE(says(program, "entries of 48 bytes"));
	EXPECT_TRUE(says(program, "4 bytes, ioeventfd, fd 5, value 0xfa, flags 0x1\n"));
	EXPECT_TRUE(says(program, "0 INTx    1, eventfd, maskable, automasked\n"));
	EXPECT_FALSE(says(program, "problem"));
}

TEST_F(testdev, is_told_the_same_by_tcp_but_for_what_takes_fds)
{
	const struct program *program = &self->program;

	testdev_server_stop(&self->served);
	self->served = (struct testdev_server){ 0 };
	testdev_server_start_tcp(&self->served);
	run(&self->program, "probe", self->served.path, NULL, NULL);
	EXPECT_EQ(0, program->status);
	EXPECT_STREQ("", program->complained);
	EXPECT_TRUE(says(program, "takes   0 fds a message"));
	EXPECT_TRUE(says(program, "offers  REGION_WRITE_MULTI, interrupts by message\n"));
	EXPECT_TRUE(says(program, "BAR1    256 bytes, read, write, I/O ports\n"));
	EXPECT_FALSE(says(program, "ioeventfd"));
	EXPECT_FALSE(says(program, "problem"));
}

TEST_F(testdev, is_told_to_programs)
{
	struct json_object *root;

	run(&self->program, "probe", "--json", self->served.path, NULL);
	EXPECT_EQ(0, self->program.status);
	root = json_tokener_parse(self->program.said);
	ASSERT_NE(NULL, root);
	EXPECT_STREQ(self->served.path, json_text_at(root, "socket"));
	EXPECT_EQ(0, json_number_at(root, "version/major"));
	EXPECT_EQ(2, json_number_at(root, "version/minor"));
	EXPECT_EQ(1048576, json_number_at(root, "capabilities/max_data_xfer_size"));
	EXPECT_TRUE(json_truth_at(root, "device/pci"));
	EXPECT_EQ(9, json_number_at(root, "device/num_regions"));
	EXPECT_EQ(0x1b36, json_number_at(root, "pci/vendor"));
	EXPECT_LE(0x40, json_number_at(root, "pci/capabilities/0/offset"));
	EXPECT_STREQ("BAR1", json_text_at(root, "regions/1/name"));
	EXPECT_EQ(256, json_number_at(root, "regions/1/size"));
	EXPECT_STREQ("io", json_text_at(root, "regions/1/bar"));
	EXPECT_EQ(48, json_number_at(root, "regions/1/io_fds/entry_bytes"));
	EXPECT_EQ(2, json_number_at(root, "regions/1/io_fds/num_fds"));
	EXPECT_EQ(0xfa, json_number_at(root, "regions/1/io_fds/entries/1/datamatch"));
	EXPECT_STREQ("ioeventfd", json_text_at(root, "regions/1/io_fds/entries/1/type_name"));
	EXPECT_STREQ("ioregionfd", json_text_at(root, "regions/2/io_fds/entries/7/type_name"));
	EXPECT_EQ(TESTDEV_POSTED - TESTDEV_SCRATCH,
		  json_number_at(root, "regions/2/io_fds/entries/7/size"));
	EXPECT_EQ(7, json_number_at(root, "regions/2/io_fds/entries/7/user_data"));
	EXPECT_STREQ("", json_text_at(root, "regions/2/io_fds/entries/7/problem"));
	EXPECT_EQ(1, json_number_at(root, "irqs/0/count"));
	EXPECT_TRUE(json_truth_at(root, "irqs/0/automasked"));
	EXPECT_TRUE(json_truth_at(root, "complete"));
	json_object_put(root);
}

/* ---- scripted servers ---- */

FIXTURE(scripted) {
	struct script script;
	struct program program;
	char dir[64];
	char path[80];
};

FIXTURE_SETUP(scripted)
{
	snprintf(self->dir, sizeof(self->dir), "/tmp/fastpath-test-XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	snprintf(self->path, sizeof(self->path), "%s/socket", self->dir);
}

FIXTURE_TEARDOWN(scripted)
{
	unlink(self->path);
	rmdir(self->dir);
}

static void tell_device(int fd, const struct script_msg *msg, uint32_t nr_regions, uint32_t nr_irqs)
{
	const struct wire_device_info info = {
		.argsz = sizeof(info),
		.flags = WIRE_DEVICE_PCI,
		.num_regions = nr_regions,
		.num_irqs = nr_irqs,
	};

	script_reply(fd, msg, &info, sizeof(info));
}

static void tell_region(int fd, const struct script_msg *msg)
{
	struct wire_region_info info;

	memcpy(&info, msg->body, sizeof(info));
	info = (struct wire_region_info){
		.argsz = sizeof(info),
		.flags = WIRE_REGION_READABLE,
		.index = info.index,
		.size = info.index == 7 ? 4096 :
			info.index == 0 ? 0x4000 :
					  0,
	};
	script_reply(fd, msg, &info, sizeof(info));
}

static void tell_no_io_fds(int fd, const struct script_msg *msg)
{
	struct wire_region_io_fds reply;

	memcpy(&reply, msg->body, sizeof(reply));
	reply.argsz = sizeof(reply);
	script_reply(fd, msg, &reply, sizeof(reply));
}

static void put32(uint8_t *config, unsigned int at, uint32_t value)
{
	memcpy(config + at, &value, sizeof(value));
}

/* A PCI Express device with a 64-bit BAR and an extended capability that ends in a loop. */
static void make_config(uint8_t *config)
{
	put32(config, PCI_VENDOR_ID, 0x56781234);
	put32(config, PCI_COMMAND, PCI_STATUS_CAP_LIST << 16);
	put32(config, PCI_CLASS_REVISION, 0x01080201);
	put32(config, PCI_BASE_ADDRESS_0,
	      PCI_BASE_ADDRESS_MEM_TYPE_64 | PCI_BASE_ADDRESS_MEM_PREFETCH);
	put32(config, PCI_CAPABILITY_LIST, 0x40);
	put32(config, 0x40, PCI_CAP_ID_EXP | 0x80 << 8);
	put32(config, 0x80, PCI_CAP_ID_VNDR | 0x40 << 8); /* and back */
	put32(config, 0x100, PCI_EXT_CAP_ID_DSN | 1 << 16 | 0x200u << 20);
	put32(config, 0x200, PCI_EXT_CAP_ID_VNDR | 1 << 16);
}

static void read_config(int fd, const struct script_msg *msg)
{
	static uint8_t config[4096];
	struct wire_region_access access;
	uint8_t reply[sizeof(access) + 256];

	memcpy(&access, msg->body, sizeof(access));
	SCRIPT_CHECK(access.region == 7);
	if (access.count > 4) { /* this one has registers only */
		script_error(fd, msg, EINVAL);
		return;
	}
	make_config(config);
	memcpy(reply, &access, sizeof(access));
	memcpy(reply + sizeof(access), config + access.offset, access.count);
	script_reply(fd, msg, reply, sizeof(access) + access.count);
}

static void check_feature(int fd, const struct script_msg *msg)
{
	struct wire_device_feature feature;

	memcpy(&feature, msg->body, sizeof(feature));
	SCRIPT_CHECK(!(feature.flags & WIRE_FEATURE_SET) || feature.flags & WIRE_FEATURE_PROBE);
	script_error(fd, msg, ENOTTY);
}

/* Serves what changes nothing, and fails the test at all else. */
static void read_only(int fd)
{
	script_version(fd, NULL);
	for (;;) {
		const struct script_msg *msg = script_receive(fd);

		switch (msg->hdr.cmd) {
		case WIRE_DEVICE_GET_INFO:
			tell_device(fd, msg, 9, 5);
			break;
		case WIRE_DEVICE_GET_REGION_INFO:
			tell_region(fd, msg);
			break;
		case WIRE_DEVICE_GET_REGION_IO_FDS:
			tell_no_io_fds(fd, msg);
			break;
		case WIRE_DEVICE_GET_IRQ_INFO:
			script_error(fd, msg, EINVAL);
			break;
		case WIRE_REGION_READ:
			read_config(fd, msg);
			break;
		case WIRE_DEVICE_FEATURE:
			check_feature(fd, msg);
			break;
		default:
			script_fail(__FILE__, __LINE__, wire_cmd_name(msg->hdr.cmd));
		}
	}
}

TEST_F(scripted, server_is_asked_for_nothing_that_changes_it)
{
	const struct program *program = &self->program;

	script_listen(&self->script, read_only, self->path);
	run(&self->program, "probe", self->path, NULL, NULL);
	EXPECT_EQ(0, script_end(&self->script));
	EXPECT_EQ(0, program->status);
	EXPECT_TRUE(says(program, "PCI: 1234:5678, class 010802 (NVMe controller), revision 01"));
	EXPECT_TRUE(says(program, "at 40    10 PCI Express\n"));
	EXPECT_TRUE(says(program, "at 80    09 Vendor Specific\n"));
	EXPECT_TRUE(says(program, "problem: the list of capabilities leads astray\n"));
	EXPECT_TRUE(says(program, "at 100   0003 Device Serial Number, version 1\n"));
	EXPECT_TRUE(says(program, "BAR0    16 KiB, read, 64-bit memory, prefetchable\n"));
	EXPECT_TRUE(says(program, "0 INTx    Invalid argument\n"));
	EXPECT_TRUE(says(program, "MIGRATION           Inappropriate ioctl for device\n"));
}

/* Four billion regions, and each answer is nonsense of another kind. */
static void hostile(int fd)
{
	script_version(fd, NULL);
	for (;;) {
		const struct script_msg *msg = script_receive(fd);
		struct wire_region_info info;
		uint8_t junk[64];

		memset(junk, 0xff, sizeof(junk));
		memcpy(&info, msg->body, sizeof(info) < msg->len ? sizeof(info) : msg->len);
		switch (msg->hdr.cmd) {
		case WIRE_DEVICE_GET_INFO:
			tell_device(fd, msg, UINT32_MAX, UINT32_MAX);
			break;
		case WIRE_DEVICE_GET_REGION_INFO:
			if (info.index == 7)
				tell_region(fd, msg);
			else
				script_reply(fd, msg, junk, info.index % sizeof(junk));
			break;
		case WIRE_REGION_READ:
			script_reply(fd, msg, junk, 3);
			break;
		default:
			script_reply(fd, msg, junk, sizeof(junk));
		}
	}
}

TEST_F(scripted, server_that_answers_nonsense_gets_a_line_for_each)
{
	const struct program *program = &self->program;
	static const char nonsense[] = "the answer is not what the protocol allows\n";

	script_listen(&self->script, hostile, self->path);
	run(&self->program, "probe", self->path, NULL, NULL);
	EXPECT_EQ(0, script_end(&self->script));
	EXPECT_EQ(0, program->status);
	EXPECT_TRUE(says(program, "4294967295 regions"));
	EXPECT_TRUE(says(program, "PCI: configuration space: the answer is not what"));
	EXPECT_TRUE(says(program, "BAR0    the answer is not what the protocol allows\n"));
	EXPECT_TRUE(says(program, "the other 4294967231 were not asked for\n"));
	EXPECT_TRUE(says(program, "INTx    the answer is not what"));
	EXPECT_TRUE(says(program, nonsense));
	EXPECT_STREQ("", program->complained);
}

static void silent(int fd)
{
	const struct script_msg *msg;

	script_version(fd, NULL);
	msg = script_expect(fd, WIRE_DEVICE_GET_INFO);
	tell_device(fd, msg, 2, 0);
	script_expect(fd, WIRE_DEVICE_GET_REGION_INFO);
	script_await_end(fd);
}

TEST_F(scripted, server_that_falls_silent_is_waited_for_once)
{
	const struct program *program = &self->program;

	script_listen(&self->script, silent, self->path);
	run(&self->program, "probe", self->path, "--timeout", "50");
	EXPECT_EQ(0, script_end(&self->script));
	EXPECT_EQ(1, program->status);
	EXPECT_TRUE(says(program, "0 BAR0    no answer in time\n"));
	EXPECT_TRUE(says(program, "1 BAR1    the connection is gone\n"));
	EXPECT_TRUE(complains(program, "left before it had answered everything"));
}

static void leave(int fd)
{
	script_receive(fd);
}

TEST_F(scripted, server_that_leaves_at_once_is_an_error)
{
	script_listen(&self->script, leave, self->path);
	run(&self->program, "probe", self->path, "--json", NULL);
	EXPECT_EQ(0, script_end(&self->script));
	EXPECT_EQ(1, self->program.status);
	EXPECT_STREQ("", self->program.said);
	EXPECT_TRUE(complains(&self->program, "the connection is gone"));
}

/* ---- the command line ---- */

TEST(nobody_at_the_socket_is_an_error)
{
	struct program program;

	run(&program, "probe", "/nonexistent/socket", NULL, NULL);
	EXPECT_EQ(1, program.status);
	EXPECT_TRUE(complains(&program, "/nonexistent/socket: no vfio-user server"));
	EXPECT_TRUE(complains(&program, "No such file or directory"));
}

TEST(help_and_version_are_told)
{
	struct program program;

	run(&program, "--help", NULL, NULL, NULL);
	EXPECT_EQ(0, program.status);
	EXPECT_TRUE(says(&program, "probe SOCKET [--json] [--timeout MS]"));
	run(&program, "--version", NULL, NULL, NULL);
	EXPECT_EQ(0, program.status);
	EXPECT_TRUE(says(&program, "fastpathctl (fastpath "));
	run(&program, "probe", "--help", NULL, NULL);
	EXPECT_EQ(0, program.status);
	EXPECT_TRUE(says(&program, "--timeout MS"));
}

TEST(a_wrong_command_line_is_refused_with_its_reason)
{
	static const struct {
		const char *args[3];
		const char *reason;
	} lines[] = {
		{ { NULL }, "no command given" },
		{ { "prob" }, "'prob': no such command" },
		{ { "--json" }, "'--json': no such option" },
		{ { "probe" }, "no SOCKET given" },
		{ { "probe", "a", "b" }, "'b': one SOCKET is enough" },
		{ { "probe", "a", "--what" }, "--what" },
		{ { "probe", "a", "--timeout" }, "timeout" },
		{ { "probe", "a", "--timeout=0" }, "--timeout 0: wants milliseconds" },
		{ { "probe", "a", "--timeout=5s" }, "--timeout 5s: wants milliseconds" },
		{ { "probe", "a", "--timeout=-1" }, "--timeout -1: wants milliseconds" },
	};
	struct program program;

	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		run(&program, lines[i].args[0], lines[i].args[1], lines[i].args[2], NULL);
		EXPECT_EQ(1, program.status);
		EXPECT_STREQ("", program.said);
		EXPECT_TRUE(complains(&program, lines[i].reason))
		{
			TH_LOG("%s: %s", lines[i].reason, program.complained);
		}
	}
}

TEST_HARNESS_MAIN
