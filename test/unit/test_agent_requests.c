/* agent/request_*: what a registered manager may ask for: configurations out and in, results back (wire profile,
 * sections 5 and 6), on a scripted session with real installs behind it.
 */
// wrap: clock_mono
#include "agent/requests.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config/print.h"
#include "config/script.h"
#include "test/replay/replay.h"
#include "test/unit/agent_box.h"

#define PUT "manager get file_exchange|localid=7|chan_window_sz=32768|file_exch_cmd=put_config"
#define ACCEPTED "device reply 200|request=file_exchange|action=ack|remoteid=7|localid=*|chan_window_sz=32768|.\n"
#define NASTY "%s%n%n%100000d%p"

static const char saved[] = "config system global\n"
			    "    set hostname \"old\"\n"
			    "end\n"
			    "config box secret\n"
			    "    set password \"topsecret\"\n"
			    "end\n";
static const char set_script[] = "config system global\nset hostname \"new\"\nend\nconfig no such\nend\n";
static const char unset_script[] = "config system global\nset hostname \"old\"\nend\n";
static const char set_lines[] = "0: config system global\n0: set hostname \"new\"\n0: end\n"
				"-61: config no such\n-61: end\n";

static struct replay rp;
static struct trust_list *list;

mono_t __wrap_clock_mono(void);

mono_t
__wrap_clock_mono(void)
{
	return rp.now;
}

static void
on_request(void *ctx, struct session *s, const struct message *m, mono_t now)
{
	(void)ctx;
	request_take(&box.requests, s, m, now);
}

/* Registered and up, nothing else. */
static void
session_up(void)
{
	replay_run(&rp, "tcp\n"
			"tls\n"
			"device get auth\n"
			"manager reply 200|request=auth|serialno=" REPLAY_MANAGER "\n"
			"call judged listed\n"
			"device get ip\n"
			"manager reply 200|request=ip|register_status=1\n"
			"call privileged\n"
			"call address - - mgmtid=\n"
			"call up\n");
	replay_pass(&rp, 0);
	replay_run(&rp, "device keepalive\n");
}

/* Another session, as after a loss of the first. */
static void
next_session(void)
{
	struct session *gone = rp.session;

	replay_forget(&rp);
	replay_run(&rp, "lost reset\ncall down\n");
	request_session_gone(&box.requests, gone);
	replay_reconnect(&rp);
	session_up();
}

static void
start(const char *what)
{
	struct cert_facts f;
	struct err e = ERR_NONE;

	fixture_empty();
	assert_int_equal(mkdir(fixture_dir, 0700), 0);
	assert_int_equal(trust_list_load(fixture_path("trust-list.json"), &list, &e), 0);
	replay_facts(&f, REPLAY_MANAGER);
	assert_int_equal(trust_list_add(list, &f, TRUST_REGISTER_DEVICE, 1, &e), 0);
	box_open(saved, NULL);
	replay_start(&rp, what, list);
	rp.request = on_request;
	session_up();
}

static void
stop(void)
{
	replay_stop(&rp); /* its channels tell the requests of the end */
	box_close();
	trust_list_free(list);
	list = NULL;
}

static int
setup(void **state)
{
	return fixture_setup(state);
}

static int
teardown(void **state)
{
	stop();
	return fixture_teardown(state);
}

/* The number of our end of the channel opened last. */
static uint32_t
last_id(void)
{
	const char *id = strstr(rp.lines[rp.seen - 1], "|localid=");

	assert_non_null(id);
	return (uint32_t)strtoul(id + strlen("|localid="), NULL, 10);
}

/* The manager sends bytes on our channel `id` in messages of `piece` bytes. What we answer stays in the record. */
static void
send_raw(uint32_t id, const void *data, size_t len, size_t piece)
{
	const char *p = data;
	char line[64];

	snprintf(line, sizeof(line), "channel|remoteid=%u", id);
	while (len) {
		size_t n = len < piece ? len : piece;

		replay_manager_bytes(&rp, line, p, n);
		p += n;
		len -= n;
	}
}

/* One stream with its coding, in parts of at most 1,000 bytes. */
static void
put_stream(struct buf *b, const char *text, size_t len)
{
	while (len) {
		size_t n = len < 1000 ? len : 1000;

		buf_printf(b, "%zu\n", n);
		buf_put(b, text, n);
		text += n;
		len -= n;
	}
	buf_str(b, "0\n");
	assert_int_equal(b->error, 0);
}

static void
send_scripts(uint32_t id, const char *set, const char *unset, size_t piece)
{
	struct buf b = BUF_INIT(64 * 1024 * 1024);

	put_stream(&b, set, strlen(set));
	put_stream(&b, unset, strlen(unset));
	send_raw(id, buf_head(&b), b.len, piece);
	buf_free(&b);
}

/* What we have sent on the channel to the manager's number `peer`: the stream decoded, "|" at its end, a close as
 * "<close|code=…>". Acknowledgements are left out; anything else is a failure. */
enum { ANSWER_MAX = 64 * 1024 };

struct answer {
	char text[ANSWER_MAX];
	size_t bytes; /* coded, so far: what an acknowledgement of all says */
};

static void
take_line(struct answer *a, struct buf *coded, const char *line, const char *head)
{
	const char *data = strstr(line, "|:");
	uint8_t *bytes = wire_alloc(strlen(line) + 1);

	if (strncmp(line, head, strlen(head)) != 0)
		fail_msg("%s: the session did: %s", rp.name, line);
	if (data) {
		buf_put(coded, bytes, wire_unescape(bytes, data + 2));
	} else if (strstr(line, "|action=close")) {
		const char *code = strstr(line, "|code=");
		size_t used = strlen(a->text);

		snprintf(a->text + used, sizeof(a->text) - used, "<close%s>", code ? code : "");
	}
	free(bytes);
}

static void
decode(struct answer *a, const struct buf *coded)
{
	const char *p = (const char *)buf_head(coded), *end = p + coded->len;
	static char text[ANSWER_MAX];

	text[0] = '\0';
	while (p < end) {
		char *after;
		size_t n = strtoul(p, &after, 10), used = strlen(text);

		assert_true(after < end && *after == '\n' && n <= (size_t)(end - after - 1));
		p = after + 1;
		snprintf(text + used, sizeof(text) - used, "%.*s%s", (int)n, p, n ? "" : "|");
		p += n;
	}
	a->bytes += coded->len;
	snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s", a->text);
	snprintf(a->text, sizeof(a->text), "%s", text);
}

