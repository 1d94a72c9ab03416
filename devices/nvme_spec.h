/* SPDX-License-Identifier: BSD-3-Clause */
/* nvme_spec: numbers and layouts of NVM Express 1.4, as far as the device nvme has them. */
#ifndef FASTPATH_NVME_SPEC_H
#define FASTPATH_NVME_SPEC_H

#include <stdint.h>

/* Registers, 3.1 */
#define NVME_CAP 0x00u
#define NVME_VS 0x08u
#define NVME_INTMS 0x0cu
#define NVME_INTMC 0x10u
#define NVME_CC 0x14u
#define NVME_CSTS 0x1cu
#define NVME_AQA 0x24u
#define NVME_ASQ 0x28u
#define NVME_ACQ 0x30u
#define NVME_DOORBELLS 0x1000u /* submission queue 0's tail, completion queue 0's head, 1's, ... */

#define NVME_VERSION_1_4 0x00010400u

#define NVME_CC_EN 1u
#define NVME_CC_SHN (3u << 14)
#define NVME_CC_IOSQES(cc) ((cc) >> 16 & 0xf)
#define NVME_CC_IOCQES(cc) ((cc) >> 20 & 0xf)
#define NVME_CC_CSS_MPS_AMS 0x3ff0u /* 0: NVM commands, pages of 4,096 bytes, round robin */

#define NVME_CSTS_RDY 1u
#define NVME_CSTS_CFS 2u
#define NVME_CSTS_SHST (3u << 2)
#define NVME_CSTS_SHST_BUSY (1u << 2)
#define NVME_CSTS_SHST_DONE (2u << 2)

/* Commands */
enum {
	NVME_ADMIN_DELETE_SQ = 0x00,
	NVME_ADMIN_CREATE_SQ = 0x01,
	NVME_ADMIN_GET_LOG = 0x02,
	NVME_ADMIN_DELETE_CQ = 0x04,
	NVME_ADMIN_CREATE_CQ = 0x05,
	NVME_ADMIN_IDENTIFY = 0x06,
	NVME_ADMIN_ABORT = 0x08,
	NVME_ADMIN_SET_FEATURES = 0x09,
	NVME_ADMIN_GET_FEATURES = 0x0a,
	NVME_ADMIN_ASYNC_EVENT = 0x0c,
	NVME_ADMIN_DOORBELL_BUFFER = 0x7c,
};

enum {
	NVME_FLUSH = 0x00,
	NVME_WRITE = 0x01,
	NVME_READ = 0x02,
	NVME_WRITE_ZEROES = 0x08,
	NVME_DATASET = 0x09,
};

struct nvme_sqe {
	uint8_t opcode;
	uint8_t flags; /* fused operation, bits 1:0; what dptr is, bits 7:6 */
	uint16_t cid;
	uint32_t nsid;
	uint32_t cdw2, cdw3;
	uint64_t mptr;
	uint64_t prp1, prp2; /* or an SGL descriptor */
	uint32_t cdw10, cdw11, cdw12, cdw13, cdw14, cdw15;
};

#define NVME_FLAGS_FUSE 0x3cu /* reserved bits too */
#define NVME_FLAGS_FUSED 3u
#define NVME_FLAGS_PSDT(flags) ((flags) >> 6)

struct nvme_cqe {
	uint32_t result;
	uint32_t reserved;
	uint16_t sq_head;
	uint16_t sq_id;
	uint16_t cid;
	uint16_t status; /* << 1, with the phase below */
};

/* An SGL descriptor, 4.4: its type is in the upper half of the last byte */
struct nvme_sgl {
	uint64_t address;
	uint32_t length;
	uint8_t reserved[3];
	uint8_t type;
};

#define NVME_SGL_DATA 0x00u
#define NVME_SGL_SEGMENT 0x20u
#define NVME_SGL_LAST_SEGMENT 0x30u

struct nvme_range {
	uint32_t attributes;
	uint32_t blocks;
	uint64_t lba;
};

/* Status: code type << 8 | code */
enum {
	NVME_OK = 0x000,
	NVME_BAD_OPCODE = 0x001,
	NVME_BAD_FIELD = 0x002,
	NVME_TRANSFER_ERROR = 0x004,
	NVME_INTERNAL = 0x006,
	NVME_ABORTED = 0x007,
	NVME_ABORTED_SQ_DELETED = 0x008,
	NVME_BAD_NAMESPACE = 0x00b,
	NVME_SEQUENCE_ERROR = 0x00c,
	NVME_BAD_SGL_SEGMENT = 0x00d,
	NVME_BAD_SGL_NUMBER = 0x00e,
	NVME_BAD_SGL_LENGTH = 0x00f,
	NVME_BAD_SGL_TYPE = 0x011,
	NVME_BAD_PRP_OFFSET = 0x013,
	NVME_WRITE_PROTECTED = 0x020,
	NVME_LBA_RANGE = 0x080,
	NVME_CAPACITY = 0x081,
	NVME_BAD_CQ = 0x100,
	NVME_BAD_QUEUE_ID = 0x101,
	NVME_BAD_QUEUE_SIZE = 0x102,
	NVME_TOO_MANY_EVENT_REQUESTS = 0x105,
	NVME_BAD_VECTOR = 0x108,
	NVME_BAD_LOG_PAGE = 0x109,
	NVME_BAD_QUEUE_DELETION = 0x10c,
	NVME_NOT_SAVEABLE = 0x10d,
	NVME_WRITE_FAULT = 0x280,
	NVME_READ_ERROR = 0x281,
	NVME_DO_NOT_RETRY = 0x4000,
};

/* Identify, 5.15 */
enum {
	NVME_CNS_NAMESPACE = 0x00,
	NVME_CNS_CONTROLLER = 0x01,
	NVME_CNS_ACTIVE_NAMESPACES = 0x02,
	NVME_CNS_DESCRIPTORS = 0x03,
};

/* Features, 5.21.1 */
enum {
	NVME_FEATURE_ARBITRATION = 0x01,
	NVME_FEATURE_POWER = 0x02,
	NVME_FEATURE_TEMPERATURE = 0x04,
	NVME_FEATURE_ERROR_RECOVERY = 0x05,
	NVME_FEATURE_WRITE_CACHE = 0x06,
	NVME_FEATURE_QUEUES = 0x07,
	NVME_FEATURE_COALESCING = 0x08,
	NVME_FEATURE_VECTOR = 0x09,
	NVME_FEATURE_ATOMICITY = 0x0a,
	NVME_FEATURE_EVENTS = 0x0b,
	NVME_NR_FEATURES = 0x0c,
};

/* Log pages, 5.14.1 */
enum {
	NVME_LOG_ERRORS = 0x01,
	NVME_LOG_HEALTH = 0x02,
	NVME_LOG_FIRMWARE = 0x03,
	NVME_LOG_CHANGED = 0x04,
	NVME_LOG_EFFECTS = 0x05,
};

/* Asynchronous events, 5.2 */
enum {
	NVME_EVENT_ERROR = 0,
	NVME_EVENT_HEALTH = 1,
	NVME_NR_EVENTS = 2,
};

#define NVME_EVENT_BAD_DOORBELL 0u
#define NVME_EVENT_BAD_DOORBELL_VALUE 1u
#define NVME_EVENT_TEMPERATURE 1u

#endif
