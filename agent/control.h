/* control: the control socket: one shell for each connection.
 *
 * Mode 0660, group fgfmd where that exists: whoever may open it is an operator. A slow or dead client delays nobody:
 * its debug lines are dropped, and a client that does not read its output is dropped itself.
 */
#ifndef AGENT_CONTROL_H
#define AGENT_CONTROL_H

struct agent;
struct control;
struct err;
struct loop;

/* Listens at `path`; a stale socket there is replaced. 0 or -errno. */
int control_open(struct loop *l, struct agent *a, const char *path, struct control **out, struct err *e);
void control_close(struct control *c); /* NULL-safe; removes the socket */

#endif