static void
take_answer(struct answer *a, uint32_t peer)
{
	struct buf coded = BUF_INIT(64 * 1024 * 1024);
	char head[64];

	a->text[0] = '\0';
	snprintf(head, sizeof(head), "> channel|remoteid=%u", peer);
	while (rp.seen < rp.count)
		take_line(a, &coded, rp.lines[rp.seen++], head);
	decode(a, &coded);
	buf_free(&coded);
}

static void
ack(uint32_t id, size_t bytes)
{
	char line[96];

	snprintf(line, sizeof(line), "channel|remoteid=%u|action=ack|ack=%zu", id, bytes);
	replay_manager(&rp, line);
}

/* The install's commands run. */
static void
run_install(void)
{
	box.now = rp.now;
	box_step();
}

/* … and the fresh session is up. */
static void
fresh_session(void)
{
	box.now = rp.now;
	install_on_session(box.install, REPLAY_MANAGER, box.now);
	box_step();
}

static bool
is_new(void)
{
	return !strcmp(box_get("system global", "", "hostname"), "new");
}

/* Nothing has changed and nothing is left of it (recovery rules, invariant 6). */
static void
assert_untouched(const char *what)
{
	if (is_new() || fixture_exists("install.journal") || box_state() != INSTALL_IDLE ||
	    receipts_count(box.receipts) || !fixture_contains("sys_config.conf", "\"old\""))
		fail_msg("%s: something is left", what);
}

/* --- put_config --------------------------------------------------------------------------------------------------- */

static void
an_install_in_pieces(void **state)
{
	static const size_t pieces[] = {1, 2, 3, 7, 64, 100000};

	(void)state;
	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		struct answer a = {.bytes = 0};
		uint32_t id;

		start("pieces");
		replay_run(&rp, PUT "|install_id=i-1|rollback_allow_reboot=0|force=0\n" ACCEPTED);
		id = last_id();
		send_scripts(id, set_script, unset_script, pieces[i]);
		assert_string_equal(box.wanted, "");
		run_install();
		assert_string_equal(box.wanted, REPLAY_MANAGER);
		assert_true(is_new());
		assert_true(fixture_contains("sys_config.conf", "\"old\""));
		take_answer(&a, 7);
		assert_string_equal(a.text, set_lines);
		fresh_session();
		take_answer(&a, 7);
		assert_string_equal(a.text, "result=committed\n|");
		assert_true(fixture_contains("sys_config.conf", "\"new\""));
		assert_false(receipts_at(box.receipts, 0)->delivered);
		/* not all of it is there yet */
		ack(id, a.bytes - 1);
		assert_false(receipts_at(box.receipts, 0)->delivered);
		replay_run(&rp, "nothing\nchannels 1\n");
		ack(id, a.bytes);
		assert_true(receipts_at(box.receipts, 0)->delivered);
		replay_run(&rp, "device channel|remoteid=7|action=close|.\nchannels 0\nstate up\n");
		request_results(&box.requests, rp.session, rp.now);
		replay_run(&rp, "nothing\n");
		stop();
	}
}

/* What is wrong with the request itself: no channel opens. */
static void
openings_that_are_refused(void **state)
{
	static const char id64[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
	static const struct {
		const char *what, *keys;
		int code;
		const char *reason;
	} rows[] = {
	    {"nothing at all", "", 404, "unknown file_exch_cmd"},
	    {"unknown command", "|localid=1|file_exch_cmd=put_coffee", 404, "unknown file_exch_cmd"},
	    {"another case", "|localid=1|file_exch_cmd=GET_CONFIG", 404, "unknown file_exch_cmd"},
	    {"command with directives", "|localid=1|file_exch_cmd=" NASTY, 404, "unknown file_exch_cmd"},
	    {"a result is ours to bring", "|localid=1|file_exch_cmd=put_install_result|install_id=i", 404, "unknown"},
	    {"no number", "|file_exch_cmd=get_config", 400, "localid="},
	    {"a word for a number", "|localid=one|file_exch_cmd=get_config", 400, "localid="},
	    {"a number over 32 bits", "|localid=4294967296|file_exch_cmd=get_config", 400, "localid="},
	    {"window 0", "|localid=1|chan_window_sz=0|file_exch_cmd=get_config", 400, "chan_window_sz="},
	    {"another compression", "|localid=1|file_exch_cmd=get_config|deflate=" NASTY, 400, "deflate="},
	    {"no script id", "|localid=1|file_exch_cmd=put_script", 400, "script_id="},
	    {"script id is a path", "|localid=1|file_exch_cmd=put_script|script_id=../x", 400, "script_id="},
	    {"no checksum", "|localid=1|file_exch_cmd=get_config_diff", 400, "checksum="},
	    {"a checksum nobody has",
	     "|localid=1|file_exch_cmd=get_config_diff|checksum=00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00", 404,
	     "get_config"},
	    {"a word for a window", "|localid=1|chan_window_sz=big|file_exch_cmd=get_config", 400, "chan_window_sz="},
	    {"no id", "|localid=1|file_exch_cmd=put_config", 400, "install_id="},
	    {"empty id", "|localid=1|file_exch_cmd=put_config|install_id=", 400, "install_id="},
	    {"id is a path", "|localid=1|file_exch_cmd=put_config|install_id=../../etc/passwd", 400, "install_id="},
	    {"id with a space", "|localid=1|file_exch_cmd=put_config|install_id=a b", 400, "install_id="},
	    {"id with directives", "|localid=1|file_exch_cmd=put_config|install_id=" NASTY, 400, "install_id="},
	    {"reboot is 2", "|localid=1|file_exch_cmd=put_config|install_id=i|rollback_allow_reboot=2", 400,
	     "rollback_allow_reboot="},
	    {"reboot is yes", "|localid=1|file_exch_cmd=put_config|install_id=i|rollback_allow_reboot=yes", 400,
	     "rollback_allow_reboot="},
	    {"force is a word", "|localid=1|file_exch_cmd=put_config|install_id=i|force=" NASTY, 400, "force="},
	};
	char script[512];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		start(rows[i].what);
		snprintf(script, sizeof(script),
			 "manager get file_exchange%s\ndevice reply %d|request=file_exchange|reason=*|.\nchannels 0\n",
			 rows[i].keys, rows[i].code);
		replay_run(&rp, script);
		if (!strstr(rp.lines[rp.seen - 1], rows[i].reason))
			fail_msg("%s: %s", rows[i].what, rp.lines[rp.seen - 1]);
		replay_run(&rp, "state up\n");
		assert_untouched(rows[i].what);
		stop();
	}
	start("an id of 64 is accepted, one of 65 not");
	snprintf(script, sizeof(script),
		 PUT "|install_id=%s\n" ACCEPTED PUT "|install_id=%sa\n"
		     "device reply 400|request=file_exchange|reason=install_id=*\n",
		 id64, id64);
	replay_run(&rp, script);
}

