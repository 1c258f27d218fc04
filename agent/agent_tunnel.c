/* The tunnel device in the event loop: packets both ways, and a device that was deleted is made again. */
#include <errno.h>
#include <sys/epoll.h>

#include "agent/agent_private.h"
#include "agent/profile.h"
#include "agent/session.h"
#include "agent/settings.h"
#include "agent/uplink.h"
#include "base/err.h"
#include "base/log.h"
#include "base/loop.h"
#include "tun/device.h"

enum {
	DROPS_A_TURN = 64, /* then the others get their turn */
	RETRY_MS = 5000,
	WAIT_MS = 5,     /* so long for the session, and the line or the manager is what is slow, not we */
	QUEUE_MS = 1000, /* without such a wait, and the queue is long again */
};

static void on_tun(void *ctx, uint32_t events);

static void
unwatch(struct agent *a)
{
	loop_io_free(a->tun_io);
	a->tun_io = NULL;
}

static void
watch(struct agent *a)
{
	unwatch(a);
	a->tun_io = loop_io_new(a->loop, tun_fd(a->tun), EPOLLIN, on_tun, a);
	if (!a->tun_io)
		loop_timer_at(a->tun_timer, mono_in(clock_mono(), RETRY_MS));
}

static bool
is_held(const struct agent *a)
{
	return a->tun_held.ms != MONO_NEVER.ms;
}

/* A long queue keeps what comes while we are kept from a processor. Before a slow line it would only make everything
 * late: 256 packets are three seconds of one Mbit/s. */
static void
on_tun_queue(void *ctx)
{
	struct agent *a = ctx;
	mono_t now = clock_mono();

	if (is_held(a))
		a->tun_waited = now;
	a->tun_short = is_held(a) || !mono_due(mono_in(a->tun_waited, QUEUE_MS), now);
	tun_set_queue(a->tun, a->tun_short ? TUN_QUEUE_SHORT : TUN_QUEUE_LONG);
	if (a->tun_short)
		loop_timer_at(a->tun_queue, mono_in(now, QUEUE_MS));
}

/* The session takes packets, or takes none for now. Mostly that is over within this turn of the loop, before any timer
 * is looked at. */
static void
note_wait(struct agent *a, bool held)
{
	mono_t now;

	if (held == is_held(a))
		return;
	now = clock_mono();
	if (!held && a->tun_short && mono_due(mono_in(a->tun_held, WAIT_MS), now))
		a->tun_waited = now;
	a->tun_held = held ? now : MONO_NEVER;
	if (!a->tun_short)
		loop_timer_at(a->tun_queue, held ? mono_in(now, WAIT_MS) : MONO_NEVER);
}

/* The device is gone: another one takes its place, with the addresses it had. */
static void
make_again(struct agent *a)
{
	struct err e = ERR_NONE;

	unwatch(a);
	note_wait(a, false);
	if (tun_recreate(a->tun, &e)) {
		agent_monitor_touch(a, true);
		log_debug(DBG_ERROR, "[tunnel] device: %s; tried again in %d s", e.text, RETRY_MS / 1000);
		loop_timer_at(a->tun_timer, mono_in(clock_mono(), RETRY_MS));
		return;
	}
	log_debug(DBG_TUNNEL, "[tunnel] the device was deleted from outside and is made again");
	watch(a);
	agent_monitor_touch(a, true);
}

/* Reads one packet for nobody. */
static int
drop_packet(struct agent *a)
{
	static uint8_t nowhere[65536];
	size_t len;
	int rc = tun_read(a->tun, nowhere, sizeof(nowhere), &len);

	if (!rc)
		a->packets_unsent++;
	return rc;
}

/* One packet, straight to where it is encrypted from. -ENOBUFS: the session can take no more for now. */
static int
move_packet(struct agent *a, struct session *s)
{
	size_t len = 0, max = tun_largest(a->tun);
	uint8_t *dst = session_packet_room(s, max);
	int rc = dst ? tun_read(a->tun, dst, max, &len) : -ENOBUFS;

	if (!rc)
		session_packet_ready(s, len);
	return rc == -EMSGSIZE ? 0 : rc; /* then there is more room the next time */
}

