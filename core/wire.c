/* SPDX-License-Identifier: BSD-3-Clause */
#include "wire.h"

static const char *const names[WIRE_CMD_END] = {
	[WIRE_VERSION] = "VERSION",
	[WIRE_DMA_MAP] = "DMA_MAP",
	[WIRE_DMA_UNMAP] = "DMA_UNMAP",
	[WIRE_DEVICE_GET_INFO] = "DEVICE_GET_INFO",
	[WIRE_DEVICE_GET_REGION_INFO] = "DEVICE_GET_REGION_INFO",
	[WIRE_DEVICE_GET_REGION_IO_FDS] = "DEVICE_GET_REGION_IO_FDS",
	[WIRE_DEVICE_GET_IRQ_INFO] = "DEVICE_GET_IRQ_INFO",
	[WIRE_DEVICE_SET_IRQS] = "DEVICE_SET_IRQS",
	[WIRE_REGION_READ] = "REGION_READ",
	[WIRE_REGION_WRITE] = "REGION_WRITE",
	[WIRE_DMA_READ] = "DMA_READ",
	[WIRE_DMA_WRITE] = "DMA_WRITE",
	[WIRE_DEVICE_RESET] = "DEVICE_RESET",
	[WIRE_REGION_WRITE_MULTI] = "REGION_WRITE_MULTI",
	[WIRE_DEVICE_FEATURE] = "DEVICE_FEATURE",
	[WIRE_MIG_DATA_READ] = "MIG_DATA_READ",
	[WIRE_MIG_DATA_WRITE] = "MIG_DATA_WRITE",
};

const char *wire_cmd_name(unsigned int cmd)
{
	return cmd < WIRE_CMD_END && names[cmd] ? names[cmd] : "unknown command";
}

static const char *const states[WIRE_MIG_END] = {
	[WIRE_MIG_ERROR] = "ERROR",	  [WIRE_MIG_STOP] = "STOP",
	[WIRE_MIG_RUNNING] = "RUNNING",	  [WIRE_MIG_STOP_COPY] = "STOP_COPY",
	[WIRE_MIG_RESUMING] = "RESUMING", [WIRE_MIG_PRE_COPY] = "PRE_COPY",
};

const char *wire_state_name(unsigned int state)
{
	return state < WIRE_MIG_END && states[state] ? states[state] : "unknown state";
}

const char *wire_header_check(const struct wire_header *hdr)
{
	if (hdr->msg_size < sizeof(*hdr))
		return "msg_size is smaller than the header";
	return NULL;
}
