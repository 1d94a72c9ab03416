// SPDX-License-Identifier: GPL-2.0-only
/*
 * virtio-net: packets go between a guest's driver and a TAP, in a network namespace of the test's own.
 *
 * GPL-2.0-only, because it includes the kernel's kselftest harness.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "fastpath-client.h"
#include "kselftest_harness.h"
#include "peer.h"
#include "program.h"
#include "virtio_driver.h"
#include "virtio_pci.h"

#define TAP "fp-test0"
#define HEADER 12u
#define TYPE 0x88b5 /* for local experiments: nobody else sends it */

enum {
	RECEIVE,
	TRANSMIT,
	CONTROL
};

#define CONFIG(field) (VIRTIO_BAR_DEVICE + offsetof(struct virtio_net_config, field))

/* IPv6 sends by itself. */
static void be_quiet(void)
{
	int fd = open("/proc/sys/net/ipv6/conf/default/disable_ipv6", O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, "1", 1) == 1)
		close(fd);
}

/* Why there can't be a TAP here, or NULL: it can, in a network namespace that has nothing else. */
static const char *no_tap(void)
{
	if (unshare(CLONE_NEWNET))
		return "no network namespace: it takes root";
	if (access("/dev/net/tun", R_OK | W_OK))
		return "no /dev/net/tun";
	be_quiet();
	return NULL;
}

#define REQUIRE_TAP()                              \
	do {                                       \
		const char *why__ = no_tap();      \
		if (why__)                         \
			SKIP(return, "%s", why__); \
	} while (0)

/* A socket that has what the host gets and sends at the interface. */
static int packet_socket(void)
{
	struct sockaddr_ll at = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(TYPE),
		.sll_ifindex = (int)if_nametoindex(TAP),
	};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(TYPE));

	if (fd < 0 || !at.sll_ifindex || bind(fd, (struct sockaddr *)&at, sizeof(at)))
		abort();
	return fd;
}

static void set_flags(short on, short off)
{
	struct ifreq request = { .ifr_name = TAP };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (ioctl(fd, SIOCGIFFLAGS, &request))
		abort();
	request.ifr_flags = (short)((request.ifr_flags | on) & ~off);
	if (ioctl(fd, SIOCSIFFLAGS, &request))
		abort();
	close(fd);
}

/* A packet of `len` bytes, of which `seed` tells the content. */
static void fill(uint8_t *packet, size_t len, uint8_t seed)
{
	memset(packet, 0xff, 6);
	memcpy(packet + 6, "\x02\x00\x00\x00\x00\x01\x88\xb5", 8);
	for (size_t i = 14; i < len; i++)
		packet[i] = (uint8_t)(seed + i * 7 + (i >> 8));
}

FIXTURE(net) {
	struct driver driver;
	bool is_there;
	int host;
	uint64_t data; /* iova */
};

FIXTURE_VARIANT(net) {
	unsigned int how;
};

#define WAY(name, flags)                 \
	FIXTURE_VARIANT_ADD(net, name) { \
		.how = flags             \
	}

WAY(split, DRIVER_EVENT_IDX);
WAY(packed, DRIVER_PACKED | DRIVER_EVENT_IDX | DRIVER_BY_EVENTFD);
WAY(packed_indirect, DRIVER_PACKED | DRIVER_INDIRECT);
WAY(by_message, DRIVER_BY_MESSAGE);

#define FEATURES                                                                               \
	(1ull << VIRTIO_NET_F_MRG_RXBUF | 1ull << VIRTIO_NET_F_STATUS |                        \
	 1ull << VIRTIO_NET_F_CTRL_VQ | 1ull << VIRTIO_NET_F_MAC | 1ull << VIRTIO_NET_F_CSUM | \
	 1ull << VIRTIO_NET_F_HOST_TSO4)

FIXTURE_SETUP(net)
{
	REQUIRE_TAP();
	driver_start(&self->driver, "virtio-net,tap=" TAP ",mtu=9000,mac=52:54:00:12:34:56",
		     variant->how);
	self->is_there = true;
	self->host = packet_socket();
	driver_init(&self->driver, FEATURES, 3);
	self->data = driver_alloc(&self->driver, 1u << 20);
}

