/* err: a failure with its reason in words.
 *
 * Functions return 0 or -errno. Where somebody outside reads the reason, they also fill a
 * `struct err`: what failed, where, what was expected. It owns nothing and needs no freeing.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stddef.h>

struct err {
	int code;       /* -errno, or 0 */
	char text[320]; /* one line, no newline, never a secret */
};

#define ERR_NONE                                                                                                       \
	{                                                                                                              \
		0, ""                                                                                                  \
	}

/* Fills `e` (may be NULL) and returns `code`, so that `return err_set(e, -EINVAL, …);` reads well. */
int err_set(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* As err_set(), and appends ": " and the system's text for -code. */
int err_sys(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Puts "context: " before the text already in `e`; returns the code already there. */
int err_in(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
