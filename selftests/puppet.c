// SPDX-License-Identifier: GPL-2.0-only
/*
 * The puppet: what its shape says is what a client finds, and what its control socket does.
 *
 * GPL-2.0-only, because it includes the kernel's kselftest harness.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "fastpath.h"
#include "kselftest_harness.h"
#include "lib/peer.h"
#include "lib/peer_feature.h"
#include "lib/puppet_rig.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define PAGE 4096u

/* ---- a shape with something of everything ---- */

#define IDS "'pci':{'vendor':'0x1b36','device':'0x0011'}"

static const char everything[] =
	"{'pci':{'vendor':'0x1234','device':22136,'class':'0x020000','revision':3,"
	"'subsystem_vendor':'0xaaaa','subsystem':'0xbbbb',"
	"'capabilities':['pm','express','serial'],'serial':'0xfedcba9876543210',"
	"'vendor_caps':[{'data':'004650','writable':'0000ff'}],"
	"'msix':{'bar':4}},"
	"'regions':["
	"{'index':'bar0','size':65536,'flags':['mmap','64bit','prefetchable'],"
	"'areas':[{'offset':4096,'size':8192},{'offset':32768,'size':4096}],'file_offset':12288,"
	"'initial':[{'offset':4094,'bytes':'01020304'}],"
	"'doorbells':[{'offset':0,'width':4,'name':'kick'},{'offset':8,'width':2,'values':[7]},"
	"{'offset':8,'width':2,'values':['0x8']}]},"
	"{'index':2,'size':256,'flags':['io']},"
	"{'index':'bar3','size':4096,'flags':['independent'],'latency_us':1000},"
	"{'index':'bar5','size':4096,'flags':['independent']},"
	"{'index':'rom','size':2048,'flags':['read-only'],'initial':[{'offset':0,'bytes':'55aa'}]},"
	"{'index':'vga','size':786432},"
	"{'index':9,'size':100,'type':5,'subtype':6},"
	"{'index':11,'size':4096,'flags':['mmap'],'subtype':8}],"
	"'irqs':{'intx':1,'msi':4,'msix':8,'err':1,'req':1},"
	"'migration':true}";

/* ---- helpers ---- */

static struct wire_region_info region_info(struct peer *peer, uint32_t index)
{
	struct wire_region_info info = { .argsz = 4096, .index = index };

	if (peer_call(peer, WIRE_DEVICE_GET_REGION_INFO, &info, sizeof(info)))
		abort();
	memcpy(&info, peer->reply.body, sizeof(info));
	return info;
}

static int map_window(struct peer *peer, int fd, uint64_t address, uint64_t size)
{
	struct wire_dma_map map = {
		.argsz = sizeof(map),
		.flags = WIRE_DMA_READABLE | WIRE_DMA_WRITEABLE,
		.address = address,
		.size = size,
	};

	return peer_call_fds(peer, WIRE_DMA_MAP, &map, sizeof(map), &fd, fd >= 0);
}

static int new_memory(size_t bytes)
{
	int fd = memfd_create("guest", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)bytes))
		abort();
	return fd;
}

static uint16_t ask_read(struct peer *peer, uint32_t region, uint64_t offset, uint32_t count)
{
	struct wire_region_access access = { offset, region, count };

	return peer_command(peer, WIRE_REGION_READ, &access, sizeof(access), NULL, 0);
}

static bool has(const char *text, const char *what)
{
	char *copy = strdup(what);
	bool found;

	if (!copy)
		abort();
	for (char *at = copy; *at; at++)
		if (*at == '\'')
			*at = '"';
	found = strstr(text, copy);
	if (!found)
		fprintf(stderr, "# not in it: %s\n# it is: %.2000s\n", copy, text);
	free(copy);
	return found;
}

/* Whether that is the reply to it. */
static bool says(int control, const char *request, const char *reply)
{
	const char *said = puppet_say(control, request);
	char *copy = strdup(said);
	bool is_it;

	if (!copy)
		abort();
	is_it = strlen(said) == strlen(reply) && has(copy, reply);
	if (!is_it)
		fprintf(stderr, "# to %s it says %.2000s\n", request, copy);
	free(copy);
	return is_it;
}

/* The server's DMA_READ of one piece, answered with bytes. */
static struct wire_dma_access answer_dma_read(struct peer *peer, uint8_t byte)
{
	const struct peer_reply *msg = peer_receive(peer);
	struct wire_dma_access access = { 0 };
	uint8_t message[sizeof(struct wire_header) + sizeof(access) + 64];
	struct wire_header hdr = msg->hdr;

	if (hdr.cmd != WIRE_DMA_READ || msg->len != sizeof(access))
		abort();
	memcpy(&access, msg->body, sizeof(access));
	if (access.count > 64)
		abort();
	hdr.flags = WIRE_TYPE_REPLY;
	hdr.msg_size = (uint32_t)(sizeof(hdr) + sizeof(access) + access.count);
	memcpy(message, &hdr, sizeof(hdr));
	memcpy(message + sizeof(hdr), &access, sizeof(access));
	memset(message + sizeof(hdr) + sizeof(access), byte, access.count);
	peer_send(peer, message, hdr.msg_size, NULL, 0);
	return access;
}

/* ---- the shape, as a client finds it ---- */

TEST(regions_have_the_sizes_and_flags_of_the_shape)
{
	static const struct {
		uint32_t index;
		uint64_t size;
		uint32_t flags;
	} expected[] = {
		{ FP_BAR0, 65536,
		  WIRE_REGION_READABLE | WIRE_REGION_WRITEABLE | WIRE_REGION_MMAP |
			  WIRE_REGION_CAPS },
		{ FP_BAR1, 0, 0 },
		{ FP_BAR2, 256, WIRE_REGION_READABLE | WIRE_REGION_WRITEABLE },
		{ FP_BAR3, 4096, WIRE_REGION_READABLE | WIRE_REGION_WRITEABLE },
		{ FP_BAR4, 4096, WIRE_REGION_READABLE | WIRE_REGION_WRITEABLE },
		{ FP_ROM, 2048, WIRE_REGION_READABLE },
		{ FP_CONFIG, 4096, WIRE_REGION_READABLE | WIRE_REGION_WRITEABLE },
		{ FP_VGA, 786432, WIRE_REGION_READABLE | WIRE_REGION_WRITEABLE },
		{ 9, 100, WIRE_REGION_READABLE | WIRE_REGION_WRITEABLE | WIRE_REGION_CAPS },
		{ 10, 0, 0 },
		{ 11, 4096,
		  WIRE_REGION_READABLE | WIRE_REGION_WRITEABLE | WIRE_REGION_MMAP |
			  WIRE_REGION_CAPS },
	};
	struct puppet_rig *rig = puppet_rig_open(everything, 0);

	for (size_t i = 0; i < COUNT(expected); i++) {
		struct wire_region_info info = region_info(rig->peer, expected[i].index);

		EXPECT_EQ(expected[i].size, info.size);
		EXPECT_EQ(expected[i].flags, info.flags);
	}
	puppet_rig_stop(rig);
}

TEST(areas_and_types_are_told_in_capabilities)
{
	struct puppet_rig *rig = puppet_rig_open(everything, 0);
	struct wire_region_info info = region_info(rig->peer, FP_BAR0);
	struct wire_cap_sparse sparse;
	struct wire_cap_type type;
	struct wire_area areas[2];

	memcpy(&sparse, rig->peer->reply.body + info.cap_offset, sizeof(sparse));
	memcpy(areas, rig->peer->reply.body + info.cap_offset + sizeof(sparse), sizeof(areas));
	EXPECT_EQ(WIRE_CAP_SPARSE_MMAP, sparse.cap.id);
	ASSERT_EQ(2, sparse.nr_areas);
	EXPECT_EQ(4096, areas[0].offset);
	EXPECT_EQ(8192, areas[0].size);
	EXPECT_EQ(32768, areas[1].offset);
	info = region_info(rig->peer, 9);
	memcpy(&type, rig->peer->reply.body + info.cap_offset, sizeof(type));
	EXPECT_EQ(WIRE_CAP_TYPE, type.cap.id);
	EXPECT_EQ(5, type.type);
	EXPECT_EQ(6, type.subtype);
	info = region_info(rig->peer, 11);
	memcpy(&type, rig->peer->reply.body + info.cap_offset, sizeof(type));
	EXPECT_EQ(WIRE_REGION_TYPE_PCI_VENDOR | 0x1234, type.type);
	EXPECT_EQ(8, type.subtype);
	puppet_rig_stop(rig);
}

