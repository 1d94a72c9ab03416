/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * testdev: a device to measure and to test with.
 *
 * BAR0 (memory) and BAR1 (I/O) have the register layout of QEMU's pci-testdev, so that
 * kvm-unit-tests' vmexit drives them: a test is chosen by writing its number to byte 0, and the
 * header that can then be read says where to store what. BAR2, BAR3 and BAR5 are Fastpath's own;
 * docs/testdev.md has their maps.
 */
#include "fastpath.h"

#include <errno.h>
#include <x86intrin.h>

#include "testdev.h"

/* The header that a chosen test shows; the layout is pci-testdev's. */
struct test_header {
	uint8_t test;
	uint8_t width;
	uint8_t pad0[2];
	uint32_t offset;
	uint8_t data;
	uint8_t pad1[3];
	uint32_t count;
	char name[28];
};

/* Tests 0-2 are in memory, 3-5 in I/O space; each has one byte of its BAR's upper half. */
enum {
	NO_EVENTFD,
	WILDCARD,
	DATAMATCH,
	TESTS_PER_BAR
};

#define MATCHED 0xfa
#define UNMATCHED 0xce

static const char *const test_names[2 * TESTS_PER_BAR] = {
	"mmio-no-eventfd",   "mmio-wildcard-eventfd",	"mmio-datamatch-eventfd",
	"portio-no-eventfd", "portio-wildcard-eventfd", "portio-datamatch-eventfd",
};

struct testdev {
	uint64_t id; /* a key, as is the next */
	bool has_roads;
	struct test_header tests[2 * TESTS_PER_BAR];
	int chosen; /* -1: none */
	uint64_t writes;
	uint64_t reads;
	uint64_t stamp_iova; /* 0: no stamps */
	uint64_t seen;	     /* since stamp_iova was written */
	uint64_t rung[TESTDEV_NR_DOORBELLS];
	uint64_t shared_accesses;
	struct testdev_roads roads;
	uint32_t intx;	       /* 1: it is raised */
	uint8_t registers[16]; /* of 1, 2, 4 and 8 bytes */
	uint8_t scratch[TESTDEV_SCRATCH_BYTES];
};

/* Tells the guest, in its own memory, when this handler saw how many accesses. */
static void stamp(struct fp_device *dev, struct testdev *testdev, uint64_t times)
{
	struct testdev_stamp *at;
	uint64_t now = __rdtsc();

	if (!testdev->stamp_iova)
		return;
	testdev->seen += times;
	at = fp_dma(dev, testdev->stamp_iova, sizeof(*at), true);
	if (!at)
		return;
	__atomic_store_n(&at->tsc, now, __ATOMIC_RELAXED);
	/* The guest polls the count: the time has to be there before it. */
	__atomic_store_n(&at->count, testdev->seen, __ATOMIC_RELEASE);
}

/* ---- BAR0 and BAR1: pci-testdev ---- */

static void init_tests(struct testdev *testdev)
{
	for (unsigned int i = 0; i < 2 * TESTS_PER_BAR; i++) {
		struct test_header *test = &testdev->tests[i];

		*test = (struct test_header){
			.test = (uint8_t)i,
			.width = 1,
			.offset = (i < TESTS_PER_BAR ? TESTDEV_MEMORY_TESTS : TESTDEV_IO_TESTS) + i,
			.data = i % TESTS_PER_BAR == WILDCARD ? UNMATCHED : MATCHED,
		};
		memcpy(test->name, test_names[i], strlen(test_names[i]) + 1);
	}
	testdev->chosen = -1;
}

static void choose(struct testdev *testdev, uint64_t number, unsigned int first)
{
	testdev->chosen = -1;
	if (number >= TESTS_PER_BAR)
		return;
	testdev->chosen = (int)(first + number);
	testdev->tests[testdev->chosen].count = 0;
}

/* A store counts when it is at the chosen test's offset, and of its value unless that is any. */
static void count(struct testdev *testdev, const struct fp_access *access)
{
	struct test_header *test;
	bool any;

	if (testdev->chosen < 0)
		return;
	test = &testdev->tests[testdev->chosen];
	any = testdev->chosen % TESTS_PER_BAR == WILDCARD;
	if (access->offset == test->offset &&
	    (any || (access->size == test->width && fp_access_value(access) == test->data)))
		test->count += (uint32_t)access->times;
}