/* "Only lexical and structural errors refuse an install, whole, before anything changes, with line and column." */
static void
forms_that_are_refused(void **state)
{
	static const struct {
		const char *what, *set, *unset, *reason;
	} rows[] = {
	    {"unknown verb", "config system global\nfrobnicate\nend\n", "", "set:2:1"},
	    {"no end", "config system global\nset hostname \"new\"\n", "", "set:"},
	    {"an end too many", "config system global\nset hostname \"new\"\nend\nend\n", "", "set:4:1"},
	    {"open quote", "config system global\nset hostname \"new\nend\n", "", "set:"},
	    {"wrong unset script", "config system global\nset hostname \"new\"\nend\n", "next\n", "unset:1:1"},
	    {"directives", NASTY "\n", "", "set:1:1"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct answer a = {.bytes = 0};
		uint32_t id;

		start(rows[i].what);
		replay_run(&rp, PUT "|install_id=i-1\n" ACCEPTED);
		id = last_id();
		send_scripts(id, rows[i].set, rows[i].unset, 50);
		run_install();
		take_answer(&a, 7);
		/* the one line, alone; no other stands before it */
		if (strncmp(a.text, "result=refused reason=", 22) || !strstr(a.text, rows[i].reason) ||
		    strcmp(a.text + strcspn(a.text, "\n"), "\n|"))
			fail_msg("%s: %s", rows[i].what, a.text);
		assert_untouched(rows[i].what);
		ack(id, a.bytes);
		replay_run(&rp, "device channel|remoteid=7|action=close|code=400|reason=*|.\nchannels 0\nstate up\n");
		assert_int_equal(box.results_wanted, 0);
		stop();
	}
}

/* "A second `put_config` while one is pending: 409." Of two uploads at once the first that is complete counts. */
static void
one_install_at_a_time(void **state)
{
	static const char again[] =
	    "manager get file_exchange|localid=9|file_exch_cmd=put_config|install_id=i-3|force=1\n"
	    "device reply 409|request=file_exchange|reason=install i-1 is pending|.\n";
	struct answer a = {.bytes = 0};
	uint32_t first, second;

	(void)state;
	start("one at a time");
	replay_run(&rp, PUT "|install_id=i-1\n" ACCEPTED);
	first = last_id();
	replay_run(&rp, "manager get file_exchange|localid=8|file_exch_cmd=put_config|install_id=i-2\n"
			"device reply 200|remoteid=8\n");
	second = first + 1;
	send_scripts(first, set_script, unset_script, 1000);
	take_answer(&a, 7);
	send_scripts(second, "config system global\nset hostname \"third\"\nend\n", "", 1000);
	a.bytes = 0;
	take_answer(&a, 8);
	assert_non_null(strstr(a.text, "result=refused reason="));
	assert_non_null(strstr(a.text, "i-1"));
	ack(second, a.bytes);
	replay_run(&rp, "device channel|remoteid=8|action=close|code=409\nchannels 1\n");
	/* in each state of it */
	replay_run(&rp, again);
	run_install();
	a.bytes = 0;
	take_answer(&a, 7);
	replay_run(&rp, again);
	fresh_session();
	assert_true(is_new());
	assert_int_equal(receipts_count(box.receipts), 1);
	assert_string_equal(receipts_at(box.receipts, 0)->id, "i-1");
	/* it is over, though the manager has not acknowledged the verdict yet */
	replay_forget(&rp);
	replay_run(&rp, "manager get file_exchange|localid=9|file_exch_cmd=put_config|install_id=i-3\n"
			"device reply 200|remoteid=9\n");
}

/* Time passes until the install is rolled back and over. */
static void
roll_back(void)
{
	for (int i = 0; i < 10 && box_state() != INSTALL_IDLE; i++) {
		box_step();
		box.now = install_deadline(box.install);
		rp.now = box.now;
		install_tick(box.install, box.now);
	}
	assert_int_equal(box_state(), INSTALL_IDLE);
	assert_false(is_new());
}

/* "the same install again is refused (409, result=refused) unless it says force=1" */
static void
the_same_again(void **state)
{
	struct answer a = {.bytes = 0};
	uint32_t id;

	(void)state;
	start("again");
	replay_run(&rp, PUT "|install_id=i-1\n" ACCEPTED);
	send_scripts(last_id(), set_script, unset_script, 1000);
	run_install();
	assert_true(is_new());
	next_session(); /* not a fresh one with the manager the install wants: nobody tells it */
	roll_back();
	assert_int_equal(receipts_at(box.receipts, 0)->verdict, RECEIPT_ROLLED_BACK);
	replay_forget(&rp);
	replay_run(&rp, PUT "|install_id=i-2\n" ACCEPTED);
	id = last_id();
	send_scripts(id, set_script, unset_script, 1000);
	take_answer(&a, 7);
	assert_non_null(strstr(a.text, "result=refused reason="));
	ack(id, a.bytes);
	replay_run(&rp, "device channel|remoteid=7|action=close|code=409\n");
	assert_false(is_new());
	assert_int_equal(receipts_count(box.receipts), 1);
	replay_run(&rp, PUT "|install_id=i-3|force=1\n" ACCEPTED);
	send_scripts(last_id(), set_script, unset_script, 1000);
	run_install();
	assert_true(is_new());
}

/* Over a bound: 413, the channel closed, the session lives on, nothing changed. At the bound: accepted. */
static void
scripts_are_bounded(void **state)
{
	static const struct {
		const char *what;
		size_t set, unset;
		bool accepted;
	} rows[] = {
	    {"set script over 8 MiB", SCRIPT_MAX_BYTES + 1, 0, false},
	    {"unset script over 8 MiB", 10, SCRIPT_MAX_BYTES + 1, false},
	    {"both at 8 MiB", SCRIPT_MAX_BYTES, SCRIPT_MAX_BYTES, true},
	};
	char *text = malloc(SCRIPT_MAX_BYTES + 1);

	(void)state;
	assert_non_null(text);
	memset(text, '\n', SCRIPT_MAX_BYTES + 1);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf b = BUF_INIT(64 * 1024 * 1024);
		uint32_t id;

		start(rows[i].what);
		replay_run(&rp, PUT "|install_id=i-1\n" ACCEPTED);
		id = last_id();
		put_stream(&b, text, rows[i].set);
		put_stream(&b, text, rows[i].unset);
		send_raw(id, buf_head(&b), b.len, 16384);
		buf_free(&b);
		if (rows[i].accepted) {
			assert_int_equal(channels_count(session_channels(rp.session)), 1);
			assert_int_equal(box_state(), INSTALL_JOURNALED);
		} else {
			rp.seen = rp.count - 1;
			replay_run(&rp, "device channel|remoteid=7|action=close|code=413|reason=script larger than "
					"8388608 bytes|.\nchannels 0\nstate up\nprivileged yes\n");
			assert_untouched(rows[i].what);
		}
		stop();
	}
	free(text);
}