TEST(a_region_is_mapped_at_its_file_offset_and_all_see_the_same_memory)
{
	struct puppet_rig *rig = puppet_rig_open(everything, 0);
	struct wire_region_info info = region_info(rig->peer, FP_BAR0);
	uint8_t *at;

	EXPECT_EQ(12288, info.offset);
	ASSERT_EQ(1, rig->peer->reply.nr_fds);
	at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, rig->peer->reply.fds[0],
		  (off_t)info.offset + 4096);
	ASSERT_NE(MAP_FAILED, at);
	/* The initial bytes reach over the area's edge. */
	EXPECT_EQ(3, at[0]);
	EXPECT_EQ(0x04030201, peer_read(rig->peer, FP_BAR0, 4094, 4));
	at[0] = 0x77;
	EXPECT_TRUE(says(rig->control, "{'do':'read','region':'bar0','offset':4094,'len':4}",
			 "{'ok':true,'bytes':'01027704'}"));
	EXPECT_TRUE(says(rig->control,
			 "{'do':'write','region':'bar0','offset':4095,'bytes':'aabb'}",
			 "{'ok':true}"));
	EXPECT_EQ(0xbb, at[0]);
	EXPECT_EQ(0x04bbaa01, peer_read(rig->peer, FP_BAR0, 4094, 4));
	puppet_rig_stop(rig);
}

TEST(interrupts_are_as_many_as_the_shape_says)
{
	static const uint32_t expected[FP_NR_IRQS] = { 1, 4, 8, 1, 1 };
	struct puppet_rig *rig = puppet_rig_open(everything, 0);

	for (uint32_t i = 0; i < FP_NR_IRQS; i++) {
		struct wire_irq_info info = { .argsz = sizeof(info), .index = i };

		EXPECT_EQ(0, peer_call(rig->peer, WIRE_DEVICE_GET_IRQ_INFO, &info, sizeof(info)));
		memcpy(&info, rig->peer->reply.body, sizeof(info));
		EXPECT_EQ(expected[i], info.count);
	}
	puppet_rig_stop(rig);
}

static unsigned int find_cap(struct peer *peer, uint8_t id)
{
	unsigned int at = (unsigned int)peer_read(peer, FP_CONFIG, 0x34, 1);

	while (at && peer_read(peer, FP_CONFIG, at, 1) != id)
		at = (unsigned int)peer_read(peer, FP_CONFIG, at + 1, 1);
	return at;
}

TEST(configuration_space_has_the_ids_and_capabilities_of_the_shape)
{
	struct puppet_rig *rig = puppet_rig_open(everything, 0);
	struct peer *peer = rig->peer;
	unsigned int vendor;

	EXPECT_EQ(0x56781234, peer_read(peer, FP_CONFIG, 0, 4));
	EXPECT_EQ(0x02000003, peer_read(peer, FP_CONFIG, 8, 4));
	EXPECT_EQ(0xbbbbaaaa, peer_read(peer, FP_CONFIG, 0x2c, 4));
	EXPECT_EQ(0xc, peer_read(peer, FP_CONFIG, 0x10, 4)); /* 64-bit, prefetchable */
	EXPECT_EQ(1, peer_read(peer, FP_CONFIG, 0x18, 4));   /* I/O */
	EXPECT_NE(0, find_cap(peer, 0x01));
	EXPECT_NE(0, find_cap(peer, 0x05));
	EXPECT_NE(0, find_cap(peer, 0x10));
	EXPECT_EQ(7, peer_read(peer, FP_CONFIG, find_cap(peer, 0x11) + 2, 2));
	EXPECT_EQ(4, peer_read(peer, FP_CONFIG, find_cap(peer, 0x11) + 4, 4));
	EXPECT_EQ(0x804, peer_read(peer, FP_CONFIG, find_cap(peer, 0x11) + 8, 4));
	EXPECT_EQ(0xfedcba9876543210, peer_read(peer, FP_CONFIG, 0x104, 8));
	vendor = find_cap(peer, 0x09);
	EXPECT_EQ(0x504600, peer_read(peer, FP_CONFIG, vendor + 3, 4) & 0xffffff);
	EXPECT_EQ(0, peer_write(peer, FP_CONFIG, vendor + 3, 0x999999, 3));
	EXPECT_EQ(0x994600, peer_read(peer, FP_CONFIG, vendor + 3, 4) & 0xffffff);
	puppet_rig_stop(rig);
}

TEST(regions_are_memory_that_a_reset_puts_back)
{
	struct puppet_rig *rig = puppet_rig_open(everything, 0);
	static const uint32_t indices[] = { FP_BAR0, FP_BAR2, FP_BAR3, FP_VGA, 9, 11 };

	for (size_t i = 0; i < COUNT(indices); i++) {
		EXPECT_EQ(0, peer_write(rig->peer, indices[i], 32, 0x1111 * (i + 1), 8));
		EXPECT_EQ(0x1111 * (i + 1), peer_read(rig->peer, indices[i], 32, 8));
	}
	EXPECT_EQ(0xaa55, peer_read(rig->peer, FP_ROM, 0, 2));
	EXPECT_EQ(EINVAL, peer_write(rig->peer, FP_ROM, 0, 0, 2));
	EXPECT_EQ(0, peer_write(rig->peer, FP_BAR0, 4094, 0, 4));
	EXPECT_EQ(0, peer_call(rig->peer, WIRE_DEVICE_RESET, NULL, 0));
	EXPECT_EQ(0x04030201, peer_read(rig->peer, FP_BAR0, 4094, 4));
	EXPECT_EQ(0, peer_read(rig->peer, FP_BAR2, 32, 8));
	EXPECT_EQ(0, peer_read(rig->peer, 11, 32, 8));
	puppet_rig_stop(rig);
}

/* ---- limits ---- */

#define LIMITED(limits) "{" IDS ",'irqs':{'msix':8},'limits':{" limits "}}"

TEST(limits_are_told_in_version)
{
	struct puppet_rig *rig = puppet_rig_start(
		LIMITED("'max_msg_fds':3,'max_data_xfer_size':4096,'max_dma_maps':2,"
			"'pgsizes':'0x200000'"),
		0);
	const char *json;

	ASSERT_EQ(0, peer_version(rig->peer, PEER_JSON));
	json = (const char *)rig->peer->reply.body + sizeof(struct wire_version);
	EXPECT_TRUE(has(json, "'max_msg_fds':3,"));
	EXPECT_TRUE(has(json, "'max_data_xfer_size':4096,"));
	EXPECT_TRUE(has(json, "'max_dma_maps':2,"));
	EXPECT_TRUE(has(json, "'pgsizes':2097152,"));
	puppet_rig_stop(rig);
}

TEST(a_window_above_max_dma_maps_is_refused)
{
	struct puppet_rig *rig = puppet_rig_open(LIMITED("'max_dma_maps':2"), 0);

	EXPECT_EQ(0, map_window(rig->peer, -1, 0x10000, PAGE));
	EXPECT_EQ(0, map_window(rig->peer, -1, 0x20000, PAGE));
	EXPECT_EQ(ENOSPC, map_window(rig->peer, -1, 0x30000, PAGE));
	puppet_rig_stop(rig);
}

TEST(a_window_of_smaller_pages_than_pgsizes_has_is_refused)
{
	struct puppet_rig *rig = puppet_rig_open(LIMITED("'pgsizes':'0x200000'"), 0);

	EXPECT_EQ(EINVAL, map_window(rig->peer, -1, 0x200000, PAGE));
	EXPECT_EQ(EINVAL, map_window(rig->peer, -1, PAGE, 0x200000));
	EXPECT_EQ(0, map_window(rig->peer, -1, 0x200000, 0x200000));
	puppet_rig_stop(rig);
}