static int tests_access(struct fp_device *dev, struct fp_access *access, unsigned int first)
{
	struct testdev *testdev = fp_state(dev);
	struct test_header none = { 0 };

	stamp(dev, testdev, access->times);
	if (access->write && !access->offset)
		choose(testdev, fp_access_value(access), first);
	else if (access->write)
		count(testdev, access);
	else
		fp_access_memory(access, 0,
				 testdev->chosen < 0 ? &none : &testdev->tests[testdev->chosen],
				 sizeof(none));
	return 0;
}

static int memory_tests(struct fp_device *dev, struct fp_access *access)
{
	return tests_access(dev, access, 0);
}

static int io_tests(struct fp_device *dev, struct fp_access *access)
{
	return tests_access(dev, access, TESTS_PER_BAR);
}

/* ---- BAR2: our own ---- */

static void read_counters(const struct testdev *testdev, struct fp_access *access)
{
	struct testdev_counters counters = {
		.magic = TESTDEV_MAGIC,
		.version = TESTDEV_VERSION,
		.id = testdev->id,
		.writes = testdev->writes,
		.reads = testdev->reads,
		.stamp_iova = testdev->stamp_iova,
		.intx = testdev->intx,
	};

	memcpy(counters.rung, testdev->rung, sizeof(counters.rung));
	fp_access_memory(access, 0, &counters, sizeof(counters));
}

static void write_control(struct fp_device *dev, struct testdev *testdev,
			  const struct fp_access *access)
{
	switch (access->offset) {
	case offsetof(struct testdev_counters, stamp_iova):
		testdev->stamp_iova = fp_access_value(access);
		testdev->seen = 0;
		break;
	case offsetof(struct testdev_counters, trigger):
		fp_irq_trigger(dev, FP_MSIX, (uint32_t)fp_access_value(access));
		break;
	case offsetof(struct testdev_counters, msi):
		fp_irq_trigger(dev, FP_MSI, (uint32_t)fp_access_value(access));
		break;
	case offsetof(struct testdev_counters, intx):
		testdev->intx = fp_access_value(access) != 0;
		fp_irq_level(dev, testdev->intx);
		break;
	}
}

static int bench_access(struct fp_device *dev, struct fp_access *access)
{
	struct testdev *testdev = fp_state(dev);

	/* The counters don't count those who look at them. */
	if (access->offset < TESTDEV_REGISTERS) {
		if (access->write)
			write_control(dev, testdev, access);
		else
			read_counters(testdev, access);
		return 0;
	}
	stamp(dev, testdev, access->times);
	*(access->write ? &testdev->writes : &testdev->reads) += access->times;
	if (access->doorbell)
		testdev->rung[access->doorbell - testdev_doorbells] += access->times;
	else if (!fp_access_memory(access, TESTDEV_REGISTERS, testdev->registers,
				   sizeof(testdev->registers)))
		fp_access_memory(access, TESTDEV_SCRATCH, testdev->scratch,
				 sizeof(testdev->scratch));
	return 0;
}

/* ---- BAR3: memory shared with the client, and registers that are not ---- */

static const struct fp_area areas[] = {
	{ TESTDEV_AREA_A, TESTDEV_AREA_A_BYTES },
	{ TESTDEV_AREA_B, TESTDEV_AREA_B_BYTES },
};

#define NR_AREAS (sizeof(areas) / sizeof(*areas))

static uint64_t sum_areas(struct fp_device *dev)
{
	const uint8_t *memory = fp_region_memory(dev, FP_BAR3);
	uint64_t sum = 0;

	for (size_t i = 0; i < NR_AREAS; i++)
		for (uint64_t at = 0; at < areas[i].size; at += sizeof(uint32_t))
			sum += *(const volatile uint32_t *)(memory + areas[i].offset + at);
	return sum;
}

static int shared_access(struct fp_device *dev, struct fp_access *access)
{
	struct testdev *testdev = fp_state(dev);
	struct testdev_shared registers;

	if (!access->write && access->offset < sizeof(registers)) {
		registers = (struct testdev_shared){
			.sum = sum_areas(dev),
			.accesses = testdev->shared_accesses,
		};
		fp_access_memory(access, 0, &registers, sizeof(registers));
	} else {
		testdev->shared_accesses++;
	}
	return 0;
}

static void clear_areas(struct fp_device *dev)
{
	uint8_t *memory = fp_region_memory(dev, FP_BAR3);

	for (size_t i = 0; i < NR_AREAS; i++)
		memset(memory + areas[i].offset, 0, areas[i].size);
}

/* ---- BAR5: other roads ---- */