FIXTURE_TEARDOWN(net)
{
	if (!self->is_there)
		return;
	driver_stop(&self->driver);
	EXPECT_EQ(0, if_nametoindex(TAP)); /* it has gone with the server */
}

#define NEED_TAP()           \
	if (!self->is_there) \
	return

/* `nr` buffers of `len` bytes to receive to, one behind the other. */
static void offer(struct driver *driver, uint64_t at, uint32_t len, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++) {
		const struct driver_buffer buffer = { at + i * len, len, true };

		driver_add(driver, RECEIVE, &buffer, 1);
	}
	driver_kick(driver, RECEIVE);
}

static bool host_hears(int host, const uint8_t *packet, size_t len)
{
	struct pollfd fd = { .fd = host, .events = POLLIN };
	static uint8_t heard[70000];

	return poll(&fd, 1, PEER_DEADLINE_MS) == 1 &&
	       recv(host, heard, sizeof(heard), 0) == (ssize_t)len && !memcmp(heard, packet, len);
}

TEST_F(net, the_configuration_says_what_it_was_given)
{
	struct driver *driver = &self->driver;

	NEED_TAP();
	EXPECT_EQ(0x563412005452ull, driver_read(driver, CONFIG(mac), 6));
	EXPECT_EQ(VIRTIO_NET_S_LINK_UP, driver_read(driver, CONFIG(status), 2));
	EXPECT_EQ(9000, driver_read(driver, CONFIG(mtu), 2));
	EXPECT_TRUE(driver_offered(driver) & 1ull << VIRTIO_NET_F_MTU);
	EXPECT_FALSE(driver_offered(driver) & 1ull << VIRTIO_NET_F_MQ);
}

TEST_F(net, what_the_guest_sends_the_host_hears)
{
	struct driver *driver = &self->driver;
	uint8_t *bytes = driver_at(driver, self->data);
	const struct driver_buffer buffers[] = { { self->data, HEADER + 20, false },
						 { self->data + HEADER + 20, 980, false } };

	NEED_TAP();
	for (uint8_t i = 0; i < 40; i++) {
		fill(bytes + HEADER, 1000, i);
		driver_do(driver, TRANSMIT, buffers, 2);
		ASSERT_TRUE(host_hears(self->host, bytes + HEADER, 1000));
	}
}

TEST_F(net, what_the_host_sends_the_guest_hears_in_order)
{
	struct driver *driver = &self->driver;
	uint8_t packet[1000], *bytes = driver_at(driver, self->data);
	uint16_t id;

	NEED_TAP();
	for (unsigned int round = 0; round < 10; round++) {
		offer(driver, self->data, 2048, 8);
		for (uint8_t i = 0; i < 8; i++) {
			fill(packet, sizeof(packet), i);
			ASSERT_EQ(1000, send(self->host, packet, sizeof(packet), 0));
		}
		for (uint8_t i = 0; i < 8; i++) {
			ASSERT_EQ(HEADER + 1000, driver_await(driver, RECEIVE, &id));
			fill(packet, sizeof(packet), i);
			ASSERT_EQ(0, memcmp(packet, bytes + i * 2048 + HEADER, 1000));
			ASSERT_EQ(1, ((struct virtio_net_hdr_v1 *)(bytes + i * 2048))->num_buffers);
		}
	}
}