/* A set script of 8 MiB that has not come to its end, on a channel of its own. */
static void
hold_script(const char *text, int peer)
{
	struct buf b = BUF_INIT(64 * 1024 * 1024);
	char script[256];

	snprintf(script, sizeof(script),
		 "manager get file_exchange|localid=%d|file_exch_cmd=put_config|install_id=i-%d\n"
		 "device reply 200|remoteid=%d\n",
		 peer, peer, peer);
	replay_run(&rp, script);
	put_stream(&b, text, SCRIPT_MAX_BYTES);
	send_raw(last_id(), buf_head(&b), b.len - 2, 16384);
	buf_free(&b);
	replay_forget(&rp);
}

/* What all uploads together may hold is two of the largest scripts; an exchange that ends gives its part back. */
static void
uploads_are_bounded_together(void **state)
{
	char *text = malloc(SCRIPT_MAX_BYTES);

	(void)state;
	assert_non_null(text);
	memset(text, '\n', SCRIPT_MAX_BYTES);
	start("together");
	hold_script(text, 1);
	hold_script(text, 2);
	replay_run(&rp, "manager get file_exchange|localid=3|file_exch_cmd=put_config|install_id=i-3\n"
			"device reply 200|remoteid=3|localid=3\n"
			"manager channel|remoteid=3|:1\\nx\n"
			"device channel|remoteid=3|action=close|code=413\nchannels 2\nstate up\n"
			"manager channel|remoteid=1|action=close\nchannels 1\n");
	hold_script(text, 4);
	replay_run(&rp, "channels 2\n");
	assert_untouched("together");
	free(text);
}

/* The exchange ends before both scripts are here: nothing has happened, and the next one may come. */
static void
uploads_broken_off(void **state)
{
	static const struct {
		const char *what, *bytes, *end;
	} rows[] = {
	    {"no byte", "", "manager channel|remoteid=1|action=close\n"},
	    {"inside the set script", "30\nconfig system global\nset host",
	     "manager channel|remoteid=1|action=close\n"},
	    {"between the scripts", "25\nconfig system global\nend\n\n0\n",
	     "manager channel|remoteid=1|action=close\n"},
	    {"inside the unset script", "1\n\n0\n20\nconfig", "manager channel|remoteid=1|action=close|code=500\n"},
	    {"bad coding", "1\n\n0\nconfig", "device channel|remoteid=7|action=close|code=400\n"},
	    {"stalled", "1\n\n0\n", "at 120\nat 240\nat 360\n"},
	    {"no longer registered", "30\nconfig system global\nset host",
	     "manager reply 200|request=ip|register_status=0\n"},
	    {"connection lost", "30\nconfig system global\nset host", "lost reset\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		start(rows[i].what);
		replay_run(&rp, PUT "|install_id=i-1\n" ACCEPTED);
		assert_int_equal(last_id(), 1);
		send_raw(1, rows[i].bytes, strlen(rows[i].bytes), 1000);
		if (strncmp(rows[i].end, "device", 6) != 0)
			replay_forget(&rp);
		for (const char *step = rows[i].end; *step; step += strcspn(step, "\n") + 1) {
			char one[128];

			snprintf(one, sizeof(one), "%.*s", (int)strcspn(step, "\n"), step);
			replay_step(&rp, one);
		}
		assert_int_equal(channels_count(session_channels(rp.session)),
				 session_state(rp.session) == SESSION_CLOSED);
		/* what crosses the end is nobody's */
		send_raw(1, "25\nconfig system global\nend\n\n0\n0\n", 32, 1000);
		run_install();
		assert_untouched(rows[i].what);
		stop();
	}
}

/* After the unset script nothing is expected; the install that was accepted goes on. */
static void
more_than_two_streams(void **state)
{
	static const char *const more[] = {"1\nx", "0\n"};

	(void)state;
	for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
		start("three streams");
		replay_run(&rp, PUT "|install_id=i-1\n" ACCEPTED);
		send_scripts(1, set_script, unset_script, 1000);
		send_raw(1, more[i], strlen(more[i]), 10);
		rp.seen = rp.count - 1;
		replay_run(&rp,
			   "device channel|remoteid=7|action=close|code=400|reason=nothing is expected*\nstate up\n");
		run_install();
		fresh_session();
		assert_true(is_new());
		stop();
	}
}

/* --- what the administrator allows -------------------------------------------------------------------------------- */

static void
set_central_management(const char *attr, const char *value)
{
	struct err e = ERR_NONE;

	assert_int_equal(tree_set(device_running(box.device), "system central-management", "", attr, &value, 1, &e), 0);
}