TEST(an_access_above_max_data_xfer_size_is_refused)
{
	struct puppet_rig *rig = puppet_rig_open(
		"{" IDS
		",'regions':[{'index':0,'size':8192}],'limits':{'max_data_xfer_size':4096}}",
		0);
	uint8_t bytes[8192];

	EXPECT_EQ(0, peer_read_to(rig->peer, 0, 0, bytes, 4096));
	EXPECT_EQ(EINVAL, peer_read_to(rig->peer, 0, 0, bytes, 4097));
	puppet_rig_stop(rig);
}

static int set_msix(struct peer *peer, int *fds, unsigned int nr)
{
	struct wire_irq_set set = {
		.argsz = sizeof(set),
		.flags = WIRE_IRQ_DATA_EVENTFD | WIRE_IRQ_ACTION_TRIGGER,
		.index = FP_MSIX,
		.count = nr,
	};

	for (unsigned int i = 0; i < nr; i++)
		fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return peer_call_fds(peer, WIRE_DEVICE_SET_IRQS, &set, sizeof(set), fds, nr);
}

TEST(more_fds_than_max_msg_fds_in_one_message_are_refused)
{
	struct puppet_rig *rig = puppet_rig_open(LIMITED("'max_msg_fds':3"), 0);
	int fds[4];

	EXPECT_EQ(0, set_msix(rig->peer, fds, 3));
	EXPECT_EQ(EINVAL, set_msix(rig->peer, fds, 4));
	puppet_rig_stop(rig);
}

/* ---- requests ---- */

TEST(trigger_fires_the_interrupt_it_names)
{
	struct puppet_rig *rig = puppet_rig_open(everything, 0);
	int fds[8];

	ASSERT_EQ(0, set_msix(rig->peer, fds, 8));
	EXPECT_TRUE(says(rig->control, "{'do':'trigger','irq':'msix','number':3}", "{'ok':true}"));
	EXPECT_EQ(1, peer_eventfd_wait(fds[3]));
	for (unsigned int i = 0; i < 8; i++)
		EXPECT_EQ(0, peer_eventfd_take(fds[i]));
	puppet_rig_stop(rig);
}

TEST(dma_reaches_what_the_client_has_opened_by_file_and_by_message)
{
	struct puppet_rig *rig = puppet_rig_open(everything, 0);
	int memory = new_memory(PAGE);
	char bytes[5] = "";

	ASSERT_EQ(0, map_window(rig->peer, memory, 0x10000, PAGE));
	ASSERT_EQ(0, map_window(rig->peer, -1, 0x20000, PAGE));
	EXPECT_EQ(4, pwrite(memory, "abcd", 4, 16));
	EXPECT_TRUE(says(rig->control, "{'do':'dma_read','iova':'0x10010','len':4}",
			 "{'ok':true,'bytes':'61626364'}"));
	EXPECT_TRUE(says(rig->control, "{'do':'dma_write','iova':'0x10010','bytes':'7A797877'}",
			 "{'ok':true}"));
	EXPECT_EQ(4, pread(memory, bytes, 4, 16));
	EXPECT_STREQ("zyxw", bytes);
	puppet_send(rig->control, "{'do':'dma_read','iova':131072,'len':2,'id':'x'}");
	EXPECT_EQ(2, answer_dma_read(rig->peer, 0x5a).count);
	EXPECT_TRUE(has(puppet_receive(rig->control), "{'ok':true,'bytes':'5a5a','id':'x'}"));
	EXPECT_TRUE(says(rig->control, "{'do':'dma_read','iova':'0x30000','len':2}",
			 "{'error':'Bad address','errno':14}"));
	puppet_rig_stop(rig);
}

TEST(a_window_whose_file_is_cut_short_fails_and_the_log_says_so)
{
	struct puppet_rig *rig = puppet_rig_open(everything, 0);
	int memory = new_memory(PAGE);

	ASSERT_EQ(0, map_window(rig->peer, memory, 0x10000, PAGE));
	EXPECT_EQ(0, ftruncate(memory, 0));
	EXPECT_TRUE(says(rig->control, "{'do':'dma_read','iova':'0x10000','len':4}",
			 "{'error':'Bad address','errno':14}"));
	EXPECT_TRUE(says(rig->control, "{'do':'barrier'}", "{'ok':true}"));
	EXPECT_TRUE(has(puppet_say(rig->control, "{'do':'log'}"),
			"'saw':'window failed','iova':65536,"));
	puppet_rig_stop(rig);
}

TEST(memory_is_read_by_message_while_a_region_access_is_held)
{
	struct puppet_rig *rig = puppet_rig_open(everything, 0);
	uint16_t id;

	ASSERT_EQ(0, map_window(rig->peer, -1, 0x20000, PAGE));
	EXPECT_TRUE(says(rig->control, "{'do':'hold','region':'bar5'}", "{'ok':true}"));
	id = ask_read(rig->peer, FP_BAR5, 0, 4);
	EXPECT_TRUE(says(rig->control, "{'do':'await','held':'bar5'}", "{'ok':true,'count':1}"));
	EXPECT_TRUE(says(rig->control, "{'do':'write','region':'bar5','offset':0,'bytes':'2a'}",
			 "{'ok':true}"));
	puppet_send(rig->control, "{'do':'dma_read','iova':'0x20000','len':1}");
	EXPECT_EQ(0x20000, answer_dma_read(rig->peer, 7).address);
	EXPECT_TRUE(has(puppet_receive(rig->control), "{'ok':true,'bytes':'07'}"));
	EXPECT_TRUE(
		says(rig->control, "{'do':'release','region':'bar5'}", "{'ok':true,'released':1}"));
	EXPECT_EQ(0, peer_answer(rig->peer, id, WIRE_REGION_READ));
	EXPECT_EQ(0x2a, rig->peer->reply.body[sizeof(struct wire_region_access)]);
	EXPECT_EQ(0x2a, peer_read(rig->peer, FP_BAR5, 0, 4));
	puppet_rig_stop(rig);
}

TEST(memory_is_read_on_the_twin_socket_while_a_region_access_is_held)
{
	struct puppet_rig *rig = puppet_rig_start(everything, 0);
	struct peer twin = { .fd = -1 };
	uint16_t id;

	ASSERT_EQ(0, peer_version(rig->peer, "{\"capabilities\":{\"max_msg_fds\":8,"
					     "\"twin_socket\":{\"supported\":true}}}"));
	ASSERT_EQ(1, rig->peer->reply.nr_fds);
	twin.fd = rig->peer->reply.fds[0];
	rig->peer->reply.fds[0] = -1;
	ASSERT_EQ(0, map_window(rig->peer, -1, 0x20000, PAGE));
	puppet_say(rig->control, "{'do':'hold','region':'bar5'}");
	id = ask_read(rig->peer, FP_BAR5, 0, 4);
	EXPECT_TRUE(says(rig->control, "{'do':'await','held':'bar5'}", "{'ok':true,'count':1}"));
	puppet_send(rig->control, "{'do':'dma_read','iova':'0x20000','len':1}");
	answer_dma_read(&twin, 9);
	EXPECT_TRUE(has(puppet_receive(rig->control), "{'ok':true,'bytes':'09'}"));
	puppet_say(rig->control, "{'do':'release','region':'bar5'}");
	EXPECT_EQ(0, peer_answer(rig->peer, id, WIRE_REGION_READ));
	peer_disconnect(&twin);
	peer_await_end(rig->peer);
	peer_disconnect(rig->peer);
	peer_wait(rig->peer);
	puppet_rig_stop(rig);
}

TEST(a_hold_keeps_what_comes_in_order_and_leaves_independent_regions_alone)
{
	struct puppet_rig *rig = puppet_rig_open(everything, 0);
	uint16_t first, second, other;

	puppet_say(rig->control, "{'do':'hold','region':'bar5'}");
	first = ask_read(rig->peer, FP_BAR5, 0, 4);
	second = ask_read(rig->peer, FP_BAR5, 4, 4);
	other = ask_read(rig->peer, FP_BAR3, 0, 4);
	EXPECT_EQ(0, peer_answer(rig->peer, other, WIRE_REGION_READ));
	puppet_say(rig->control, "{'do':'release','region':'bar5'}");
	EXPECT_EQ(0, peer_answer(rig->peer, first, WIRE_REGION_READ));
	EXPECT_EQ(0, peer_answer(rig->peer, second, WIRE_REGION_READ));
	puppet_rig_stop(rig);
}