/* And the first of them come when there are no more: they wait for the rest. */
TEST_F(net, a_packet_takes_as_many_buffers_as_it_needs)
{
	struct driver *driver = &self->driver;
	uint8_t packet[5000], *bytes = driver_at(driver, self->data);
	uint32_t len;
	uint16_t id;

	NEED_TAP();
	fill(packet, sizeof(packet), 3);
	for (unsigned int round = 0; round < 30; round++) {
		offer(driver, self->data, 1024, 3);
		ASSERT_EQ(5000, send(self->host, packet, sizeof(packet), 0));
		driver_read(driver, CONFIG(status), 2);
		ASSERT_FALSE(driver_take(driver, RECEIVE, &id, &len));
		offer(driver, self->data + 3 * 1024, 1024, 2);
		for (unsigned int i = 0; i < 4; i++)
			ASSERT_EQ(1024, driver_await(driver, RECEIVE, &id));
		ASSERT_EQ(5012 - 4 * 1024, driver_await(driver, RECEIVE, &id));
		ASSERT_EQ(5, ((struct virtio_net_hdr_v1 *)bytes)->num_buffers);
		ASSERT_EQ(0, memcmp(packet, bytes + HEADER, sizeof(packet)));
	}
}

TEST_F(net, a_large_packet_for_the_host_to_cut_arrives_whole)
{
	struct driver *driver = &self->driver;
	uint8_t *bytes = driver_at(driver, self->data);
	struct virtio_net_hdr_v1 *header = (void *)bytes;
	const struct driver_buffer buffer = { self->data, HEADER + 54 + 60000, false };
	uint8_t *ip = bytes + HEADER + 14, *tcp = ip + 20;

	NEED_TAP();
	fill(bytes + HEADER, 54 + 60000, 1);
	*header = (struct virtio_net_hdr_v1){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.hdr_len = 54,
		.gso_size = 1448,
		.csum_start = 34,
		.csum_offset = 16,
	};
	memset(ip, 0, 40);
	ip[0] = 0x45;
	ip[2] = (60040 >> 8) & 0xff;
	ip[3] = 60040 & 0xff;
	ip[8] = 64;
	ip[9] = IPPROTO_TCP;
	tcp[12] = 0x50;
	driver_do(driver, TRANSMIT, &buffer, 1);
	EXPECT_TRUE(host_hears(self->host, bytes + HEADER, 54 + 60000));
	/* And one that can't be is lost, and nothing else is. */
	header->gso_type = 0x7f;
	driver_do(driver, TRANSMIT, &buffer, 1);
	*header = (struct virtio_net_hdr_v1){ 0 };
	driver_do(driver, TRANSMIT, &(struct driver_buffer){ self->data, HEADER + 100, false }, 1);
	EXPECT_TRUE(host_hears(self->host, bytes + HEADER, 100));
}

static void await_config(struct driver *driver, uint16_t status)
{
	int64_t deadline = 0;

	while (driver_read(driver, CONFIG(status), 2) != status ||
	       !peer_eventfd_take(driver->irqs[0]))
		if (!peer_time_left(&deadline) || fpc_turn(driver->client, 2))
			abort();
}

TEST_F(net, the_link_follows_the_hosts_interface)
{
	NEED_TAP();
	for (unsigned int i = 0; i < 3; i++) {
		set_flags(0, IFF_UP);
		await_config(&self->driver, 0);
		set_flags(IFF_UP, 0);
		await_config(&self->driver, VIRTIO_NET_S_LINK_UP);
	}
}

TEST_F(net, a_reset_amid_packets_leaves_the_memory_alone)
{
	struct driver *driver = &self->driver;
	uint8_t packet[3000], *bytes = driver_at(driver, self->data);
	uint16_t id;

	NEED_TAP();
	fill(packet, sizeof(packet), 1);
	for (unsigned int round = 0; round < 5; round++) {
		offer(driver, self->data, 2048, 5);
		for (unsigned int i = 0; i < 4; i++)
			send(self->host, packet, sizeof(packet), 0);
		driver_set_status(driver, 0);
		memset(bytes, 0, 5 * 2048);
		EXPECT_EQ(0, driver_status(driver));
		send(self->host, packet, sizeof(packet), 0);
		EXPECT_EQ(0, bytes[0] | bytes[HEADER] | bytes[2048] | bytes[4 * 2048]);
		driver_init(driver, FEATURES, 3);
		self->data = driver_alloc(driver, 65536);
		bytes = driver_at(driver, self->data);
	}
	/* What came before is not there: the first is what comes now. */
	offer(driver, self->data, 4096, 1);
	fill(packet, sizeof(packet), 9);
	send(self->host, packet, sizeof(packet), 0);
	EXPECT_EQ(HEADER + 3000, driver_await(driver, RECEIVE, &id));
	EXPECT_EQ(0, memcmp(packet, bytes + HEADER, sizeof(packet)));
}

