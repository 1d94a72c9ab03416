// SPDX-License-Identifier: GPL-2.0-only
/*
 * Addresses as people write them: what they mean, and what is said of those that mean nothing.
 *
 * GPL-2.0-only, because it includes the kernel's kselftest harness.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "address.h"
#include "kselftest_harness.h"
#include "lib/capture.h"
#include "lib/listen.h"
#include "socket.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

TEST(a_path_is_a_unix_socket_with_or_without_its_prefix)
{
	static const char *const paths[][2] = {
		{ "unix:/tmp/a", "/tmp/a" }, { "/tmp/a", "/tmp/a" },   { "a", "a" },
		{ "unix:tcp:1", "tcp:1" },   { "./tcp:1", "./tcp:1" }, { "unix:unix:a", "unix:a" },
		{ "tcpip", "tcpip" },
	};
	struct address address;

	for (unsigned int i = 0; i < COUNT(paths); i++) {
		ASSERT_EQ(0, address_parse(paths[i][0], ADDRESS_CONNECT, &address));
		EXPECT_STREQ(paths[i][1], address_path(&address));
		EXPECT_TRUE(address_is_local(&address));
		EXPECT_FALSE(address.is_tcp);
	}
}

TEST(a_path_that_is_meant_as_such_is_never_another_address)
{
	struct address address;

	ASSERT_EQ(0, address_of_path("tcp:0.0.0.0:1", &address));
	EXPECT_STREQ("tcp:0.0.0.0:1", address_path(&address));
}

TEST(a_vsock_address_is_a_cid_and_a_port)
{
	struct address address;
	struct sockaddr_vm vm;

	ASSERT_EQ(0, address_parse("vsock:3:1024", ADDRESS_CONNECT, &address));
	memcpy(&vm, &address.at[0].name, sizeof(vm));
	EXPECT_EQ(AF_VSOCK, vm.svm_family);
	EXPECT_EQ(3, vm.svm_cid);
	EXPECT_EQ(1024, vm.svm_port);
	EXPECT_EQ(NULL, address_path(&address));
	EXPECT_FALSE(address_is_local(&address));
	ASSERT_EQ(0, address_parse("vsock:any:4294967294", ADDRESS_LISTEN, &address));
	memcpy(&vm, &address.at[0].name, sizeof(vm));
	EXPECT_EQ(VMADDR_CID_ANY, vm.svm_cid);
	EXPECT_EQ(4294967294u, vm.svm_port);
}

TEST(a_tcp_address_is_a_host_and_a_port)
{
	struct address address;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	ASSERT_EQ(0, address_parse("tcp:192.0.2.1:80", ADDRESS_CONNECT, &address));
	EXPECT_TRUE(address.is_tcp);
	EXPECT_FALSE(address_is_local(&address));
	memcpy(&in, &address.at[0].name, sizeof(in));
	EXPECT_EQ(AF_INET, in.sin_family);
	EXPECT_EQ(htonl(0xc0000201), in.sin_addr.s_addr);
	EXPECT_EQ(htons(80), in.sin_port);
	ASSERT_EQ(0, address_parse("tcp:[2001:db8::1]:65535", ADDRESS_CONNECT, &address));
	memcpy(&in6, &address.at[0].name, sizeof(in6));
	EXPECT_EQ(AF_INET6, in6.sin6_family);
	EXPECT_EQ(htons(65535), in6.sin6_port);
	EXPECT_FALSE(address_is_local(&address));
	EXPECT_EQ(0, address_parse("tcp:127.0.0.1:0", ADDRESS_LISTEN, &address));
}

TEST(a_tcp_port_alone_is_this_hosts)
{
	struct address address;
	struct sockaddr_in in;

	ASSERT_EQ(0, address_parse("tcp:7000", ADDRESS_LISTEN, &address));
	memcpy(&in, &address.at[0].name, sizeof(in));
	EXPECT_EQ(AF_INET, in.sin_family);
	EXPECT_EQ(htonl(INADDR_LOOPBACK), in.sin_addr.s_addr);
	EXPECT_EQ(htons(7000), in.sin_port);
}

TEST(loopback_addresses_are_local_and_no_others)
{
	static const char *const local[] = { "tcp:127.0.0.1:1", "tcp:127.255.0.1:1", "tcp:[::1]:1",
					     "tcp:[::ffff:127.0.0.1]:1" };
	static const char *const remote[] = { "tcp:0.0.0.0:1",	 "tcp:[::]:1",
					      "tcp:128.0.0.1:1", "tcp:[::ffff:192.0.2.1]:1",
					      "tcp:[::2]:1",	 "tcp:126.255.255.255:1" };
	struct address address;

	for (unsigned int i = 0; i < COUNT(local); i++) {
		ASSERT_EQ(0, address_parse(local[i], ADDRESS_LISTEN, &address));
		EXPECT_TRUE(address_is_local(&address));
	}
	for (unsigned int i = 0; i < COUNT(remote); i++) {
		ASSERT_EQ(0, address_parse(remote[i], ADDRESS_LISTEN, &address));
		EXPECT_FALSE(address_is_local(&address));
	}
}

TEST(what_is_no_address_is_refused_and_the_part_that_is_wrong_named)
{
	static const struct {
		const char *text;
		const char *says;
	} cases[] = {
		{ "", "the path is empty" },
		{ "unix:", "the path is empty" },
		{ "tcp:127.0.0.1:99999", "port '99999' is not 1 to 65535" },
		{ "tcp:127.0.0.1:65536", "port '65536' is not 1 to 65535" },
		{ "tcp:127.0.0.1:0", "port '0' is not 1 to 65535" },
		{ "tcp:127.0.0.1:", "port '' is not 1 to 65535" },
		{ "tcp:127.0.0.1:-1", "port '-1' is not" },
		{ "tcp:127.0.0.1:+1", "port '+1' is not" },
		{ "tcp:127.0.0.1: 1", "port ' 1' is not" },
		{ "tcp:127.0.0.1:1x", "port '1x' is not" },
		{ "tcp:127.0.0.1:18446744073709551617", "port '18446744073709551617' is not" },
		{ "tcp:localhost", "port 'localhost' is not" },
		{ "tcp:", "port '' is not" },
		{ "tcp::1", "host '' is empty" },
		{ "tcp:[]:1", "host '' is empty" },
		{ "tcp:[:1", "host '[:1': the bracket is not closed" },
		{ "tcp:[::1:1", "host '[::1:1': the bracket is not closed" },
		{ "tcp:[::1]", "host '[::1]': the bracket is not closed" },
		{ "tcp:::1:1", "host '::1': an IPv6 address has to be in brackets" },
		{ "vsock:1", "wants vsock:CID:PORT" },
		{ "vsock:", "wants vsock:CID:PORT" },
		{ "vsock:x:1", "CID 'x' is not 0 to 4294967294" },
		{ "vsock::1", "CID '' is not 0 to 4294967294" },
		{ "vsock:4294967295:1", "CID '4294967295' is not" },
		{ "vsock:1:x", "port 'x' is not 1 to 4294967294" },
		{ "vsock:1:4294967295", "port '4294967295' is not" },
		{ "vsock:1:2:3", "port '2:3' is not" },
		{ "vsock:any:1", "CID 'any' is where a server listens" },
	};
	struct address address;
	struct capture capture;

	for (unsigned int i = 0; i < COUNT(cases); i++) {
		int ret;

		capture_start(&capture);
		ret = address_parse(cases[i].text, ADDRESS_CONNECT, &address);
		capture_end(&capture);
		EXPECT_EQ(-EINVAL, ret);
		EXPECT_LE(1, capture_lines(&capture, cases[i].text));
		EXPECT_EQ(1, capture_lines(&capture, cases[i].says))
		{
			TH_LOG("%s: %s", cases[i].text, capture.text);
		}
	}
}

TEST(a_path_or_a_host_that_is_too_long_is_refused)
{
	struct capture capture;
	struct address address;
	char text[1024];

	memset(text, 'x', sizeof(text));
	text[sizeof(((struct sockaddr_un *)0)->sun_path) - 1] = '\0';
	EXPECT_EQ(0, address_parse(text, ADDRESS_CONNECT, &address));
	text[strlen(text)] = 'x';
	text[sizeof(((struct sockaddr_un *)0)->sun_path)] = '\0';
	capture_start(&capture);
	EXPECT_EQ(-ENAMETOOLONG, address_parse(text, ADDRESS_CONNECT, &address));
	memcpy(text, "tcp:", 4);
	memset(text + 4, 'x', sizeof(text) - 4);
	strcpy(text + sizeof(text) - 3, ":1");
	EXPECT_EQ(-EINVAL, address_parse(text, ADDRESS_CONNECT, &address));
	capture_end(&capture);
	EXPECT_EQ(1, capture_lines(&capture, "' is too long"));
}

TEST(a_host_that_is_not_there_is_named)
{
	struct capture capture;
	struct address address;
	int ret;

	/* RFC 6761: no resolver may find one; a host without any says that it can't tell. */
	capture_start(&capture);
	ret = address_parse("tcp:nobody.invalid:1", ADDRESS_CONNECT, &address);
	capture_end(&capture);
	EXPECT_TRUE(ret == -ENOENT || ret == -EAGAIN);
	EXPECT_EQ(1, capture_lines(&capture, "tcp:nobody.invalid:1: host 'nobody.invalid': "));
}