static void
policy(void **state)
{
	static const struct {
		const char *what, *attr, *value;
	} rows[] = {
	    {"backup mode", "mode", "backup"},
	    {"no pushing", "allow-push-configuration", "disable"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		start(rows[i].what);
		set_central_management(rows[i].attr, rows[i].value);
		replay_run(&rp,
			   PUT "|install_id=i-1\ndevice reply 403|request=file_exchange|reason=*|.\nchannels 0\n" PUT
			       "|install_id=i-1|force=1\ndevice reply 403|request=file_exchange\n");
		assert_untouched(rows[i].what);
		/* retrieval is allowed */
		replay_run(&rp, "manager get file_exchange|localid=7|file_exch_cmd=get_config\n"
				"device reply 200|request=file_exchange|remoteid=7\n"
				"device channel|remoteid=7|:*\n");
		stop();
	}
}

/* "Keys `cmd=` and `terminal=` ask for a shell: always 403"; a port nobody named is refused, too. */
static void
no_shell_for_a_manager(void **state)
{
	(void)state;
	start("shell");
	replay_run(&rp,
		   "manager get connect_tcp|localid=1|tcp_port=22\ndevice reply 403|request=connect_tcp|reason=*|.\n"
		   "manager get connect_tcp|localid=1|cmd=/bin/sh\ndevice reply 403|request=connect_tcp\n"
		   "manager get connect_tcp|localid=1|tcp_port=80|terminal=vt100\ndevice reply 403\n"
		   "manager get connect_tcp|localid=1|cmd=" NASTY "|terminal=" NASTY "\ndevice reply 403\n"
		   "manager get connect_tcp\ndevice reply 403\n"
		   "channels 0\nstate up\nprivileged yes\n");
}

static void
requests_nobody_knows(void **state)
{
	(void)state;
	start("unknown");
	replay_run(&rp, "manager get coffee|localid=1\ndevice reply 404|request=coffee|reason=unknown request|.\n"
			"manager get\ndevice reply 404\n"
			"manager get file_exchange2\ndevice reply 404|request=file_exchange2\nstate up\n");
}

/* All of them taken by configurations that wait for the manager's acknowledgement. */
static void
take_all_channels(void)
{
	char script[256];

	for (int i = 1; i <= 16; i++) {
		snprintf(script, sizeof(script),
			 "manager get file_exchange|localid=%d|chan_window_sz=1|file_exch_cmd=get_config\n"
			 "device reply 200|remoteid=%d\ndevice channel|remoteid=%d|:*\n",
			 i, i, i);
		replay_run(&rp, script);
	}
}

static void
sixteen_channels(void **state)
{
	(void)state;
	start("channels");
	take_all_channels();
	replay_run(&rp, "manager get file_exchange|localid=17|file_exch_cmd=put_config|install_id=i\n"
			"device reply 409|request=file_exchange|reason=16 channels are open|.\n"
			"manager get file_exchange|localid=17|file_exch_cmd=get_config\n"
			"device reply 409|request=file_exchange\n"
			"manager channel|remoteid=4|action=close\n"
			/* one number for two channels */
			"manager get file_exchange|localid=5|file_exch_cmd=put_config|install_id=i\n"
			"device reply 409|request=file_exchange|reason=channel number 5 is in use\n"
			"manager get file_exchange|localid=4|file_exch_cmd=put_config|install_id=i\n"
			"device reply 200|remoteid=4\nchannels 16\n");
}

/* --- get_config --------------------------------------------------------------------------------------------------- */

/* The whole of a get_config, through a window of this many bytes, until its channel is closed. */
static void
fetch(struct answer *a, const char *keys, unsigned window)
{
	struct buf coded = BUF_INIT(1024 * 1024);
	size_t had = 0;
	char script[256];

	snprintf(script, sizeof(script), "get file_exchange|localid=7|chan_window_sz=%u|file_exch_cmd=get_config%s",
		 window, keys);
	replay_manager(&rp, script);
	replay_step(&rp,
		    "device reply 200|request=file_exchange|action=ack|remoteid=7|localid=1|chan_window_sz=32768|.");
	a->text[0] = '\0';
	while (!a->text[0]) {
		assert_string_not_equal(rp.seen < rp.count ? "" : "nothing", "nothing");
		while (rp.seen < rp.count)
			take_line(a, &coded, replay_next(&rp), "> channel|remoteid=7");
		assert_true(coded.len - had <= window);
		had = coded.len;
		if (!a->text[0])
			ack(1, had);
	}
	assert_string_equal(a->text, "<close>");
	decode(a, &coded);
	buf_free(&coded);
}

static void
configurations_go_out(void **state)
{
	static const struct {
		const char *what, *keys;
		unsigned flags, window;
	} rows[] = {
	    {"as saved", "", PRINT_SECRETS, 65536},
	    {"through a small window", "", PRINT_SECRETS, 10},
	    {"a window over ours", "|chan_window_sz=4000000000", PRINT_SECRETS, 65536},
	    {"full", "|full=1", PRINT_SECRETS | PRINT_FULL, 4096},
	    {"full is 1 only", "|full=" NASTY, PRINT_SECRETS, 4096},
	};
	static struct answer a;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf want = BUF_INIT(ANSWER_MAX);

		start(rows[i].what);
		assert_int_equal(print_tree(device_running(box.device), rows[i].flags, &want), 0);
		fetch(&a, rows[i].keys, rows[i].window);
		if (strncmp(a.text, (const char *)buf_head(&want), want.len) != 0)
			fail_msg("%s: %s", rows[i].what, a.text);
		assert_string_equal(a.text + want.len, "|<close>");
		/* a backup without its secrets could not be restored */
		assert_non_null(strstr(a.text, "topsecret"));
		assert_int_equal(channels_count(session_channels(rp.session)), 0);
		buf_free(&want);
		stop();
	}
}

/* Bytes from the opener are refused, an empty stream says nothing. */
static void
bytes_on_a_channel_of_ours(void **state)
{
	(void)state;
	start("bytes");
	replay_run(
	    &rp, "manager get file_exchange|localid=7|chan_window_sz=1|file_exch_cmd=get_config\n"
		 "device reply 200|remoteid=7\ndevice channel|remoteid=7|:*\n"
		 "manager channel|remoteid=1|:0\\n\n"
		 "device channel|remoteid=7|action=ack|ack=2\nchannels 1\n"
		 "manager channel|remoteid=1|:5\\nhello\n"
		 "device channel|remoteid=7|action=close|code=400|reason=nothing is expected*\nchannels 0\nstate up\n");
}

/* --- results ------------------------------------------------------------------------------------------------------ */

/* A committed install whose verdict has not reached the manager. */
static void
commit_unheard(const char *what)
{
	start(what);
	replay_run(&rp, PUT "|install_id=i-1\n" ACCEPTED);
	send_scripts(1, set_script, unset_script, 1000);
	run_install();
	next_session();
	fresh_session();
	assert_int_equal(box.verdicts, 1);
	replay_run(&rp, "channels 0\n");
}

/* The put_install_result that is on its way: number of its channel. */
static uint32_t
expect_result(const char *id)
{
	char script[256];
	uint32_t number;

	request_results(&box.requests, rp.session, rp.now);
	snprintf(script, sizeof(script),
		 "device get "
		 "file_exchange|localid=*|chan_window_sz=32768|file_exch_cmd=put_install_result|install_id=%s|.\n",
		 id);
	replay_run(&rp, script);
	number = last_id();
	request_results(&box.requests, rp.session, rp.now); /* one at a time */
	replay_run(&rp, "nothing\n");
	return number;
}