/* Of a queue that can't be believed. */
TEST_F(net, what_no_packet_is_like_needs_a_reset)
{
	const struct {
		unsigned int queue;
		struct driver_buffer buffer;
	} bad[] = {
		{ TRANSMIT, { self->data, HEADER - 1, false } },
		{ TRANSMIT, { self->data, 70000, false } },
		{ TRANSMIT, { self->data, 100, true } },
		{ TRANSMIT, { 0x1000, 100, false } },
		{ CONTROL, { self->data, 1, false } },
		{ CONTROL, { self->data, 4, false } },
		{ RECEIVE, { self->data, 2048, false } },
		{ RECEIVE, { self->data, 11, true } },
		{ RECEIVE, { 0x1000, 2048, true } },
	};
	struct driver *driver = &self->driver;
	uint8_t packet[100];

	NEED_TAP();
	fill(packet, sizeof(packet), 1);
	for (unsigned int i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		driver_init(driver, FEATURES, 3);
		driver_add(driver, bad[i].queue, &bad[i].buffer, 1);
		driver_kick(driver, bad[i].queue);
		if (bad[i].queue == RECEIVE)
			send(self->host, packet, sizeof(packet), 0);
		driver_await_failure(driver);
	}
}

static uint8_t command(struct driver *driver, unsigned int queue, uint64_t at, uint8_t class,
		       uint8_t cmd, uint16_t data, uint32_t bytes)
{
	uint8_t *out = driver_at(driver, at);
	const struct driver_buffer buffers[] = { { at, 2 + bytes, false }, { at + 64, 1, true } };

	out[0] = class;
	out[1] = cmd;
	memcpy(out + 2, &data, 2);
	out[64] = 0xaa;
	driver_do(driver, queue, buffers, 2);
	return out[64];
}

TEST_F(net, a_command_that_it_does_not_know_is_an_error)
{
	struct driver *driver = &self->driver;

	NEED_TAP();
	EXPECT_EQ(VIRTIO_NET_ERR, command(driver, CONTROL, self->data, 99, 0, 0, 0));
	EXPECT_EQ(VIRTIO_NET_ERR, command(driver, CONTROL, self->data, VIRTIO_NET_CTRL_MQ,
					  VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, 1, 2));
	EXPECT_EQ(VIRTIO_NET_ERR, command(driver, CONTROL, self->data, VIRTIO_NET_CTRL_ANNOUNCE,
					  VIRTIO_NET_CTRL_ANNOUNCE_ACK, 0, 20));
	EXPECT_EQ(VIRTIO_NET_OK, command(driver, CONTROL, self->data, VIRTIO_NET_CTRL_ANNOUNCE,
					 VIRTIO_NET_CTRL_ANNOUNCE_ACK, 0, 0));
}

/* ---- its keys ---- */

#define QUEUES 2u