TEST(what_is_held_of_a_client_that_leaves_does_not_hold_up_the_next_one)
{
	struct puppet_rig *rig = puppet_rig_open(everything, PEER_LISTEN);
	uint16_t id;

	puppet_say(rig->control, "{'do':'hold','region':'bar5'}");
	ask_read(rig->peer, FP_BAR5, 0, 4);
	EXPECT_TRUE(says(rig->control, "{'do':'await','held':'bar5'}", "{'ok':true,'count':1}"));
	peer_reconnect(rig->peer);
	EXPECT_EQ(0, peer_read(rig->peer, FP_BAR3, 0, 4));
	id = ask_read(rig->peer, FP_BAR5, 0, 4);
	EXPECT_TRUE(says(rig->control, "{'do':'await','held':'bar5'}", "{'ok':true,'count':1}"));
	EXPECT_TRUE(
		says(rig->control, "{'do':'release','region':'bar5'}", "{'ok':true,'released':1}"));
	EXPECT_EQ(0, peer_answer(rig->peer, id, WIRE_REGION_READ));
	puppet_rig_stop(rig);
}

/* The first doorbell's eventfd; the rest of the reply's stay its own. */
static int kick_fd(struct peer *peer)
{
	struct wire_region_io_fds ask = { .argsz = 4096, .index = FP_BAR0 };
	int fd;

	if (peer_call(peer, WIRE_DEVICE_GET_REGION_IO_FDS, &ask, sizeof(ask)) ||
	    peer->reply.nr_fds != 3)
		abort();
	fd = peer->reply.fds[0];
	peer->reply.fds[0] = -1;
	return fd;
}

TEST(await_ends_when_an_eventfd_rang_often_enough)
{
	struct puppet_rig *rig = puppet_rig_open(everything, 0);
	CLEANUP_CLOSE int fd = kick_fd(rig->peer);

	puppet_send(rig->control, "{'do':'await','doorbell':'kick','count':10,'id':1}");
	EXPECT_EQ(0, eventfd_write(fd, 4));
	EXPECT_EQ(0, peer_write(rig->peer, FP_BAR0, 0, 1, 4));
	EXPECT_EQ(0, eventfd_write(fd, 5));
	EXPECT_TRUE(has(puppet_receive(rig->control), "{'ok':true,'count':10,'id':1}"));
	EXPECT_TRUE(says(rig->control, "{'do':'await','doorbell':'kick','count':3}",
			 "{'ok':true,'count':10}"));
	EXPECT_EQ(0, peer_write(rig->peer, FP_BAR0, 8, 8, 2));
	EXPECT_TRUE(says(rig->control, "{'do':'doorbells'}",
			 "{'ok':true,'doorbells':{'kick':10,'bar0[1]':0,'bar0[2]':1}}"));
	EXPECT_TRUE(says(rig->control, "{'do':'clear'}", "{'ok':true}"));
	EXPECT_TRUE(says(rig->control, "{'do':'await','doorbell':'kick','timeout_ms':1}",
			 "{'error':'timeout','count':0}"));
	puppet_rig_stop(rig);
}

/* ---- io fds of every type ---- */

static const char io_fds[] =
	"{" IDS ",'regions':[{'index':'bar0','size':4096,"
	"'doorbells':[{'offset':0,'width':4,'group':1,'name':'first'},"
	"{'offset':4,'width':4,'group':1,'name':'second'},"
	"{'offset':8,'width':4,'shadow':true,'name':'told'},{'offset':16,'name':'any'}],"
	"'spans':[{'offset':1024,'size':1024,'group':7},"
	"{'offset':2048,'size':1024,'posted':true,'group':7}],"
	"'initial':[{'offset':1032,'bytes':'0102030405060708'}]}]}";

/* What BAR0 has; the fds stay in the reply. */
static uint32_t ask_entries(struct peer *peer, struct wire_io_fd_deployed *entries, uint32_t max)
{
	struct wire_region_io_fds ask = { .argsz = 4096, .index = FP_BAR0 };

	if (peer_call(peer, WIRE_DEVICE_GET_REGION_IO_FDS, &ask, sizeof(ask)))
		abort();
	memcpy(&ask, peer->reply.body, sizeof(ask));
	if (ask.count > max)
		abort();
	memcpy(entries, peer->reply.body + sizeof(ask), ask.count * sizeof(*entries));
	return ask.count;
}

static const struct wire_io_fd_deployed *find_entry(const struct wire_io_fd_deployed *entries,
						    uint32_t nr, uint64_t offset)
{
	static const struct wire_io_fd_deployed none = { .type = UINT32_MAX };

	for (uint32_t i = 0; i < nr; i++)
		if (entries[i].offset == offset)
			return &entries[i];
	return &none;
}

TEST(a_shape_has_io_fds_of_every_type_and_groups_share_theirs)
{
	struct puppet_rig *rig = puppet_rig_start(io_fds, 0);
	const struct wire_io_fd_deployed *first, *second, *told, *any, *span, *posted;
	struct wire_io_fd_deployed entries[8];
	uint32_t nr;

	ASSERT_EQ(0, peer_version(rig->peer, "{\"capabilities\":{\"max_msg_fds\":16,"
					     "\"shadow_ioeventfd\":true}}"));
	nr = ask_entries(rig->peer, entries, 8);
	EXPECT_EQ(6, nr);
	first = find_entry(entries, nr, 0);
	second = find_entry(entries, nr, 4);
	told = find_entry(entries, nr, 8);
	any = find_entry(entries, nr, 16);
	span = find_entry(entries, nr, 1024);
	posted = find_entry(entries, nr, 2048);
	EXPECT_EQ(WIRE_IO_FD_IOEVENTFD, first->type);
	EXPECT_EQ(WIRE_IO_FD_IOEVENTFD, second->type);
	EXPECT_EQ(first->fd_index, second->fd_index);
	EXPECT_EQ(WIRE_IO_FD_SHADOW, told->type);
	EXPECT_EQ(WIRE_IO_FD_IOEVENTFD, any->type);
	EXPECT_NE(first->fd_index, any->fd_index);
	EXPECT_EQ(WIRE_IO_FD_IOREGIONFD, span->type);
	EXPECT_EQ(WIRE_IO_FD_IOREGIONFD, posted->type);
	EXPECT_EQ(span->fd_index, posted->fd_index);
	EXPECT_EQ(0, span->flags);
	EXPECT_EQ(WIRE_IOREGION_POSTED_WRITES, posted->flags);
	/* The group's eventfd rings as its first. */
	EXPECT_EQ(0, eventfd_write(rig->peer->reply.fds[second->fd_index], 3));
	EXPECT_TRUE(says(rig->control, "{'do':'await','doorbell':'first','count':3}",
			 "{'ok':true,'count':3}"));
	puppet_rig_stop(rig);
}

static const char fan_out[] =
	"{'pci':{'vendor':1,'device':1},'regions':[{'index':'bar0','size':4096,'doorbells':["
	"{'offset':8,'width':4,'values':[1,'0x20']},{'offset':8,'width':4,'values':[3],"
	"'name':'three'}]}]}";

TEST(a_doorbell_with_values_counts_each_and_tells_in_the_log_which_rang)
{
	struct puppet_rig *rig = puppet_rig_open(fan_out, 0);
	struct wire_io_fd_deployed entries[8];

	ASSERT_EQ(3, ask_entries(rig->peer, entries, 8));
	EXPECT_EQ(0x20, entries[1].datamatch);
	EXPECT_EQ(0, eventfd_write(rig->peer->reply.fds[entries[1].fd_index], 2));
	EXPECT_TRUE(says(rig->control, "{'do':'await','doorbell':'bar0[0]','count':2}",
			 "{'ok':true,'count':2}"));
	EXPECT_EQ(0, peer_write(rig->peer, FP_BAR0, 8, 1, 4));
	EXPECT_EQ(0, peer_write(rig->peer, FP_BAR0, 8, 3, 4));
	EXPECT_TRUE(says(rig->control, "{'do':'doorbells'}",
			 "{'ok':true,'doorbells':{'bar0[0]':3,'three':1}}"));
	EXPECT_TRUE(has(puppet_say(rig->control, "{'do':'log'}"),
			"'saw':'ring','doorbell':'bar0[0]','times':2,'value':32}"));
	/* What is none of them is an access, and is stored. */
	EXPECT_EQ(0, peer_write(rig->peer, FP_BAR0, 8, 2, 4));
	EXPECT_EQ(2, peer_read(rig->peer, FP_BAR0, 8, 4));
	puppet_rig_stop(rig);
}

