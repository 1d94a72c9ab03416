/* SPDX-License-Identifier: BSD-3-Clause */
/* fastpathd: the server with the devices that come with Fastpath. */
#include "fastpath.h"

int main(int argc, char **argv)
{
	return fp_main(argc, argv);
}