TEST(each_pair_of_queues_that_is_in_use_has_packets)
{
	struct driver_buffer buffer = { .len = HEADER + 500 };
	struct driver driver;
	uint64_t data;
	uint8_t *bytes;
	int host;

	REQUIRE_TAP();
	driver_start(&driver, "virtio-net,tap=" TAP ",queues=1", 0);
	EXPECT_FALSE(driver_offered(&driver) & 1ull << VIRTIO_NET_F_MQ);
	driver_stop(&driver);
	/* With as many queues as this driver has: the last one is control's, beyond it. */
	driver_start(&driver, "virtio-net,tap=" TAP ",queues=2", 0);
	EXPECT_TRUE(driver_offered(&driver) & 1ull << VIRTIO_NET_F_MQ);
	EXPECT_EQ(QUEUES, driver_read(&driver, CONFIG(max_virtqueue_pairs), 2));
	driver_init(&driver, FEATURES | 1ull << VIRTIO_NET_F_MQ, 5);
	data = driver_alloc(&driver, 1u << 16);
	bytes = driver_at(&driver, data);
	EXPECT_EQ(VIRTIO_NET_ERR, command(&driver, 4, data, VIRTIO_NET_CTRL_MQ, 0, 3, 2));
	EXPECT_EQ(VIRTIO_NET_ERR, command(&driver, 4, data, VIRTIO_NET_CTRL_MQ, 0, 0, 2));
	EXPECT_EQ(VIRTIO_NET_OK, command(&driver, 4, data, VIRTIO_NET_CTRL_MQ, 0, 2, 2));
	buffer.iova = data;
	host = packet_socket();
	memset(bytes, 0, HEADER);
	for (unsigned int i = 0; i < QUEUES; i++) {
		fill(bytes + HEADER, 500, (uint8_t)i);
		driver_do(&driver, 2 * i + TRANSMIT, &buffer, 1);
		EXPECT_TRUE(host_hears(host, bytes + HEADER, 500));
	}
	driver_stop(&driver);
}

static int open_tap(short flags)
{
	struct ifreq request = { .ifr_name = TAP, .ifr_flags = flags };
	int fd = open("/dev/net/tun", O_RDWR); /* and the server inherits it */

	if (fd < 0 || ioctl(fd, TUNSETIFF, &request))
		abort();
	return fd;
}

