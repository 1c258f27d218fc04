/* disk: what a power loss may leave of a folder.
 *
 * A log of the changes made to the files of a folder, with the flushes between them, and from it every state the disk
 * may be in when the power goes after one of them: bytes of a file that were not flushed are there, missing, zero, or
 * torn between sectors; names that were not flushed are there or not, each by itself. Only what a flush promised is
 * taken for granted.
 */
#ifndef TEST_FAULT_DISK_H
#define TEST_FAULT_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DISK_NAME = 96, DISK_SECTOR = 512, DISK_WHERE = 256 };

enum disk_kind { DISK_CREATE, DISK_WRITE, DISK_SIZE, DISK_SYNC, DISK_SYNC_FOLDER, DISK_RENAME, DISK_UNLINK, DISK_LINK };

struct disk_log;
struct disk_states;

/* Begins with what is in the folder (and its folders, one deep), all of it flushed. `phase` is read at each note: the
 * reader's own mark of how far the program was. NULL: no memory, or the folder cannot be read. */
struct disk_log *disk_log_new(const char *folder, const volatile unsigned *phase);
void disk_log_free(struct disk_log *l); /* NULL-safe */
size_t disk_log_count(const struct disk_log *l);

/* One change that was done. Names are relative to the folder; `to` of renames and links; data is copied. A note that
 * does not fit into memory ends the program: a log with a hole proves nothing. */
void disk_note(struct disk_log *l, enum disk_kind kind, const char *name, const char *to, uint64_t at, const void *data,
	       size_t len);

/* Every different state, over all cuts. */
struct disk_states *disk_states_of(const struct disk_log *l);
void disk_states_free(struct disk_states *s); /* NULL-safe */
size_t disk_states_count(const struct disk_states *s);

struct disk_state_facts {
	unsigned phase; /* how far the program was when the power went */
	char where[DISK_WHERE];
};

/* Makes the files of one folder (and its folders, one deep) those of another. 0 or -errno. */
int disk_copy(const char *from, const char *to);

/* Makes the folder that state: its files are replaced. 0 or -errno. */
int disk_state_put(const struct disk_states *s, size_t i, const char *folder, struct disk_state_facts *out);

#endif
