/* ctl_prompt: questions and progress of a command that goes on, at the operator's terminal.
 *
 * A question is answered by somebody at a terminal, or by the option that is for this kind of question. Where there is
 * neither the answer is no.
 */
#ifndef AGENT_CTL_PROMPT_H
#define AGENT_CTL_PROMPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "agent/agent_packages.h"

struct ctl_prompt {
	FILE *out;                 /* where questions go; borrowed */
	bool yes, accept_unsigned; /* `--yes`, `--accept-unsigned` */
	bool script;               /* commands come from a file or a pipe: nobody is asked */
	bool open;                 /* a question waits for the terminal */
	bool progress;             /* the terminal's last line is one of ctl_prompt_progress() */
	uint8_t digest[PACKAGES_DIGEST];
};

enum ctl_answer { CTL_WAITS, CTL_NO, CTL_YES };

/* Shows a question: the body of CONTROL_ASK. CTL_WAITS: standard input will say, read it with ctl_prompt_read(). */
enum ctl_answer ctl_prompt_ask(struct ctl_prompt *p, const uint8_t *body, size_t len);
/* Reads the line that was typed; the end of input is no. */
enum ctl_answer ctl_prompt_read(struct ctl_prompt *p);
/* The question is no more: the command has ended, or was cancelled. */
void ctl_prompt_drop(struct ctl_prompt *p);

/* The body of CONTROL_PROGRESS, on a terminal only; and the line taken off again, before anything else is shown. */
void ctl_prompt_progress(struct ctl_prompt *p, const uint8_t *body, size_t len);
void ctl_prompt_clear(struct ctl_prompt *p);

#endif