TEST(a_tap_is_taken_by_its_fd)
{
	struct driver driver;
	struct driver_buffer buffer = { .len = HEADER + 200 };
	char device[64];
	uint8_t *bytes;
	int fd, host;

	REQUIRE_TAP();
	fd = open_tap(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
	set_flags(IFF_UP, 0);
	snprintf(device, sizeof(device), "virtio-net,fd=%d,mtu=1400", fd);
	driver_start(&driver, device, 0);
	host = packet_socket();
	driver_init(&driver, FEATURES, 3);
	EXPECT_EQ(VIRTIO_NET_S_LINK_UP, driver_read(&driver, CONFIG(status), 2));
	EXPECT_EQ(1400, driver_read(&driver, CONFIG(mtu), 2));
	buffer.iova = driver_alloc(&driver, 4096);
	bytes = driver_at(&driver, buffer.iova);
	fill(bytes + HEADER, 200, 1);
	driver_do(&driver, TRANSMIT, &buffer, 1);
	EXPECT_TRUE(host_hears(host, bytes + HEADER, 200));
	driver_stop(&driver);
	EXPECT_NE(0, if_nametoindex(TAP)); /* it is still ours */
}

TEST(a_bridge_and_its_address_are_made_and_removed)
{
	struct ifreq request = { .ifr_name = "fp-test-br" };
	struct driver driver;
	int fd;

	REQUIRE_TAP();
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	driver_start(
		&driver,
		"virtio-net,tap=" TAP ",bridge=fp-test-br,create-bridge=on,address=10.9.8.1/24", 0);
	ASSERT_EQ(0, ioctl(fd, SIOCGIFADDR, &request));
	EXPECT_EQ(htonl(0x0a090801), ((struct sockaddr_in *)&request.ifr_addr)->sin_addr.s_addr);
	driver_stop(&driver);
	EXPECT_EQ(0, if_nametoindex("fp-test-br"));
	EXPECT_EQ(0, if_nametoindex(TAP));
}

TEST(it_migrates_and_the_guest_is_asked_to_announce_itself)
{
	struct driver driver, there;
	struct device_server other;
	struct driver_buffer buffer = { .len = HEADER + 300 };
	uint8_t stream[8192], *bytes;
	int host;
	ssize_t len;

	REQUIRE_TAP();
	driver_start(&driver, "virtio-net,tap=fp-test1,mac=52:54:00:12:34:56", 0);
	driver_init(&driver, FEATURES | 1ull << VIRTIO_NET_F_GUEST_ANNOUNCE, 3);
	buffer.iova = driver_alloc(&driver, 4096);
	bytes = driver_at(&driver, buffer.iova);
	fill(bytes + HEADER, 300, 4);
	driver_add(&driver, TRANSMIT, &buffer, 1);
	ASSERT_EQ(0, fpc_migration_set_state(driver.client, FPC_MIG_STOP_COPY));
	len = fpc_migration_read(driver.client, stream, sizeof(stream));
	ASSERT_LT(0, len);
	device_server_start(&other, "virtio-net,tap=" TAP);
	host = packet_socket();
	driver_attach(&there, &other, 0, &driver);
	ASSERT_EQ(0, fpc_migration_set_state(there.client, FPC_MIG_RESUMING));
	ASSERT_EQ(0, fpc_migration_write(there.client, stream, (size_t)len));
	ASSERT_EQ(0, fpc_migration_set_state(there.client, FPC_MIG_RUNNING));
	EXPECT_TRUE(host_hears(host, bytes + HEADER, 300));
	EXPECT_EQ(0x563412005452ull, driver_read(&there, CONFIG(mac), 6));
	await_config(&there, VIRTIO_NET_S_LINK_UP | VIRTIO_NET_S_ANNOUNCE);
	EXPECT_EQ(VIRTIO_NET_OK,
		  command(&there, CONTROL, driver_alloc(&there, 4096), VIRTIO_NET_CTRL_ANNOUNCE,
			  VIRTIO_NET_CTRL_ANNOUNCE_ACK, 0, 0));
	EXPECT_EQ(VIRTIO_NET_S_LINK_UP, driver_read(&there, CONFIG(status), 2));
	driver_stop(&there);
	driver_stop(&driver);
}

/* What fastpathd says to a device that can't be had. */
static void is_refused(struct __test_metadata *_metadata, const char *keys, const char *says)
{
	struct program program;
	char device[200];

	snprintf(device, sizeof(device), "virtio-net,socket=/tmp/fastpath-never.sock%s", keys);
	ASSERT_EQ(0, program_start(&program, "fastpathd",
				   (const char *const[]){ "--device", device, NULL }, false));
	program_wait(&program);
	EXPECT_NE(0, program.status);
	EXPECT_NE(NULL, strstr(program.complained, says))
	{
		TH_LOG("it said: %s", program.complained);
	}
	EXPECT_EQ(0, if_nametoindex(TAP));
}

TEST(a_bad_key_is_one_error_that_names_it)
{
	REQUIRE_TAP();
	is_refused(_metadata, "", "tap=NAME or fd=N is needed");
	is_refused(_metadata, ",tap=sixteen-letters.",
		   "tap=sixteen-letters.: the name has to have");
	is_refused(_metadata, ",tap=" TAP ",mac=52:54:00:12:34", "mac=52:54:00:12:34: six bytes");
	is_refused(_metadata, ",tap=" TAP ",mac=53:54:00:12:34:56", "six bytes of one station");
	is_refused(_metadata, ",tap=" TAP ",mtu=60", "mtu=: 68 to 65521");
	is_refused(_metadata, ",tap=" TAP ",queues=17", "queues=: 16 at most");
	is_refused(_metadata, ",tap=" TAP ",bridge=nowhere", "bridge=nowhere: it is not there");
	is_refused(_metadata, ",tap=" TAP ",bridge=lo", "bridge=lo: it is no bridge");
	is_refused(_metadata, ",tap=" TAP ",address=10.9.8.7.6", "address=10.9.8.7.6: ");
	is_refused(_metadata, ",tap=lo", "tap=lo: Invalid argument (an interface of that name");
	is_refused(_metadata, ",fd=99", "fd=99: there is no such fd");
	is_refused(_metadata, ",fd=x", "fd=x: numbers from 3 on");
	is_refused(_metadata, ",fd=9,bridge=br0", "with fd=N, bridge= and address=");
}

TEST_HARNESS_MAIN
