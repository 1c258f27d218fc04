/* control_wire: what fgfmctl and the daemon say over the control socket. Internal: both come from one build.
 *
 * Stream socket; each piece is a type byte, a big-endian u32 length, then that many bytes. A file travels as a
 * descriptor with the CONTROL_FILE piece: the daemon opens no path for a client.
 */
#ifndef AGENT_CONTROL_WIRE_H
#define AGENT_CONTROL_WIRE_H

#include <stddef.h>
#include <stdint.h>

struct buf;
struct err;

enum control_type {
	/* client to daemon */
	CONTROL_COMMAND = 'C',  /* u8 of enum control_flags, then the command's text */
	CONTROL_COMPLETE = 'T', /* text typed so far */
	CONTROL_FILE = 'F',     /* with one descriptor: the file asked for */
	CONTROL_NO_FILE = 'N',  /* it could not be opened: the text says why */
	CONTROL_END = 'E',      /* end of a script: -160 when inside a block */
	CONTROL_ANSWER = 'Y',   /* u8 yes, digest of the question: between it and the result */
	CONTROL_CANCEL = 'X',   /* ends the command that goes on, which then has its result */
	/* daemon to client */
	CONTROL_OUTPUT = 'O',
	CONTROL_DEBUG = 'D',     /* a debug line, at any time */
	CONTROL_WANT_FILE = 'W', /* u8 write, u16 index of the word that names it */
	CONTROL_RESULT = 'R',    /* i32 code, u8 incomplete, prompt NUL, reason NUL */
	CONTROL_WORDS = 'L',     /* candidates, "WORD\tHELP\n"… */
	CONTROL_ASK = 'A',       /* u8 of enum packages_asks, digest, the question's text */
	CONTROL_PROGRESS = 'P',  /* u64 done, u64 total (0: not known), what */
};

enum control_flags { CONTROL_JSON = 1, CONTROL_TYPED = 2 };

enum { CONTROL_HEAD = 5, CONTROL_PIECE_MAX = 80 * 1024 * 1024, CONTROL_COMMAND_MAX = 1024 * 1024 };

/* Appends one piece. 0 or -errno. */
int control_put(struct buf *b, enum control_type type, const void *data, size_t len);

/* The first piece of `n` bytes: its whole length (head included) and type and body; 0: more is needed; -EPROTO when it
 * is larger than `max`. */
long control_piece(const uint8_t *p, size_t n, size_t max, enum control_type *type, const uint8_t **body, size_t *len);

#endif