/* Everything the device has, as far as the session takes it: it is the session that ends a turn. */
static int
move_packets(struct agent *a)
{
	struct session *s = uplink_current(a->uplink);
	int rc = 0;

	if (s && session_privileged(s)) {
		while (!rc)
			rc = move_packet(a, s);
		return rc;
	}
	for (int i = 0; i < DROPS_A_TURN && !rc; i++)
		rc = drop_packet(a);
	return rc;
}

static void
on_tun(void *ctx, uint32_t events)
{
	struct agent *a = ctx;
	int rc;

	note_wait(a, false);
	rc = move_packets(a);
	note_wait(a, rc == -ENOBUFS);
	if (rc == -ENODEV || (events & EPOLLERR))
		make_again(a);
	else
		loop_io_want(a->tun_io, rc == -ENOBUFS ? 0 : EPOLLIN);
}

static void
try_again(struct agent *a, const char *what, const struct err *e)
{
	log_say(LOG_LEVEL_ERROR, "tunnel %s: %s; tried again in %d s", what, e->text, RETRY_MS / 1000);
	loop_timer_at(a->tun_timer, mono_in(clock_mono(), RETRY_MS));
}

static void
set_addresses(struct agent *a)
{
	char here[ADDR_TEXT], there[ADDR_TEXT];
	struct err e = ERR_NONE;

	if (tun_set_addresses(a->tun, &a->tunnel_local, &a->tunnel_manager, &e))
		try_again(a, "address", &e);
	else
		log_debug(DBG_TUNNEL, "[tunnel] address '%s', manager's end '%s'", addr_host(here, &a->tunnel_local),
			  addr_host(there, &a->tunnel_manager));
	agent_monitor_touch(a, false);
}

static void
make_tunnel(struct agent *a)
{
	const struct tun_config c = {
	    .netns = settings_get(a->settings, "netns"),
	    .name = settings_get(a->settings, "tun-device"),
	    .mtu = PROFILE_TUNNEL_MTU,
	};
	struct err e = ERR_NONE;

	if (tun_new(&c, &a->tun, &e)) {
		a->tun = NULL;
		try_again(a, "device", &e);
		return;
	}
	watch(a);
	if (a->tunnel_local.family)
		set_addresses(a);
}

static void
on_tun_timer(void *ctx)
{
	struct agent *a = ctx;

	if (!a->tun)
		make_tunnel(a);
	else if (tun_fd(a->tun) < 0)
		make_again(a);
	else if (!a->tun_io)
		watch(a);
	else
		set_addresses(a);
}

void
agent_open_tunnel(struct agent *a)
{
	a->tun_held = MONO_NEVER;
	a->tun_queue = loop_timer_new(a->loop, on_tun_queue, a);
	a->tun_timer = loop_timer_new(a->loop, on_tun_timer, a);
	if (a->tun_timer && a->tun_queue)
		make_tunnel(a);
}

void
agent_close_tunnel(struct agent *a)
{
	unwatch(a);
	tun_free(a->tun);
	a->tun = NULL;
	loop_timer_free(a->tun_timer);
	loop_timer_free(a->tun_queue);
	a->tun_timer = a->tun_queue = NULL;
}

/* While there is no device the timer sees to it, not each packet. */
static bool
has_device(const struct agent *a)
{
	return a->tun && tun_fd(a->tun) >= 0;
}

void
agent_tunnel_write(struct agent *a, uint8_t *p, size_t len)
{
	if (has_device(a) && tun_write(a->tun, p, len) == -ENODEV)
		make_again(a);
}

void
agent_tunnel_flush(struct agent *a)
{
	if (has_device(a) && tun_flush(a->tun) == -ENODEV)
		make_again(a);
}

void
agent_tunnel_resume(struct agent *a)
{
	if (a->tun_io)
		on_tun(a, 0);
}

bool
agent_tunnel_set(struct agent *a, const struct addr *local, const struct addr *manager)
{
	bool other = !addr_equal(local, &a->tunnel_local) || !addr_equal(manager, &a->tunnel_manager);

	a->tunnel_local = *local;
	a->tunnel_manager = *manager;
	if (has_device(a))
		set_addresses(a);
	return other;
}