TEST(a_doorbell_with_a_value_tells_it_by_message)
{
	struct puppet_rig *rig = puppet_rig_open(io_fds, 0);

	EXPECT_EQ(0, peer_write(rig->peer, FP_BAR0, 8, 0x1234, 4));
	EXPECT_TRUE(has(puppet_say(rig->control, "{'do':'log'}"),
			"'saw':'ring','doorbell':'told','times':1,'value':4660}"));
	puppet_rig_stop(rig);
}

TEST(an_access_by_ioregionfd_is_held_and_in_the_log_as_any_other)
{
	struct puppet_rig *rig = puppet_rig_open(io_fds, 0);
	struct wire_io_fd_deployed entries[8];
	uint32_t nr = ask_entries(rig->peer, entries, 8);
	const struct wire_io_fd_deployed *span = find_entry(entries, nr, 1024);
	struct wire_ioregion_cmd read = {
		.cmd = WIRE_IOREGION_READ,
		.size_resp = 3 | WIRE_IOREGION_RESP,
		.user_data = span->shadow_offset,
		.offset = 8,
	};
	struct wire_ioregion_resp answer = { 0 };
	int fd;

	ASSERT_EQ(WIRE_IO_FD_IOREGIONFD, span->type);
	fd = rig->peer->reply.fds[span->fd_index];
	puppet_say(rig->control, "{'do':'hold','region':'bar0'}");
	ASSERT_EQ(sizeof(read), send(fd, &read, sizeof(read), MSG_NOSIGNAL));
	EXPECT_TRUE(says(rig->control, "{'do':'await','held':'bar0'}", "{'ok':true,'count':1}"));
	EXPECT_EQ(-1, recv(fd, &answer, sizeof(answer), MSG_DONTWAIT));
	EXPECT_TRUE(
		says(rig->control, "{'do':'release','region':'bar0'}", "{'ok':true,'released':1}"));
	ASSERT_EQ(sizeof(answer), recv(fd, &answer, sizeof(answer), 0));
	EXPECT_EQ(0x0807060504030201, answer.data);
	EXPECT_TRUE(has(puppet_say(rig->control, "{'do':'log'}"),
			"'region':'bar0','offset':1032,'size':8,'write':false"));
	puppet_rig_stop(rig);
}

TEST(a_barrier_waits_for_answers_and_transfers_that_were_under_way)
{
	struct puppet_rig *rig = puppet_rig_open(everything, 0);
	int other = puppet_connect(rig);
	uint16_t id;

	ASSERT_EQ(0, map_window(rig->peer, -1, 0x20000, PAGE));
	puppet_send(other, "{'do':'dma_read','iova':'0x20000','len':1}");
	puppet_send(rig->control, "{'do':'barrier','id':1}");
	/* Something that takes longer comes first, for the transfer has not been answered. */
	EXPECT_TRUE(says(rig->control, "{'do':'await','doorbell':'kick','timeout_ms':1,'id':2}",
			 "{'error':'timeout','count':0,'id':2}"));
	answer_dma_read(rig->peer, 1);
	EXPECT_TRUE(has(puppet_receive(rig->control), "{'ok':true,'id':1}"));
	EXPECT_TRUE(has(puppet_receive(other), "{'ok':true,'bytes':'01'}"));
	peer_freeze(rig->peer);
	id = ask_read(rig->peer, FP_BAR3, 0, 8);
	puppet_send(rig->control, "{'do':'barrier'}");
	peer_thaw(rig->peer);
	EXPECT_TRUE(has(puppet_receive(rig->control), "{'ok':true}"));
	EXPECT_TRUE(has(puppet_say(rig->control, "{'do':'log'}"), "'region':'bar3'"));
	EXPECT_EQ(0, peer_answer(rig->peer, id, WIRE_REGION_READ));
	close(other);
	puppet_rig_stop(rig);
}

TEST(an_access_with_latency_is_answered_later_and_others_meanwhile)
{
	struct puppet_rig *rig = puppet_rig_open(everything, 0);
	uint16_t late, early;

	peer_freeze(rig->peer);
	late = ask_read(rig->peer, FP_BAR3, 0, 8);
	early = ask_read(rig->peer, FP_BAR5, 0, 8);
	peer_thaw(rig->peer);
	EXPECT_EQ(0, peer_answer(rig->peer, early, WIRE_REGION_READ));
	EXPECT_EQ(0, peer_answer(rig->peer, late, WIRE_REGION_READ));
	puppet_rig_stop(rig);
}

TEST(the_log_has_what_the_device_saw_in_order)
{
	struct puppet_rig *rig = puppet_rig_open(everything, PEER_LISTEN);
	static const char *const expected[] = {
		"'saw':'client came'",
		"'saw':'access','region':'bar5','offset':8,'size':4,'write':true,'bytes':'78563412'",
		"'saw':'access','region':'bar5','offset':8,'size':2,'write':false,'bytes':'7856'",
		"'saw':'ring','doorbell':'kick','times':1,'value':0",
		"'saw':'window opened','iova':131072,'size':4096,'readable':true",
		"'saw':'reset'",
		"'saw':'window closed'",
		"'saw':'client gone'",
		"'seq':9,",
	};
	const char *log;

	EXPECT_EQ(0, peer_write(rig->peer, FP_BAR5, 8, 0x12345678, 4));
	EXPECT_EQ(0x5678, peer_read(rig->peer, FP_BAR5, 8, 2));
	EXPECT_EQ(0, peer_write(rig->peer, FP_BAR0, 0, 1, 4));
	EXPECT_EQ(0, map_window(rig->peer, -1, 0x20000, PAGE));
	EXPECT_TRUE(says(rig->control, "{'do':'windows'}",
			 "{'ok':true,'windows':[{'iova':131072,'size':4096,'readable':true,"
			 "'writable':true,'mapped':false}]}"));
	EXPECT_EQ(0, peer_call(rig->peer, WIRE_DEVICE_RESET, NULL, 0));
	peer_reconnect(rig->peer);
	log = puppet_say(rig->control, "{'do':'log'}");
	EXPECT_TRUE(has(log, "'lost':0,'next':10,"));
	for (size_t i = 0; i < COUNT(expected); i++) {
		EXPECT_TRUE(has(log, expected[i]));
		log = strchr(log, '{') + 1;
	}
	EXPECT_TRUE(says(rig->control, "{'do':'windows'}", "{'ok':true,'windows':[]}"));
	log = puppet_say(rig->control, "{'do':'log','since':9}");
	EXPECT_TRUE(has(log, "'client came'"));
	EXPECT_EQ(NULL, strstr(log, "reset"));
	EXPECT_TRUE(says(rig->control, "{'do':'clear'}", "{'ok':true}"));
	EXPECT_TRUE(
		says(rig->control, "{'do':'log'}", "{'ok':true,'lost':0,'next':10,'entries':[]}"));
	puppet_rig_stop(rig);
}

TEST(the_log_keeps_the_last_4096_and_says_how_many_were_lost)
{
	struct puppet_rig *rig = puppet_rig_open(everything, 0);

	for (unsigned int i = 0; i < 4100; i++)
		ASSERT_EQ(0, peer_write(rig->peer, FP_BAR5, 0, i, 4));
	EXPECT_TRUE(has(puppet_say(rig->control, "{'do':'log'}"), "{'ok':true,'lost':5,'next':4102,"
								  "'entries':[{'seq':6,"));
	puppet_rig_stop(rig);
}

