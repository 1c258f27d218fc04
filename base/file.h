/* file: whole files, read with a cap and replaced atomically.
 *
 * A replaced file is at every instant the complete old or the complete new one: temporary file in the same folder,
 * fsync, rename, fsync of the folder. A damaged file is kept aside, never replaced by an empty one.
 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct err;

/* Reads a regular file of at most `max` bytes. *out is NUL-terminated and owned by the caller.
 * -ENOENT, -EFBIG, -EISDIR (anything but a regular file) or another -errno, with the path in `e`. */
int file_read(const char *path, size_t max, char **out, size_t *len, struct err *e);

/* The same from a descriptor, from offset 0; `name` is for messages. The descriptor stays the caller's. */
int file_read_fd(int fd, const char *name, size_t max, char **out, size_t *len, struct err *e);

/* Replaces `path` by `len` bytes with `mode`. On failure the old file is untouched, unless *renamed (may be NULL)
 * says true: then the new content is in place and only the folder's fsync failed. */
int file_replace(const char *path, const void *data, size_t len, mode_t mode, bool *renamed, struct err *e);

/* Removes `path` and makes that durable. A missing file is no error. */
int file_remove(const char *path, struct err *e);

/* Renames a damaged file to "PATH.corrupt" (an older one there is overwritten) and makes that durable. */
int file_set_aside(const char *path, struct err *e);

/* For a damaged file that the caller replaces next: "PATH.corrupt" (an older one there is overwritten) becomes a second
 * name of it, so that there is no instant without PATH. Where the file system has no links it is renamed. */
int file_link_aside(const char *path, struct err *e);

/* Creates a folder and its parents as needed with `mode`; one that exists is left as it is.
 * -ENOTDIR when something else stands there. */
int file_make_dir(const char *path, mode_t mode, struct err *e);

/* fsync of the folder that holds `path`. */
int file_sync_parent(const char *path, struct err *e);

/* Writes all of it or fails: handles short writes and EINTR. 0 or -errno. */
int file_write_all(int fd, const void *data, size_t len);

#endif