static const uint64_t road_offsets[TESTDEV_NR_ROADS] = {
	[TESTDEV_ROAD_FAN] = TESTDEV_FAN,
	[TESTDEV_ROAD_SHADOW] = TESTDEV_SHADOW,
	[TESTDEV_ROAD_SLOT] = TESTDEV_SLOT_BELL,
};

static const struct fp_doorbell road_doorbells[] = {
	[TESTDEV_ROAD_FAN] = { .offset = TESTDEV_FAN, .width = 4, FP_VALUES(0, 1, 2, 3) },
	[TESTDEV_ROAD_SHADOW] = { .offset = TESTDEV_SHADOW, .width = 4, .shadow = true },
	[TESTDEV_ROAD_SLOT] = { .offset = TESTDEV_SLOT_BELL },
};

static const struct fp_area slot_area = { TESTDEV_SLOT, FP_PAGE };

/* What a guest loads without asking anybody. */
static void show_slot(struct fp_device *dev, const struct testdev *testdev)
{
	struct testdev_slot *slot;

	if (!testdev->has_roads)
		return;
	slot = (void *)((uint8_t *)fp_region_memory(dev, FP_BAR5) + TESTDEV_SLOT);
	__atomic_store_n(&slot->stores, testdev->roads.of[TESTDEV_ROAD_SLOT].stores,
			 __ATOMIC_RELEASE);
}

/* A ring and a store of any other value are told by their place: both bring what was stored. */
static void count_road(struct testdev *testdev, const struct fp_access *access)
{
	for (unsigned int i = 0; i < TESTDEV_NR_ROADS; i++)
		if (access->offset == road_offsets[i] && access->size == road_doorbells[i].width) {
			testdev->roads.of[i].stores += access->times;
			testdev->roads.of[i].sum += access->times * fp_access_value(access);
		}
}

static int roads_access(struct fp_device *dev, struct fp_access *access)
{
	struct testdev *testdev = fp_state(dev);

	if (access->offset < TESTDEV_REGISTERS) {
		if (!access->write)
			fp_access_memory(access, 0, &testdev->roads, sizeof(testdev->roads));
		return 0;
	}
	if (access->write)
		count_road(testdev, access);
	show_slot(dev, testdev);
	stamp(dev, testdev, access->times);
	return 0;
}

/* ---- configuration space ---- */

static const uint8_t cap_data[TESTDEV_CAP_BYTES] = { 0, 'F', 'P', 'T', 'D' };
static const uint8_t cap_writable[TESTDEV_CAP_BYTES] = { [5] = 0xff, 0xff, 0xff, 0xff };

static const struct fp_pci_cap caps[] = {
	{ .data = cap_data, .writable = cap_writable, .size = TESTDEV_CAP_BYTES },
};

/* ---- the device ---- */

static int configure(struct fp_device *dev, struct fp_class *own)
{
	const struct testdev *testdev = fp_state(dev);

	if (!testdev->has_roads)
		own->regions[FP_BAR5] = (struct fp_region){ 0 };
	return 0;
}

static int reset(struct fp_device *dev)
{
	struct testdev *testdev = fp_state(dev);

	*testdev = (struct testdev){ .id = testdev->id, .has_roads = testdev->has_roads };
	init_tests(testdev);
	clear_areas(dev);
	show_slot(dev, testdev);
	return 0;
}

static int open_testdev(struct fp_device *dev)
{
	struct testdev *testdev = fp_state(dev);

	init_tests(testdev);
	fp_pci_serial(dev, testdev->id);
	return 0;
}

/* ---- migration: all of the state, the id too, for the guest is not to see a difference ---- */

static int save(struct fp_device *dev, struct fp_stream *to)
{
	const uint8_t *memory = fp_region_memory(dev, FP_BAR3);

	fp_stream_write(to, fp_state(dev), sizeof(struct testdev));
	for (size_t i = 0; i < NR_AREAS; i++)
		fp_stream_write(to, memory + areas[i].offset, areas[i].size);
	return 0; /* a stream remembers its errors */
}