TEST(a_listening_socket_tells_its_port_in_the_same_words)
{
	static const char *const any[] = { "tcp:0", "tcp:[::1]:0" };

	for (unsigned int i = 0; i < COUNT(any); i++) {
		char text[ADDRESS_TEXT];
		int listening = listen_at(any[i]);
		int fd;

		if (listening == -EADDRNOTAVAIL || listening == -EAFNOSUPPORT)
			continue; /* no IPv6 here */
		ASSERT_LE(0, listening);
		address_bound_to(listening, text);
		fd = socket_connect(text);
		EXPECT_LE(0, fd)
		{
			TH_LOG("%s", text);
		}
		EXPECT_FALSE(socket_carries_fds(fd));
		close(fd);
		close(listening);
		EXPECT_EQ(-ECONNREFUSED, socket_connect(text));
	}
}

TEST(a_server_that_does_not_take_its_clients_in_is_waited_for_no_longer_than_one_likes)
{
	int listening = listen_at("tcp:0");
	char text[ADDRESS_TEXT];
	int fds[8];

	ASSERT_LE(0, listening);
	ASSERT_EQ(0, listen(listening, 0));
	address_bound_to(listening, text);
	/* One waits to be accepted; the kernel drops what the others send. */
	for (unsigned int i = 0; i < COUNT(fds); i++)
		fds[i] = socket_connect_within(text, 0);
	EXPECT_EQ(-ETIMEDOUT, socket_connect_within(text, 20));
	for (unsigned int i = 0; i < COUNT(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	close(listening);
}

TEST_HARNESS_MAIN