TEST(help_and_shape_tell_what_there_is)
{
	struct puppet_rig *rig = puppet_rig_open(everything, 0);
	const char *reply = puppet_say(rig->control, "{'do':'help'}");

	EXPECT_TRUE(has(reply, "'await':"));
	EXPECT_TRUE(has(reply, "'write':"));
	reply = puppet_say(rig->control, "{'do':'shape'}");
	EXPECT_TRUE(has(
		reply,
		"{'ok':true,'vendor':4660,'device':22136,'regions':["
		"{'region':'bar0','size':65536,'areas':2,'doorbells':3,'spans':0,'latency_us':0},"));
	EXPECT_TRUE(has(reply, "'irqs':{'intx':1,'msi':4,'msix':8,'err':1,'req':1},"
			       "'migration':true}"));
	puppet_rig_stop(rig);
}

TEST(a_request_that_is_wrong_is_told_where)
{
	static const char *const pairs[][2] = {
		{ "", "{'error':'1:1: the JSON does not end'}" },
		{ "[", "{'error':'1:2: the JSON does not end'}" },
		{ "{'do' 1}", "{'error':'1:7: object property name separator ':' expected'}" },
		{ "{'do':'help'} x", "{'error':'1:15: unexpected character'}" },
		{ "7 ", "{'error':'a request is an object'}" },
		{ "[]", "{'error':'a request is an object'}" },
		{ "{'id':7}", "{'error':'do: is missing','id':7}" },
		{ "{'do':'dance'}", "{'error':'do: there is no \\'dance\\'; see help'}" },
		{ "{'do':'help','x':1}", "{'error':'x: there is no such key'}" },
		{ "{'do':'trigger'}", "{'error':'irq: is missing'}" },
		{ "{'do':'trigger','irq':'nmi'}",
		  "{'error':'irq: wants one of intx, msi, msix, err, req, not \\'nmi\\''}" },
		{ "{'do':'trigger','irq':'msi','number':4}",
		  "{'error':'number: 4 is not below 4'}" },
		{ "{'do':'dma_read','len':4}", "{'error':'iova: is missing'}" },
		{ "{'do':'dma_read','iova':-1,'len':4}",
		  "{'error':'iova: wants a number, not -1'}" },
		{ "{'do':'dma_read','iova':0,'len':0}",
		  "{'error':'len: 0 is not from 1 to 1048576'}" },
		{ "{'do':'dma_write','iova':0,'bytes':'123'}",
		  "{'error':'bytes: wants pairs of hexadecimal digits, not \\'123\\''}" },
		{ "{'do':'read','region':'bar1','offset':0,'len':1}",
		  "{'error':'region: there is no bar1'}" },
		{ "{'do':'read','region':7,'offset':0,'len':1}",
		  "{'error':'region: 7 is the configuration space'}" },
		{ "{'do':'read','region':16,'offset':0,'len':1}",
		  "{'error':'region: 16 is not from 0 to 15'}" },
		{ "{'do':'read','region':'bar2','offset':255,'len':2}",
		  "{'error':'offset: 2 bytes at 255 are not within the region's 256'}" },
		{ "{'do':'write','region':'bar2','offset':'0xffffffffffffffff','bytes':'00'}",
		  "{'error':'offset: 1 bytes at 18446744073709551615 are not within the region's "
		  "256'}" },
		{ "{'do':'await'}", "{'error':'wants either doorbell or held'}" },
		{ "{'do':'await','doorbell':'kick','held':'bar0'}",
		  "{'error':'wants either doorbell or held'}" },
		{ "{'do':'await','doorbell':'bell'}", "{'error':'doorbell: there is no 'bell''}" },
		{ "{'do':'await','held':'bar1'}", "{'error':'held: there is no bar1'}" },
		{ "{'do':'await','doorbell':'kick','timeout_ms':9999999}",
		  "{'error':'timeout_ms: 9999999 is not from 0 to 600000'}" },
		{ "{'do':'hold'}", "{'error':'region: is missing'}" },
		{ "{'do':'release','region':'bar1'}", "{'error':'region: there is no bar1'}" },
		{ "{'do':'log','since':'x'}", "{'error':'since: wants a number, not \\'x\\''}" },
	};
	struct puppet_rig *rig = puppet_rig_open(everything, 0);

	for (size_t i = 0; i < COUNT(pairs); i++) {
		const char *said = puppet_say(rig->control, pairs[i][0]);
		char plain[512];

		/* Both, with ' for ". */
		snprintf(plain, sizeof(plain), "%s", said);
		for (char *at = plain; *at; at++)
			if (*at == '"')
				*at = '\'';
		EXPECT_STREQ(pairs[i][1], plain);
	}
	puppet_rig_stop(rig);
}

/* ---- control clients ---- */

TEST(the_control_socket_is_its_owners_alone)
{
	struct puppet_rig *rig = puppet_rig_open(everything, 0);
	struct stat st;

	ASSERT_EQ(0, stat(rig->control_path, &st));
	EXPECT_EQ(S_IFSOCK | 0600, st.st_mode);
	puppet_rig_stop(rig);
}

TEST(two_control_clients_get_each_their_own_replies)
{
	struct puppet_rig *rig = puppet_rig_open(everything, 0);
	int other = puppet_connect(rig);

	puppet_send(rig->control, "{'do':'await','doorbell':'kick','id':'first'}");
	puppet_send(other, "{'do':'await','doorbell':'bar0[1]','id':'second'}");
	EXPECT_EQ(0, peer_write(rig->peer, FP_BAR0, 8, 7, 2));
	EXPECT_TRUE(has(puppet_receive(other), "{'ok':true,'count':1,'id':'second'}"));
	EXPECT_EQ(0, peer_write(rig->peer, FP_BAR0, 0, 7, 4));
	EXPECT_TRUE(has(puppet_receive(rig->control), "{'ok':true,'count':1,'id':'first'}"));
	close(other);
	puppet_rig_stop(rig);
}

TEST(a_ninth_control_client_is_turned_away_until_one_leaves)
{
	struct puppet_rig *rig = puppet_rig_open(everything, 0);
	int fds[8];

	for (unsigned int i = 0; i < 7; i++) {
		fds[i] = puppet_connect(rig);
		EXPECT_TRUE(says(fds[i], "{'do':'barrier'}", "{'ok':true}"));
	}
	fds[7] = puppet_connect(rig);
	EXPECT_TRUE(has(puppet_receive(fds[7]), "{'error':'there are 8 clients already'}"));
	EXPECT_STREQ("", puppet_receive(fds[7]));
	close(fds[7]);
	close(fds[0]);
	/* Its leaving is seen no later than this request. */
	EXPECT_TRUE(says(rig->control, "{'do':'barrier'}", "{'ok':true}"));
	fds[0] = puppet_connect(rig);
	EXPECT_TRUE(says(fds[0], "{'do':'barrier'}", "{'ok':true}"));
	puppet_rig_stop(rig);
}

TEST(a_line_that_is_too_long_is_an_error_and_the_end)
{
	struct puppet_rig *rig = puppet_rig_open(everything, 0);
	int other = puppet_connect(rig);
	static char line[65537];

	memset(line, ' ', sizeof(line) - 1);
	memcpy(line, "{'do':'clear'}", 14);
	line[65535] = '\0';
	EXPECT_TRUE(says(rig->control, line, "{'ok':true}"));
	line[65535] = ' ';
	puppet_send(rig->control, line);
	EXPECT_TRUE(
		has(puppet_receive(rig->control), "{'error':'a line is longer than 65536 bytes'}"));
	EXPECT_STREQ("", puppet_receive(rig->control));
	EXPECT_TRUE(says(other, "{'do':'clear'}", "{'ok':true}"));
	close(other);
	puppet_rig_stop(rig);
}

TEST(a_client_that_never_reads_is_dropped_and_others_are_served)
{
	struct puppet_rig *rig = puppet_rig_open(everything, 0);
	int greedy = puppet_connect(rig);
	char request[] = "{\"do\":\"read\",\"region\":\"vga\",\"offset\":0,\"len\":786432}\n";
	unsigned int sent = 0;

	/* Each reply is 1.5 MiB: less than ten of them are more than may wait. */
	while (sent < 64 && send(greedy, request, sizeof(request) - 1, MSG_NOSIGNAL) > 0) {
		sent++;
		EXPECT_TRUE(says(rig->control, "{'do':'clear'}", "{'ok':true}"));
	}
	EXPECT_GT(64, sent);
	close(greedy);
	puppet_rig_stop(rig);
}

