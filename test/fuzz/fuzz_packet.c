/* fuzz_packet: what cuts and joins packets: any bytes from the manager, and a kernel that lies about its own.
 *
 * The input is a row of packets, each behind two bytes of length and, for cutting, a virtio_net_hdr. Beyond memory
 * errors it checks that no piece is larger than the tunnel's MTU or lies about its length, and that every byte that is
 * given to the joiner leaves it once. Each packet is looked at in a copy of its exact size.
 */
#include <linux/virtio_net.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "tun/join.h"
#include "tun/mss.h"
#include "tun/packet.h"
#include "tun/segment.h"

enum { MTU = 1500, PACKETS = 100 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(int holds)
{
	if (!holds)
		abort();
}

/* The address that lets it pass. */
static struct addr
own(const uint8_t *pkt, size_t len, enum packet_way way)
{
	struct addr a = {.family = AF_INET6};
	size_t size = 16, at = way == PACKET_FROM_DEVICE ? 8 : 24;

	if (len && pkt[0] >> 4 == 4) {
		a.family = AF_INET;
		size = 4;
		at = way == PACKET_FROM_DEVICE ? 12 : 16;
	}
	if (len >= at + size)
		memcpy(a.bytes, pkt + at, size);
	return a;
}

static int
passes(const uint8_t *pkt, size_t len, enum packet_way way)
{
	struct addr a = own(pkt, len, way);

	return packet_check(pkt, len, way, &a) == PACKET_PASS;
}

static void
cut(uint8_t *pkt, size_t len, const struct virtio_net_hdr *h)
{
	size_t payload = 0, at;
	struct segment s;

	if (!passes(pkt, len, PACKET_FROM_DEVICE) || segment_begin(&s, pkt, len, h, MTU))
		return;
	for (size_t n; (n = segment_len(&s)) != 0; payload++) {
		uint8_t *piece = malloc(n);

		if (!piece)
			return;
		check(n <= MTU && segment_next(&s, piece) == n);
		check(passes(piece, n, PACKET_FROM_DEVICE));
		at = mss_find(piece, n);
		if (at)
			mss_clamp(piece, at, MTU);
		free(piece);
	}
	check(payload >= 1);
}

static void
count(void *ctx, const struct join_unit *u)
{
	size_t *packets = ctx, len = 0;
	uint8_t *flat;

	for (int i = 1; i < u->count; i++)
		len += u->part[i].iov_len;
	flat = malloc(len);
	check(flat != NULL && len <= 65535);
	len = 0;
	for (int i = 1; i < u->count; i++) {
		memcpy(flat + len, u->part[i].iov_base, u->part[i].iov_len);
		len += u->part[i].iov_len;
	}
	check(passes(flat, len, PACKET_FROM_MANAGER));
	if (u->packets > 1) {
		struct segment s;
		size_t n = 0, bytes = 0;

		check(!segment_begin(&s, flat, len, &u->about, 65535));
		for (; segment_len(&s); n++) {
			static uint8_t piece[65536];

			bytes += segment_next(&s, piece);
		}
		check(n == u->packets && bytes == u->bytes);
	}
	*packets += u->packets;
	free(flat);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct join join;
	uint8_t *kept[PACKETS];
	size_t given = 0, came = 0, all = 0;

	join = (struct join){.sink = count, .ctx = &came};
	while (size > 2 + sizeof(struct virtio_net_hdr) && all < PACKETS) {
		size_t len = (size_t)(data[0] << 8 | data[1]);
		struct virtio_net_hdr h;

		memcpy(&h, data + 2, sizeof(h));
		data += 2 + sizeof(h);
		size -= 2 + sizeof(h);
		len = len < size ? len : size;
		kept[all] = malloc(len ? len : 1);
		if (!kept[all])
			break;
		memcpy(kept[all], data, len);
		cut(kept[all], len, &h);
		memcpy(kept[all], data, len);
		if (passes(kept[all], len, PACKET_FROM_MANAGER)) {
			join_add(&join, kept[all], len);
			given++;
		}
		all++;
		data += len;
		size -= len;
	}
	join_flush(&join);
	check(given == came);
	while (all)
		free(kept[--all]);
	return 0;
}