static size_t
open_result(uint32_t id, const char *verdict)
{
	struct answer a = {.bytes = 0};
	char line[128];

	snprintf(line, sizeof(line), "reply 200|request=file_exchange|action=ack|remoteid=%u|localid=90", id);
	replay_manager(&rp, line);
	take_answer(&a, 90);
	assert_int_equal(a.text[0], '{');
	snprintf(line, sizeof(line), "\"verdict\":\"%s\"", verdict);
	assert_non_null(strstr(a.text, line));
	assert_string_equal(a.text + strlen(a.text) - 2, "}|");
	return a.bytes;
}

static void
a_result_in_the_next_session(void **state)
{
	uint32_t id;
	size_t bytes;

	(void)state;
	commit_unheard("next session");
	id = expect_result("i-1");
	bytes = open_result(id, "committed");
	ack(id, bytes - 1);
	assert_false(receipts_at(box.receipts, 0)->delivered);
	replay_run(&rp, "nothing\n");
	ack(id, bytes);
	assert_true(receipts_at(box.receipts, 0)->delivered);
	replay_run(&rp, "device channel|remoteid=90|action=close|.\nchannels 0\n");
	request_results(&box.requests, rp.session, rp.now);
	next_session();
	request_results(&box.requests, rp.session, rp.now);
	replay_run(&rp, "nothing\n");
}