TEST(a_client_that_leaves_amid_a_line_or_a_wait_is_forgotten)
{
	struct puppet_rig *rig = puppet_rig_open(everything, 0);
	unsigned int before;
	int other;

	ASSERT_EQ(0, map_window(rig->peer, -1, 0x20000, PAGE));
	EXPECT_TRUE(says(rig->control, "{'do':'barrier'}", "{'ok':true}"));
	before = peer_count_fds(rig->peer);
	other = puppet_connect(rig);
	puppet_send(other, "{'do':'await','doorbell':'kick'}");
	puppet_send(other, "{'do':'dma_read','iova':'0x20000','len':1}");
	EXPECT_EQ(6, send(other, "{\"do\":", 6, 0));
	close(other);
	EXPECT_EQ(before, peer_await_fds(rig->peer, before));
	answer_dma_read(rig->peer, 1);
	EXPECT_EQ(0, peer_write(rig->peer, FP_BAR0, 0, 1, 4));
	EXPECT_TRUE(
		says(rig->control, "{'do':'await','doorbell':'kick'}", "{'ok':true,'count':1}"));
	puppet_rig_stop(rig);
}

TEST(a_client_that_has_said_all_still_gets_its_replies_and_then_the_end)
{
	struct puppet_rig *rig = puppet_rig_open(everything, 0);
	int other = puppet_connect(rig);

	puppet_send(other, "{'do':'await','doorbell':'kick'}");
	EXPECT_EQ(0, shutdown(other, SHUT_WR));
	EXPECT_TRUE(says(rig->control, "{'do':'barrier'}", "{'ok':true}"));
	EXPECT_EQ(0, peer_write(rig->peer, FP_BAR0, 0, 1, 4));
	EXPECT_TRUE(has(puppet_receive(other), "{'ok':true,'count':1}"));
	EXPECT_STREQ("", puppet_receive(other));
	close(other);
	puppet_rig_stop(rig);
}

TEST(no_more_than_64_requests_of_a_client_wait)
{
	struct puppet_rig *rig = puppet_rig_open(everything, 0);

	for (unsigned int i = 0; i < 64; i++)
		puppet_send(rig->control, "{'do':'await','doorbell':'kick'}");
	EXPECT_TRUE(says(rig->control, "{'do':'help'}", "{'error':'64 requests wait already'}"));
	EXPECT_EQ(0, peer_write(rig->peer, FP_BAR0, 0, 1, 4));
	for (unsigned int i = 0; i < 64; i++)
		EXPECT_TRUE(has(puppet_receive(rig->control), "{'ok':true,'count':1}"));
	puppet_rig_stop(rig);
}

TEST(a_server_ends_well_with_accesses_held_and_requests_waiting)
{
	struct puppet_rig *rig = puppet_rig_open(everything, 0);

	ASSERT_EQ(0, map_window(rig->peer, -1, 0x20000, PAGE));
	puppet_say(rig->control, "{'do':'hold','region':'bar5'}");
	ask_read(rig->peer, FP_BAR5, 0, 4);
	puppet_say(rig->control, "{'do':'await','held':'bar5'}");
	puppet_send(rig->control, "{'do':'await','doorbell':'kick'}");
	puppet_send(rig->control, "{'do':'barrier'}");
	puppet_send(rig->control, "{'do':'dma_read','iova':'0x20000','len':1}");
	puppet_rig_stop(rig);
}

/* ---- migration ---- */

TEST(a_puppet_that_migrates_keeps_its_memory_and_its_counts)
{
	struct puppet_rig *from = puppet_rig_open(everything, 0);
	struct puppet_rig *to = puppet_rig_open(everything, 0);
	uint8_t *state;
	size_t len;

	EXPECT_EQ(0, peer_write(from->peer, FP_BAR0, 4094, 0x55667788, 4));
	EXPECT_EQ(0, peer_write(from->peer, 9, 92, 0x1122334455667788, 8));
	EXPECT_EQ(0, peer_write(from->peer, FP_BAR0, 0, 1, 4));
	ASSERT_EQ(0, peer_mig_go(from->peer, WIRE_MIG_STOP_COPY));
	state = peer_mig_read_all(from->peer, 65536, &len);
	ASSERT_EQ(0, peer_mig_go(to->peer, WIRE_MIG_STOP));
	ASSERT_EQ(0, peer_mig_load(to->peer, state, len, 65536));
	ASSERT_EQ(0, peer_mig_go(to->peer, WIRE_MIG_RUNNING));
	EXPECT_EQ(0x55667788, peer_read(to->peer, FP_BAR0, 4094, 4));
	EXPECT_EQ(0x1122334455667788, peer_read(to->peer, 9, 92, 8));
	EXPECT_TRUE(says(to->control, "{'do':'await','doorbell':'kick'}", "{'ok':true,'count':1}"));
	EXPECT_TRUE(has(puppet_say(from->control, "{'do':'log'}"), "'saw':'saved'"));
	EXPECT_TRUE(has(puppet_say(to->control, "{'do':'log'}"), "'saw':'loaded'"));
	free(state);
	puppet_rig_stop(from);
	puppet_rig_stop(to);
}

TEST(a_state_of_another_shape_is_refused)
{
	struct puppet_rig *from = puppet_rig_open(
		"{" IDS ",'regions':[{'index':9,'size':8192}],'migration':true}", 0);
	struct puppet_rig *to = puppet_rig_open(
		"{" IDS ",'regions':[{'index':9,'size':4096}],'migration':true}", 0);
	uint8_t *state;
	size_t len;

	ASSERT_EQ(0, peer_mig_go(from->peer, WIRE_MIG_STOP_COPY));
	state = peer_mig_read_all(from->peer, 65536, &len);
	ASSERT_EQ(0, peer_mig_go(to->peer, WIRE_MIG_STOP));
	EXPECT_EQ(EINVAL, peer_mig_load(to->peer, state, len, 65536));
	free(state);
	puppet_rig_stop(from);
	puppet_rig_stop(to);
}

TEST(a_puppet_does_not_migrate_unless_its_shape_says_so)
{
	struct puppet_rig *rig = puppet_rig_open("{" IDS "}", 0);

	EXPECT_NE(0, peer_feature_get(rig->peer, WIRE_FEATURE_MIGRATION, NULL, 0));
	puppet_rig_stop(rig);
}

/* ---- shapes that are wrong ---- */

#define REGION(more) "{" IDS ",'regions':[{'index':0,'size':4096" more "}]}"

