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
	PACKETS_A_TURN = 64, /* then the session gets its turn */
	RETRY_MS = 5000,
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

/* The device is gone: another one takes its place, with the addresses it had. */
static void
make_again(struct agent *a)
{
	struct err e = ERR_NONE;

	unwatch(a);
	if (tun_recreate(a->tun, &e)) {
		log_debug(DBG_ERROR, "[tunnel] device: %s; tried again in %d s", e.text, RETRY_MS / 1000);
		loop_timer_at(a->tun_timer, mono_in(clock_mono(), RETRY_MS));
		return;
	}
	log_debug(DBG_TUNNEL, "[tunnel] the device was deleted from outside and is made again");
	watch(a);
}

static void
on_tun(void *ctx, uint32_t events)
{
	static uint8_t packet[PROFILE_TUNNEL_MTU + 64];
	struct agent *a = ctx;
	struct session *s = uplink_current(a->uplink);
	size_t len = 0;
	int rc = 0;

	for (int i = 0; i < PACKETS_A_TURN; i++) {
		rc = tun_read(a->tun, packet, sizeof(packet), &len);
		if (rc)
			break;
		if (s && session_privileged(s))
			session_send_packet(s, packet, len);
		else
			a->packets_unsent++;
	}
	if (rc == -ENODEV || (events & EPOLLERR))
		make_again(a);
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
	a->tun_timer = loop_timer_new(a->loop, on_tun_timer, a);
	if (a->tun_timer)
		make_tunnel(a);
}

void
agent_close_tunnel(struct agent *a)
{
	unwatch(a);
	tun_free(a->tun);
	a->tun = NULL;
	loop_timer_free(a->tun_timer);
	a->tun_timer = NULL;
}

void
agent_tunnel_write(struct agent *a, const uint8_t *p, size_t len)
{
	/* while there is no device the timer sees to it, not each packet */
	if (a->tun && tun_fd(a->tun) >= 0 && tun_write(a->tun, p, len) == -ENODEV)
		make_again(a);
}

bool
agent_tunnel_set(struct agent *a, const struct addr *local, const struct addr *manager)
{
	bool other = !addr_equal(local, &a->tunnel_local) || !addr_equal(manager, &a->tunnel_manager);

	a->tunnel_local = *local;
	a->tunnel_manager = *manager;
	if (a->tun && tun_fd(a->tun) >= 0)
		set_addresses(a);
	return other;
}
