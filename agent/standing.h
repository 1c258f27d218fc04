/* standing: how the agent stands with its manager, in the words of the status command and the numbers of monitoring.
 */
#ifndef AGENT_STANDING_H
#define AGENT_STANDING_H

struct agent_parts;
struct uplink_view;

enum standing_connection { CONNECTION_DOWN, CONNECTION_HANDSHAKE, CONNECTION_UP };
enum standing_registration {
	REGISTRATION_UNKNOWN,
	REGISTRATION_IN_PROGRESS, /* an operator has admitted a manager, which has yet to come */
	REGISTRATION_REGISTERED,
	REGISTRATION_UNREGISTERED,
};

enum standing_connection standing_connection(const struct uplink_view *v);
enum standing_registration standing_registration(const struct agent_parts *p, const struct uplink_view *v);

const char *standing_connection_name(enum standing_connection c);     /* "Down", "Handshake", "Up" */
const char *standing_registration_name(enum standing_registration r); /* "Unknown", ... */

/* Why there is no connection: no manager, no certificate, or what the last attempt ended with; "" when there is one. */
const char *standing_reason(const struct agent_parts *p, const struct uplink_view *v);

#endif