static const char *const wrong_shapes[][2] = {
	{ "", "1:1: the JSON does not end" },
	{ "{\n  'pci': {,}}", "2:11: quoted object property name expected" },
	{ "{}}", "1:3: unexpected character" },
	{ "[]", "wants an object, not []" },
	{ "{}", "pci: is missing" },
	{ "{" IDS ",'colour':1}", "colour: there is no such key" },
	{ "{'pci':7}", "pci: wants an object, not 7" },
	{ "{'pci':{'vendor':1}}", "pci.device: is missing" },
	{ "{'pci':{'vendor':65536,'device':1}}", "pci.vendor: 65536 is not from 0 to 65535" },
	{ "{'pci':{'vendor':'0xzz','device':1}}", "pci.vendor: wants a number, not \"0xzz\"" },
	{ "{'pci':{'vendor':1.5,'device':1}}", "pci.vendor: wants a number, not 1.5" },
	{ "{'pci':{'vendor':1,'device':1,'class':'0x1000000'}}",
	  "pci.class: 16777216 is not from 0 to 16777215" },
	{ "{'pci':{'vendor':1,'device':1,'capabilities':'pm'}}",
	  "pci.capabilities: wants an array, not \"pm\"" },
	{ "{'pci':{'vendor':1,'device':1,'capabilities':['pm','agp']}}",
	  "pci.capabilities[1]: wants one of pm, express, serial, not \"agp\"" },
	{ "{'pci':{'vendor':1,'device':1,'serial':1}}", "pci.serial: needs the capability serial" },
	{ "{'pci':{'vendor':1,'device':1,'vendor_caps':[{}]}}",
	  "pci.vendor_caps[0].data: is missing" },
	{ "{'pci':{'vendor':1,'device':1,'vendor_caps':[{'data':'00','writable':'0000'}]}}",
	  "pci.vendor_caps[0].writable: is not as long as data" },
	{ "{'pci':{'vendor':1,'device':1,'msix':{'bar':6}}}",
	  "pci.msix.bar: 6 is not from 0 to 5" },
	{ "{'pci':{'vendor':1,'device':1,'msix':{'bar':0,'table':4}}}",
	  "pci.msix.table: 4 is not a multiple of 8" },
	{ "{" IDS ",'regions':{}}", "regions: wants an array, not {}" },
	{ "{" IDS ",'regions':[null]}", "regions[0]: wants an object, not null" },
	{ "{" IDS ",'regions':[{'size':1}]}", "regions[0].index: is missing" },
	{ "{" IDS ",'regions':[{'index':'bar6','size':1}]}",
	  "regions[0].index: wants one of bar0, bar1, bar2, bar3, bar4, bar5, rom, vga, not "
	  "\"bar6\"" },
	{ "{" IDS ",'regions':[{'index':7,'size':256}]}",
	  "regions[0].index: 7 is the configuration space" },
	{ "{" IDS ",'regions':[{'index':0,'size':0}]}",
	  "regions[0].size: 0 is not from 1 to 70368744177664" },
	{ "{" IDS ",'regions':[{'index':0,'size':4096},{'index':'bar0','size':4096}]}",
	  "regions[1].index: regions[0] is bar0 already" },
	{ REGION(",'flags':['fast']"),
	  "regions[0].flags[0]: wants one of io, read-only, independent, 64bit, prefetchable, "
	  "mmap, loads-only, not \"fast\"" },
	{ REGION(",'areas':[{'offset':100,'size':4096}]"),
	  "regions[0].areas[0].offset: 100 is not a multiple of 4096" },
	{ REGION(",'flags':['mmap'],'areas':[{'offset':4096,'size':4096}]"),
	  "regions[0].areas[0]: 4096 bytes at 4096 are not within the region's 4096" },
	{ REGION(",'file_offset':1"), "regions[0].file_offset: 1 is not a multiple of 4096" },
	{ REGION(",'initial':[{'offset':0,'bytes':''}]"),
	  "regions[0].initial[0].bytes: wants pairs of hexadecimal digits, not \"\"" },
	{ REGION(",'initial':[{'offset':4095,'bytes':'0000'}]"),
	  "regions[0].initial[0]: 2 bytes at 4095 are not within the region's 4096" },
	{ REGION(",'doorbells':[{'offset':0,'width':3}]"),
	  "regions[0].doorbells[0].width: 3 is not 0, 1, 2, 4 or 8" },
	{ REGION(",'doorbells':[{'offset':4093,'width':4}]"),
	  "regions[0].doorbells[0]: 4 bytes at 4093 are not within the region's 4096" },
	{ REGION(",'doorbells':[{'offset':0,'name':'a'},{'offset':8,'name':'a'}]"),
	  "regions[0].doorbells[1].name: 'a' is another one's" },
	{ REGION(",'doorbells':[{'offset':0,'name':''}]"),
	  "regions[0].doorbells[0].name: wants a text of 1 to 64 bytes, not \"\"" },
	{ REGION(",'doorbells':[{'offset':0,'shadow':1}]"),
	  "regions[0].doorbells[0].shadow: wants true or false, not 1" },
	{ REGION(",'doorbells':[{'offset':0,'width':4,'values':[]}]"),
	  "regions[0].doorbells[0].values: is empty" },
	{ REGION(",'doorbells':[{'offset':0,'width':4,'values':[1,'two']}]"),
	  "regions[0].doorbells[0].values[1]: wants a number, not \"two\"" },
	{ REGION(",'doorbells':[{'offset':0,'width':4,'value':1}]"),
	  "regions[0].doorbells[0].value: there is no such key" },
	{ REGION(",'doorbells':[{'offset':0,'group':'0x100000000'}]"),
	  "regions[0].doorbells[0].group: 4294967296 is not from 0 to 4294967295" },
	{ REGION(",'spans':[{'offset':0}]"), "regions[0].spans[0].size: is missing" },
	{ REGION(",'spans':[{'offset':4092,'size':8}]"),
	  "regions[0].spans[0]: 8 bytes at 4092 are not within the region's 4096" },
	{ REGION(",'latency_us':60000001"),
	  "regions[0].latency_us: 60000001 is not from 0 to 60000000" },
	{ "{" IDS ",'irqs':{'msi':33}}", "irqs.msi: 33 is not from 0 to 32" },
	{ "{" IDS ",'irqs':{'nmi':1}}", "irqs.nmi: there is no such key" },
	{ "{" IDS ",'limits':{'max_msg_fds':65}}", "limits.max_msg_fds: 65 is not from 1 to 64" },
	{ "{" IDS ",'limits':{'pgsizes':2048}}", "limits.pgsizes: 2048 is not a multiple of 4096" },
	{ "{" IDS ",'migration':1}", "migration: wants true or false, not 1" },
	{ "{" IDS ",'regions':[{'index':9,'size':'0x10000000'}],'migration':true}",
	  "migration: the regions are more than 128 MiB" },
	/* What the core alone knows it says itself. */
	{ REGION(",'flags':['io','mmap']"),
	  "region 0: a BAR in I/O space is not 64-bit, prefetchable or mapped" },
	{ REGION(",'flags':['loads-only']"),
	  "region 0: areas, a file offset or loads only in a region without FP_REGION_MMAP" },
	{ REGION(",'flags':['mmap','loads-only','read-only']"),
	  "region 0: a region that is read-only hears of no stores" },
	{ REGION(",'flags':['mmap'],'doorbells':[{'offset':0}]"),
	  "region 0: a doorbell lies in memory that the client may map, where nothing rings" },
	{ REGION(",'doorbells':[{'offset':0,'width':4,'values':[1,2,1]}]"),
	  "region 0: a doorbell has a value twice" },
	{ REGION(",'doorbells':[{'offset':0,'width':4},{'offset':2,'width':4}]"),
	  "region 0: two doorbells overlap" },
};

TEST(a_shape_that_is_wrong_is_refused_with_the_place)
{
	for (size_t i = 0; i < COUNT(wrong_shapes); i++) {
		const char *said = puppet_rig_refusal(wrong_shapes[i][0]);
		char expected[256];

		snprintf(expected, sizeof(expected), ": %s\n", wrong_shapes[i][1]);
		if (!strstr(said, expected))
			fprintf(stderr, "# shape %zu: '%s', not: %s\n", i, wrong_shapes[i][1],
				said);
		EXPECT_NE(NULL, strstr(said, expected));
	}
}

TEST(files_that_are_none_are_refused_with_the_reason)
{
	static const char *const cases[][2] = {
		{ "puppet", "it needs shape=FILE" },
		{ "puppet,shape=/no/such/file", "/no/such/file: No such file or directory" },
		{ "puppet,shape=/proc", "/proc: Is a directory" },
		{ "puppet,shape=/dev/zero", "/dev/zero: more than 1048576 bytes" },
		{ "puppet,shape=docs/puppet/small.json,control=/proc",
		  "control=/proc: File exists" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct peer *peer = peer_start(cases[i][0], 0);

		EXPECT_NE(0, peer_wait(peer));
		EXPECT_TRUE(has(peer_log(peer), cases[i][1]));
		peer_stop(peer);
	}
}

/* make check runs the tests in the top directory. */
TEST(the_examples_of_the_documentation_are_shapes)
{
	static const char *const examples[] = { "docs/puppet/everything.json",
						"docs/puppet/small.json" };

	for (size_t i = 0; i < COUNT(examples); i++) {
		char device[80];

		if (access(examples[i], R_OK))
			SKIP(return, "there is no %s here", examples[i]);
		snprintf(device, sizeof(device), "puppet,shape=%s", examples[i]);
		peer_stop(peer_open(device, 0));
	}
}

TEST_HARNESS_MAIN