/* "otherwise again in the next session, until it is" */
static void
a_result_is_brought_again(void **state)
{
	static const struct {
		const char *what;
		const char *verb, *keys; /* what the manager does; NULL: nothing */
		bool opened;
	} rows[] = {
	    {"refused", "reply 404|request=file_exchange", "", false},
	    {"closed", "channel", "|action=close", true},
	    {"closed with a code", "channel", "|action=close|code=500|reason=" NASTY, true},
	    {"too much acknowledged", "channel", "|action=ack|ack=99999999", true},
	    {"bytes in the other direction", "channel", "|:1\\nx", true},
	    {"not answered", NULL, NULL, false},
	    {"not acknowledged", NULL, NULL, true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char line[128];
		uint32_t id;

		commit_unheard(rows[i].what);
		id = expect_result("i-1");
		if (rows[i].opened)
			ack(id, open_result(id, "committed") / 2);
		if (rows[i].verb) {
			snprintf(line, sizeof(line), "%s|remoteid=%u%s", rows[i].verb, id, rows[i].keys);
			replay_manager(&rp, line);
		}
		replay_forget(&rp);
		/* not again in this session */
		request_results(&box.requests, rp.session, rp.now);
		replay_run(&rp, "nothing\nstate up\n");
		box.results_wanted = 0;
		next_session();
		assert_int_equal(box.results_wanted, 1);
		id = expect_result("i-1");
		ack(id, open_result(id, "committed"));
		if (!receipts_at(box.receipts, 0)->delivered)
			fail_msg("%s: not delivered", rows[i].what);
		stop();
	}
}

/* The manager had the install's channel open to the end, but does not acknowledge the verdict: another way. */
static void
a_verdict_that_is_not_acknowledged(void **state)
{
	static struct answer a;
	uint32_t id;

	(void)state;
	start("not acknowledged");
	replay_run(&rp, PUT "|install_id=i-1\n" ACCEPTED);
	send_scripts(1, set_script, unset_script, 1000);
	run_install();
	fresh_session();
	take_answer(&a, 7);
	request_results(&box.requests, rp.session, rp.now); /* it may be just this one that is on its way */
	replay_run(&rp, "nothing\n");
	ack(1, a.bytes - 1);
	replay_manager(&rp, "channel|remoteid=1|action=close");
	assert_int_equal(box.results_wanted, 1);
	id = expect_result("i-1");
	ack(id, open_result(id, "committed"));
	assert_true(receipts_at(box.receipts, 0)->delivered);
}

static void
add_receipt(const char *id, const char *manager)
{
	struct receipt r;
	struct err e = ERR_NONE;

	receipt_init(&r);
	snprintf(r.id, sizeof(r.id), "%s", id);
	snprintf(r.manager, sizeof(r.manager), "%s", manager);
	r.verdict = RECEIPT_ROLLED_BACK;
	assert_int_equal(receipts_add(box.receipts, &r, &e), 0);
}

/* Oldest first, one after the other, and each only to the manager it belongs to. */
static void
several_results(void **state)
{
	uint32_t id;
	char line[128];

	(void)state;
	start("several");
	add_receipt("a", REPLAY_MANAGER);
	add_receipt("b", "FMG-VM0000000002");
	add_receipt("c", REPLAY_MANAGER);
	id = expect_result("a");
	ack(id, open_result(id, "rolled-back"));
	replay_run(&rp, "device channel|remoteid=90|action=close|.\n"
			"device get file_exchange|localid=*|file_exch_cmd=put_install_result|install_id=c\n");
	snprintf(line, sizeof(line), "reply 200|request=file_exchange|remoteid=%u|localid=91", last_id());
	id = last_id();
	replay_manager(&rp, line);
	replay_forget(&rp);
	snprintf(line, sizeof(line), "channel|remoteid=%u|action=close", id);
	replay_manager(&rp, line);
	replay_run(&rp, "nothing\nchannels 0\n");
	assert_true(receipts_find(box.receipts, "a")->delivered);
	assert_false(receipts_find(box.receipts, "b")->delivered);
	assert_false(receipts_find(box.receipts, "c")->delivered);
}

/* What was refused is no receipt: an acknowledged refusal delivers no older receipt of the same id. */
static void
a_refusal_of_an_old_id(void **state)
{
	static struct answer a;

	(void)state;
	start("old id");
	add_receipt("i-1", REPLAY_MANAGER);
	replay_run(&rp, PUT "|install_id=i-1\n" ACCEPTED);
	send_scripts(1, "frobnicate\n", "", 1000);
	a.bytes = 0;
	take_answer(&a, 7);
	ack(1, a.bytes);
	replay_run(&rp, "device channel|remoteid=7|action=close|code=400\n");
	assert_false(receipts_find(box.receipts, "i-1")->delivered);
}

static void
no_result_without_privilege(void **state)
{
	(void)state;
	start("unprivileged");
	add_receipt("a", REPLAY_MANAGER);
	replay_run(&rp, "manager reply 200|request=ip|register_status=0\ncall address - - mgmtid=\nprivileged no\n");
	request_results(&box.requests, rp.session, rp.now);
	replay_run(&rp, "nothing\nchannels 0\n");
}

/* Sixteen channels are open: the result waits, and is not lost. */
static void
no_channel_for_a_result(void **state)
{
	(void)state;
	start("no channel");
	add_receipt("a", REPLAY_MANAGER);
	take_all_channels();
	request_results(&box.requests, rp.session, rp.now);
	replay_run(&rp, "nothing\nstate up\n");
	next_session();
	expect_result("a");
}

/* --- an operator at the same time --------------------------------------------------------------------------------- */

/* What a shell has committed but not ended is in the running configuration, not in the saved one. An install starts
 * from the saved one ("when no install is pending, running and saved configuration are the same"), so that is saved
 * first; a shell that ends its block while the install is tested saves nothing of the install. */
static void
a_shell_inside_a_block(void **state)
{
	struct err e = ERR_NONE;
	const char *value = "UTC";
	struct change change = {.key = ""};

	(void)state;
	start("shell");
	change.tree = device_running(box.device);
	assert_int_equal(tree_set(device_running(box.device), "system global", "", "timezone", &value, 1, &e), 0);
	assert_int_equal(device_apply_for_shell(box.device, &change, &e), CLI_OK);
	replay_run(&rp, PUT "|install_id=i-1\n" ACCEPTED);
	send_scripts(1, set_script, unset_script, 1000);
	assert_true(fixture_contains("sys_config.conf", "timezone"));
	run_install();
	assert_true(is_new());
	assert_int_equal(device_save_changes(box.device, "uid 0", &e), 0);
	assert_true(fixture_contains("sys_config.conf", "\"old\""));
	next_session();
	roll_back();
	assert_string_equal(box_get("system global", "", "timezone"), "UTC");
	assert_true(fixture_contains("sys_config.conf", "timezone"));
}

/* --- put_script, put_json_cmd --------------------------------------------------------------------------------------
 */

#define OPEN(keys) "manager get file_exchange|localid=7|chan_window_sz=32768|file_exch_cmd=" keys "\n"

/* Scripts run in turns of the loop. */
static void
on_turns(void *ctx)
{
	loop_stop(ctx);
}

static void
turn(void)
{
	struct loop_task *t = loop_task_new(box.loop, on_turns, box.loop);

	loop_task_soon(t);
	assert_int_equal(loop_run(box.loop), 0);
	loop_task_free(t);
}

/* What comes back for one stream; it may wait for an install. */
static void
exchange(struct answer *a, const char *text)
{
	struct buf b = BUF_INIT(4 * 1024 * 1024);

	put_stream(&b, text, strlen(text));
	send_raw(last_id(), buf_head(&b), b.len, 16384);
	buf_free(&b);
	turn();
	take_answer(a, 7);
}

static const struct history_entry *
newest(void)
{
	assert_true(history_count(box.history) > 0);
	return history_at(box.history, history_count(box.history) - 1);
}

static void
scripts(void **state)
{
	static const struct {
		const char *what, *script, *answer, *result;
		unsigned failed;
	} rows[] = {
	    {"nothing", "", "result=done\n|", "done", 0},
	    {"output and failures", "show system global\nconfig no such\nend\n",
	     "config system global\n    set hostname \"old\"\nend\n"
	     "command parse error before 'no'\nCommand fail. Return code -61\n"
	     "command parse error before 'no'\nCommand fail. Return code -61\nresult=done\n|",
	     "done", 2},
	    {"there and back",
	     "config system global\nset hostname \"x\"\nend\n"
	     "config system global\nset hostname \"old\"\nend\n",
	     "result=done\n|", "done", 0},
	    {"no form", "flurb\n", "result=refused reason=script:1:1", "refused", 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct answer a = {.bytes = 0};

		start(rows[i].what);
		replay_run(&rp, OPEN("put_script|script_id=s") ACCEPTED);
		exchange(&a, rows[i].script);
		if (strncmp(a.text, rows[i].answer, strlen(rows[i].answer)) != 0)
			fail_msg("%s: %s", rows[i].what, a.text);
		assert_string_equal(newest()->result, rows[i].result);
		assert_int_equal(newest()->failed, rows[i].failed);
		assert_string_equal(newest()->user, REPLAY_MANAGER);
		assert_untouched(rows[i].what);
		stop();
	}
}

static void
a_script_that_changes(void **state)
{
	struct answer a = {.bytes = 0};

	(void)state;
	start("script");
	replay_run(&rp, OPEN("put_script|script_id=s") ACCEPTED);
	exchange(&a, set_script);
	assert_null(strstr(a.text, "result="));
	assert_string_equal(newest()->result, "pending");
	assert_int_equal(box_state(), INSTALL_JOURNALED);
	run_install();
	assert_true(is_new());
	a.bytes = 0;
	fresh_session();
	take_answer(&a, 7);
	assert_string_equal(a.text, "result=committed\n|");
	assert_string_equal(newest()->result, "committed");
	assert_string_equal(receipts_at(box.receipts, 0)->id, "script-s");
}

/* A channel that is gone before its script has run: nothing of it has happened. */
static void
a_script_is_stopped(void **state)
{
	struct buf b = BUF_INIT(1024 * 1024);

	(void)state;
	start("stopped");
	replay_run(&rp, OPEN("put_script|script_id=s") ACCEPTED);
	put_stream(&b, set_script, strlen(set_script));
	send_raw(last_id(), buf_head(&b), b.len, 16384);
	buf_free(&b);
	replay_forget(&rp);
	replay_run(&rp, "manager channel|remoteid=1|action=close\nchannels 0\n");
	turn();
	assert_string_equal(newest()->result, "stopped");
	assert_int_equal(newest()->done, 0);
	assert_untouched("stopped");
}

static void
json_requests(void **state)
{
	static const struct {
		const char *what, *request, *answer;
	} rows[] = {
	    {"no JSON", "{", "{\"id\":null,\"error\":{\"code\":400,"},
	    {"no method", "{\"id\":1,\"params\":[{}]}", "{\"id\":1,\"error\":{\"code\":400,"},
	    {"another method", "{\"id\":1,\"method\":\"fly\",\"params\":[{}]}", "{\"id\":1,\"error\":{\"code\":404,"},
	    {"no url", "{\"id\":\"a\",\"method\":\"get\",\"params\":[{}]}",
	     "{\"id\":\"a\",\"result\":[{\"status\":{\"code\":400,"},
	    {"a secret", "{\"method\":\"get\",\"params\":[{\"url\":\"/cli/global/box/secret\"}]}",
	     "{\"id\":null,\"result\":[{\"status\":{\"code\":0,\"message\":\"OK\"},\"url\":\"/cli/global/box/secret\","
	     "\"data\":{\"password\":\"ENC ***\"}}]}|"},
	    {"config agent", "{\"method\":\"get\",\"params\":[{\"url\":\"/cli/global/agent\"}]}",
	     "{\"id\":null,\"result\":[{\"status\":{\"code\":403,"},
	    {"a value of no type",
	     "{\"method\":\"set\",\"params\":[{\"url\":\"/cli/global/system/global\",\"data\":{\"hostname\":{}}}]}",
	     "{\"id\":null,\"result\":[{\"status\":{\"code\":400,"},
	    {"a number beyond all bounds, which is no null",
	     "{\"method\":\"set\",\"params\":[{\"url\":\"/cli/global/system/global\",\"data\":{\"hostname\":1e999}}]}",
	     "{\"id\":null,\"result\":[{\"status\":{\"code\":400,"},
	    {"a null among others",
	     "{\"method\":\"set\",\"params\":[{\"url\":\"/cli/global/system/global\",\"data\":{\"hostname\":[null]}}]}",
	     "{\"id\":null,\"result\":[{\"status\":{\"code\":400,"},
	    {"no data", "{\"method\":\"set\",\"params\":[{\"url\":\"/cli/global/system/global\"}]}",
	     "{\"id\":null,\"result\":[{\"status\":{\"code\":400,"},
	    {"a command in a value",
	     "{\"method\":\"set\",\"params\":[{\"url\":\"/cli/global/system/global\",\"data\":{\"hostname\":[\"a\","
	     "\"b\"]}}]}",
	     "{\"id\":null,\"result\":[{\"status\":{\"code\":-61,"},
	    {"what is so already",
	     "{\"method\":\"set\",\"params\":[{\"url\":\"/cli/global/system/"
	     "global\",\"data\":{\"hostname\":\"old\"}}]}",
	     "{\"id\":null,\"result\":[{\"status\":{\"code\":0,\"message\":\"OK\"},\"url\":\"/cli/global/system/"
	     "global\"}]}|"},
	    {"a singleton deleted", "{\"method\":\"delete\",\"params\":[{\"url\":\"/cli/global/system/global\"}]}",
	     "{\"id\":null,\"result\":[{\"status\":{\"code\":400,"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct answer a = {.bytes = 0};

		start(rows[i].what);
		replay_run(&rp, OPEN("put_json_cmd") ACCEPTED);
		exchange(&a, rows[i].request);
		if (strncmp(a.text, rows[i].answer, strlen(rows[i].answer)) != 0)
			fail_msg("%s: %s", rows[i].what, a.text);
		assert_untouched(rows[i].what);
		stop();
	}
}

static void
a_json_request_that_changes(void **state)
{
	struct answer a = {.bytes = 0};

	(void)state;
	start("json");
	replay_run(&rp, OPEN("put_json_cmd") ACCEPTED);
	exchange(&a, "{\"id\":5,\"method\":\"set\",\"params\":[{\"url\":\"/cli/global/system/global\","
		     "\"data\":{\"hostname\":\"new\"}}]}");
	assert_string_equal(a.text, "");
	run_install();
	fresh_session();
	take_answer(&a, 7);
	assert_non_null(strstr(a.text, "\"install\":{\"id\":\"json-"));
	assert_non_null(strstr(a.text, "\"result\":\"committed\"}}|"));
	assert_true(is_new());
}

static void
scripts_and_json_forbidden(void **state)
{
	static const char set[] = "{\"method\":\"set\",\"params\":[{\"url\":\"/cli/global/system/global\","
				  "\"data\":{\"hostname\":\"new\"}}]}";
	static const struct {
		const char *attr, *value;
		bool json;
	} rows[] = {
	    {"mode", "backup", true},
	    {"allow-push-configuration", "disable", true},
	    {"schedule-script-restore", "disable", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct answer a = {.bytes = 0};

		start(rows[i].attr);
		set_central_management(rows[i].attr, rows[i].value);
		replay_run(&rp, OPEN("put_script|script_id=s") "device reply 403|request=file_exchange\n");
		if (rows[i].json) {
			replay_run(&rp, OPEN("put_json_cmd") ACCEPTED);
			exchange(&a, set);
			assert_non_null(strstr(a.text, "\"code\":403"));
		}
		assert_untouched(rows[i].attr);
		assert_int_equal(history_count(box.history), 0);
		stop();
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(an_install_in_pieces, setup, teardown),
	    cmocka_unit_test_setup_teardown(openings_that_are_refused, setup, teardown),
	    cmocka_unit_test_setup_teardown(forms_that_are_refused, setup, teardown),
	    cmocka_unit_test_setup_teardown(one_install_at_a_time, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_same_again, setup, teardown),
	    cmocka_unit_test_setup_teardown(scripts_are_bounded, setup, teardown),
	    cmocka_unit_test_setup_teardown(uploads_are_bounded_together, setup, teardown),
	    cmocka_unit_test_setup_teardown(uploads_broken_off, setup, teardown),
	    cmocka_unit_test_setup_teardown(more_than_two_streams, setup, teardown),
	    cmocka_unit_test_setup_teardown(policy, setup, teardown),
	    cmocka_unit_test_setup_teardown(no_shell_for_a_manager, setup, teardown),
	    cmocka_unit_test_setup_teardown(requests_nobody_knows, setup, teardown),
	    cmocka_unit_test_setup_teardown(sixteen_channels, setup, teardown),
	    cmocka_unit_test_setup_teardown(configurations_go_out, setup, teardown),
	    cmocka_unit_test_setup_teardown(bytes_on_a_channel_of_ours, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_result_in_the_next_session, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_result_is_brought_again, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_verdict_that_is_not_acknowledged, setup, teardown),
	    cmocka_unit_test_setup_teardown(several_results, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_refusal_of_an_old_id, setup, teardown),
	    cmocka_unit_test_setup_teardown(no_result_without_privilege, setup, teardown),
	    cmocka_unit_test_setup_teardown(no_channel_for_a_result, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_shell_inside_a_block, setup, teardown),
	    cmocka_unit_test_setup_teardown(scripts, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_script_that_changes, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_script_is_stopped, setup, teardown),
	    cmocka_unit_test_setup_teardown(json_requests, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_json_request_that_changes, setup, teardown),
	    cmocka_unit_test_setup_teardown(scripts_and_json_forbidden, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
