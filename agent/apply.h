/* apply: brings the running system in line with the configuration: interfaces, static routes, the host's own names and
 * its time zone, name servers; and, by programs, what vendors add.
 *
 * Called once for each committed entry, and for the whole tree at start and after a revert. Every operation is
 * idempotent and touches only what the configuration speaks of: an address or route added by hand stays.
 */
#ifndef AGENT_APPLY_H
#define AGENT_APPLY_H

#include <stdbool.h>
#include <stddef.h>

struct apply;
struct change;
struct err;
struct schema_table;
struct tree;

/* Paths are copied; one longer than 500 bytes is refused with -ENAMETOOLONG. */
struct apply_options {
	bool system;             /* false: hostname, DNS and time zone of the host are left alone */
	const char *resolv_conf; /* file for `config system dns` */
	const char *localtime;   /* symbolic link for the time zone */
	const char *zoneinfo;    /* folder with time zones */
	const char *run_dir;     /* where to keep what is of this boot only */
	const char *handler_dir, *handler_user;
};

/* Opens netlink in the agent's own namespace. */
int apply_new(const struct apply_options *o, struct apply **out, struct err *e);
void apply_free(struct apply *a); /* NULL-safe; ends handlers */

/* One committed change. CLI_OK, or a code with its reason: then what this call had done so far is undone again. A
 * device that does not exist (yet) is no error: the entry waits for apply_link(); so does a route whose device is down.
 * Written values are read back. After a change of an interface the static routes through it are applied again; one
 * whose gateway is out of reach by then is taken away, waits and is logged, and the interface's change stands.
 * Tables that somebody else applies are CLI_OK. */
int apply_change(struct apply *a, const struct change *c, struct err *e);

/* Whatever the configuration names is its own from now on: at a start without a pending install, after every save, at
 * every verdict. An address that a later change finds on its device already is the host's until then: the change that
 * takes it back leaves it there. That is remembered in the run directory, over the death of the agent. */
void apply_own(struct apply *a);

/* The whole tree, interfaces before routes. Goes on after a failure, which it logs; returns how many entries failed,
 * the first one's reason in `e`. Takes nothing away. */
int apply_all(struct apply *a, const struct tree *t, struct err *e);

/* One entry of it again, as apply_all() does; an entry that does not exist is none. CLI_OK or a code. */
int apply_again(struct apply *a, const struct tree *t, const struct schema_table *table, const char *key,
		struct err *e);

/* True when the agent itself applies the table. */
bool apply_is_own(const struct schema_table *table);

/* A link of this name has appeared ("link NAME new" of netlink_watch) or come up: its entry and the routes through it
 * are applied (again), and what was missing is logged. CLI_OK, or the first code. What is in force already makes no
 * event. */
int apply_link(struct apply *a, const struct tree *t, const char *name, struct err *e);

/* What did not come about for a passing reason (no memory in the kernel, a full disk) may be half done, and is owed:
 * remembered by whichever of the calls above met it. apply_pay() brings those entries in line with the tree as it is by
 * then, takes away what a refused change may have left behind, and returns how many are still owed, the first one's
 * reason in `e`. A handler's table never is: a program that fails is not started again by itself. */
size_t apply_owed(const struct apply *a);
size_t apply_pay(struct apply *a, const struct tree *t, struct err *e);
/* The last change that failed is owed. */
bool apply_will_be_paid(const struct apply *a);
/* Gives up, and says in the log which entries may be other than the configuration says. */
void apply_write_off(struct apply *a);

/* Programs in the handler directory apply tables nobody else does. One is started at the first change of its table, is
 * told of each change, whose result is its answer, and ends at apply_rest(): once an install, a revert or a command of
 * a shell is through. One that fails takes no further change until then. */
void apply_rest(struct apply *a);
/* Call at the beginning of a turn: in one turn handlers may keep the agent waiting for a minute, less than any session
 * allows for; then they are ended. */
void apply_turn(struct apply *a);
/* Handlers have kept the agent waiting for so long in this turn that it should go on in the next one. */
bool apply_is_slow(const struct apply *a);
/* Says in the log, once for each table with something set, that nothing applies it. */
void apply_say_kept(struct apply *a, const struct tree *t);

/* What something else changed: where the running system differs from what the configuration says. */
struct apply_difference {
	const char *table, *key; /* key "" for a singleton */
	const char *what;        /* "address", "mtu", "route", "hostname" … */
	const char *expected, *found;
};
typedef void apply_drift_fn(void *ctx, const struct apply_difference *d);

/* Tells `fn` each difference, in the order of the configuration; nothing is changed. CLI_OK, or CLI_FAILED when part of
 * the system could not be read; the rest was compared. */
int apply_drift(struct apply *a, const struct tree *t, apply_drift_fn *fn, void *ctx, struct err *e);

#endif