static int load(struct fp_device *dev, struct fp_stream *from)
{
	struct testdev *testdev = fp_state(dev);
	uint8_t *memory = fp_region_memory(dev, FP_BAR3);
	struct testdev loaded;

	if (fp_stream_read(from, &loaded, sizeof(loaded)))
		return -EINVAL;
	if (loaded.chosen < -1 || loaded.chosen >= 2 * TESTS_PER_BAR ||
	    loaded.has_roads != testdev->has_roads)
		return -EINVAL;
	for (unsigned int i = 0; i < 2 * TESTS_PER_BAR; i++)
		testdev->tests[i].count = loaded.tests[i].count;
	memcpy(loaded.tests, testdev->tests, sizeof(loaded.tests));
	*testdev = loaded;
	fp_irq_level(dev, testdev->intx);
	for (size_t i = 0; i < NR_AREAS; i++)
		if (fp_stream_read(from, memory + areas[i].offset, areas[i].size))
			return -EINVAL;
	show_slot(dev, testdev);
	return 0;
}

static const struct fp_key keys[] = {
	{ "id", FP_KEY_U64, offsetof(struct testdev, id),
	  "a number to be read in BAR2, and its serial number" },
	{ "roads", FP_KEY_BOOL, offsetof(struct testdev, has_roads),
	  "more doorbells, in a BAR5; default off" },
	{ 0 },
};

/* The registers are not in them: they are for measuring messages. */
static const struct fp_span scratch_spans[] = {
	{ .offset = TESTDEV_SCRATCH, .size = TESTDEV_POSTED - TESTDEV_SCRATCH },
	{ .offset = TESTDEV_POSTED,
	  .size = TESTDEV_SCRATCH + TESTDEV_SCRATCH_BYTES - TESTDEV_POSTED,
	  .posted = true },
};

static const struct fp_doorbell memory_doorbells[] = {
	{ .offset = TESTDEV_MEMORY_TESTS + WILDCARD },
	{ .offset = TESTDEV_MEMORY_TESTS + DATAMATCH, .width = 1, FP_VALUES(MATCHED) },
};

static const struct fp_doorbell io_doorbells[] = {
	{ .offset = TESTDEV_IO_TESTS + TESTS_PER_BAR + WILDCARD, .width = 1 },
	{ .offset = TESTDEV_IO_TESTS + TESTS_PER_BAR + DATAMATCH, .width = 1, FP_VALUES(MATCHED) },
};

FP_DEVICE(testdev) = {
	.name = "testdev",
	.summary = "registers, doorbells and counters to test and measure with",
	.state_bytes = sizeof(struct testdev),
	.keys = keys,
	.pci = {
		.vendor = 0x1b36,
		.device = 0x0005,
		.subsystem_vendor = 0x1af4,
		.subsystem = 0x1100,
		.class_code = 0x00ff00,
		.msix_bar = FP_BAR4,
		.capabilities = FP_PCI_PM | FP_PCI_EXPRESS | FP_PCI_SERIAL,
		.vendor_caps = caps,
		.nr_vendor_caps = 1,
	},
	.irqs = { [FP_INTX] = 1, [FP_MSI] = TESTDEV_VECTORS, [FP_MSIX] = TESTDEV_VECTORS },
	.regions = {
		[FP_BAR0] = {
			.size = 2 * TESTDEV_MEMORY_TESTS,
			.access = memory_tests,
			.doorbells = memory_doorbells,
			.nr_doorbells = sizeof(memory_doorbells) / sizeof(*memory_doorbells),
		},
		[FP_BAR1] = {
			.size = 2 * TESTDEV_IO_TESTS,
			.flags = FP_REGION_IO,
			.access = io_tests,
			.doorbells = io_doorbells,
			.nr_doorbells = sizeof(io_doorbells) / sizeof(*io_doorbells),
		},
		[FP_BAR2] = {
			.size = TESTDEV_BENCH_BYTES,
			.access = bench_access,
			.doorbells = testdev_doorbells,
			.nr_doorbells = TESTDEV_NR_DOORBELLS,
			.spans = scratch_spans,
			.nr_spans = TESTDEV_NR_SPANS,
		},
		[FP_BAR3] = {
			.size = TESTDEV_SHARED_BYTES,
			.flags = FP_REGION_MMAP,
			.access = shared_access,
			.areas = areas,
			.nr_areas = NR_AREAS,
		},
		[FP_BAR5] = {
			.size = TESTDEV_ROADS_BYTES,
			.flags = FP_REGION_MMAP | FP_REGION_LOADS_ONLY,
			.access = roads_access,
			.doorbells = road_doorbells,
			.nr_doorbells = TESTDEV_NR_ROADS,
			.areas = &slot_area,
			.nr_areas = 1,
		},
	},
	.configure = configure,
	.open = open_testdev,
	.reset = reset,
	.save = save,
	.load = load,
};
