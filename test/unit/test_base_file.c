/* base/file: what stands in the way, a disk that fails at every step, and a process that dies there. */
// wrap: open write pread fsync fchmod rename unlink link mkdir malloc
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/text.h"
#include "test/unit/rollback_fixture.h"

enum { DIED = 77 };

/* The `at`-th call of `name` fails with `error`; with `die_at`, the process ends instead of the so-many-th call. */
static struct {
	const char *name;
	int at, error;
	int die_at, calls;
	bool few; /* reads and writes move one byte at a time */
} fault;

static void
fail_at(const char *name, int at, int error)
{
	fault.name = name;
	fault.at = at;
	fault.error = error;
}

static bool
fails(const char *name)
{
	if (++fault.calls == fault.die_at)
		_exit(DIED);
	if (!fault.name || strcmp(name, fault.name) != 0 || --fault.at)
		return false;
	fault.name = NULL;
	errno = fault.error;
	return true;
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
ssize_t __real_write(int fd, const void *data, size_t len);
ssize_t __wrap_write(int fd, const void *data, size_t len);
ssize_t __real_pread(int fd, void *data, size_t len, off_t at);
ssize_t __wrap_pread(int fd, void *data, size_t len, off_t at);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_fchmod(int fd, mode_t mode);
int __wrap_fchmod(int fd, mode_t mode);
int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
int __real_unlink(const char *path);
int __wrap_unlink(const char *path);
int __real_link(const char *from, const char *to);
int __wrap_link(const char *from, const char *to);
int __real_mkdir(const char *path, mode_t mode);
int __wrap_mkdir(const char *path, mode_t mode);
void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);

int
__wrap_open(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	if (flags & O_CREAT) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	return fails("open") ? -1 : __real_open(path, flags, mode);
}

ssize_t
__wrap_write(int fd, const void *data, size_t len)
{
	return fails("write") ? -1 : __real_write(fd, data, fault.few && len ? 1 : len);
}

ssize_t
__wrap_pread(int fd, void *data, size_t len, off_t at)
{
	return fails("pread") ? -1 : __real_pread(fd, data, fault.few && len ? 1 : len, at);
}

int
__wrap_fsync(int fd)
{
	return fails("fsync") ? -1 : __real_fsync(fd);
}

int
__wrap_fchmod(int fd, mode_t mode)
{
	return fails("fchmod") ? -1 : __real_fchmod(fd, mode);
}

int
__wrap_rename(const char *from, const char *to)
{
	return fails("rename") ? -1 : __real_rename(from, to);
}

int
__wrap_unlink(const char *path)
{
	return fails("unlink") ? -1 : __real_unlink(path);
}

int
__wrap_link(const char *from, const char *to)
{
	return fails("link") ? -1 : __real_link(from, to);
}

int
__wrap_mkdir(const char *path, mode_t mode)
{
	return fails("mkdir") ? -1 : __real_mkdir(path, mode);
}

void *
__wrap_malloc(size_t n)
{
	return fails("malloc") ? NULL : __real_malloc(n);
}

static int
set_up(void **state)
{
	memset(&fault, 0, sizeof(fault));
	return fixture_setup(state);
}

static int
tear_down(void **state)
{
	memset(&fault, 0, sizeof(fault));
	return fixture_teardown(state);
}

/* A path of the fixture's folder that stays valid over other calls of fixture_path(). */
static const char *
path_of(const char *name)
{
	static char text[2 * PATH_MAX];

	return strcpy(text, fixture_path(name));
}

static void
assert_content(const char *name, const char *text)
{
	size_t len;
	char *was = fixture_read(name, &len);

	if (!was)
		fail_msg("%s is gone", name);
	assert_int_equal(len, strlen(text));
	assert_string_equal(was, text);
	free(was);
}

static mode_t
mode_of(const char *name)
{
	struct stat st;

	assert_int_equal(lstat(fixture_path(name), &st), 0);
	return st.st_mode & 07777;
}

static ino_t
inode_of(const char *name)
{
	struct stat st;

	assert_int_equal(lstat(fixture_path(name), &st), 0);
	return st.st_ino;
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

static void
put_socket(const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	assert_int_equal(text_copy(sun.sun_path, sizeof(sun.sun_path), path), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	close(fd);
}

static void
not_read(void **state)
{
	static const struct {
		const char *what, *name;
		size_t max;
		int rc;
		const char *reason;
	} rows[] = {
	    {"missing", "none", 9, -ENOENT, "/none: No such file"},
	    {"a folder", "", 9, -EISDIR, "not a regular file"},
	    {"a FIFO that nobody writes to", "fifo", 9, -EISDIR, "/fifo: not a regular file"},
	    {"a socket", "socket", 9, -ENXIO, "/socket: "},
	    {"a link to nowhere", "nowhere", 9, -ENOENT, "/nowhere: "},
	    {"a link to itself", "loop", 9, -ELOOP, "/loop: "},
	    {"one byte too many", "six", 5, -EFBIG, "/six: 6 bytes, at most 5 expected"},
	    {"any byte too many", "six", 0, -EFBIG, "at most 0"},
	    {"a file as folder", "six/x", 9, -ENOTDIR, "/six/x: "},
	};

	(void)state;
	fixture_write("six", "123456");
	assert_int_equal(mkfifo(fixture_path("fifo"), 0600), 0);
	put_socket(fixture_path("socket"));
	assert_int_equal(symlink("none", fixture_path("nowhere")), 0);
	assert_int_equal(symlink("loop", fixture_path("loop")), 0);
	alarm(10); /* one that waits for a writer is no test that ends */
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err e = ERR_NONE;
		char *out = (char *)1;
		size_t len = 77;

		print_message("  %s\n", rows[i].what);
		assert_int_equal(file_read(fixture_path(rows[i].name), rows[i].max, &out, &len, &e), rows[i].rc);
		assert_int_equal(e.code, rows[i].rc);
		assert_non_null(strstr(e.text, rows[i].reason));
		assert_non_null(strstr(e.text, fixture_dir));
		assert_ptr_equal(out, (char *)1);
		assert_int_equal(len, 77);
	}
	alarm(0);
}

static void
read_in_full(void **state)
{
	size_t len = 77;
	char *out = NULL;

	(void)state;
	fixture_write_bytes("nul", "a\0b", 3);
	assert_int_equal(file_read(fixture_path("nul"), 3, &out, &len, NULL), 0);
	assert_int_equal(len, 3);
	assert_memory_equal(out, "a\0b", 4);
	free(out);
	fixture_write("empty", "");
	assert_int_equal(file_read(fixture_path("empty"), 0, &out, &len, NULL), 0);
	assert_int_equal(len, 0);
	assert_string_equal(out, "");
	free(out);
	assert_int_equal(symlink("nul", fixture_path("link")), 0);
	assert_int_equal(file_read(fixture_path("link"), 3, &out, &len, NULL), 0);
	assert_int_equal(len, 3);
	free(out);
}

static void
reading_fails(void **state)
{
	static const struct {
		const char *what, *call;
		int error, rc;
	} rows[] = {
	    {"the disk", "pread", EIO, -EIO},
	    {"memory", "malloc", ENOMEM, -ENOMEM},
	    {"no descriptor left", "open", EMFILE, -EMFILE},
	    {"a signal is no failure", "pread", EINTR, 0},
	};

	(void)state;
	fixture_write("f", "1234");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err e = ERR_NONE;
		char *out = NULL;
		size_t len = 0;

		print_message("  %s\n", rows[i].what);
		fault.few = true;
		fail_at(rows[i].call, 1, rows[i].error);
		assert_int_equal(file_read(fixture_path("f"), 9, &out, &len, &e), rows[i].rc);
		if (rows[i].rc)
			assert_null(out);
		else
			assert_string_equal(out, "1234");
		free(out);
	}
}

static void
descriptor_stays_the_callers(void **state)
{
	size_t len = 0;
	char *out = NULL;
	int fd;

	(void)state;
	fixture_write("f", "1234");
	fd = __real_open(fixture_path("f"), O_RDONLY);
	assert_int_equal(lseek(fd, 3, SEEK_SET), 3);
	assert_int_equal(file_read_fd(fd, "a name", 4, &out, &len, NULL), 0);
	assert_string_equal(out, "1234");
	free(out);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 3);
	close(fd);
}

/* --- replacing ---------------------------------------------------------------------------------------------------- */

static void
replacing_fails(void **state)
{
	static const struct {
		const char *what, *call;
		int at, error;
		bool renamed;
		const char *reason;
	} rows[] = {
	    {"a stale temporary file stays", "unlink", 1, EACCES, false, "removing the stale"},
	    {"no inode", "open", 1, ENOSPC, false, "creating"},
	    {"disk full", "write", 1, ENOSPC, false, "writing"},
	    {"disk full later", "write", 3, EDQUOT, false, "writing"},
	    {"mode refused", "fchmod", 1, EPERM, false, "chmod"},
	    {"the disk fails", "fsync", 1, EIO, false, "fsync of"},
	    {"read-only", "rename", 1, EROFS, false, "renaming"},
	    {"the folder cannot be opened", "open", 2, EMFILE, true, ""},
	    {"the folder's disk fails", "fsync", 2, EIO, true, "fsync of"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err e = ERR_NONE;
		bool renamed = !rows[i].renamed;
		int rc;

		print_message("  %s\n", rows[i].what);
		fixture_write("f", "old");
		fault.few = true;
		fail_at(rows[i].call, rows[i].at, rows[i].error);
		rc = file_replace(path_of("f"), "new text", 8, 0600, &renamed, &e);
		assert_null(fault.name);
		assert_int_equal(rc, -rows[i].error);
		assert_int_equal(e.code, rc);
		assert_non_null(strstr(e.text, rows[i].reason));
		assert_non_null(strstr(e.text, strerror(rows[i].error)));
		assert_int_equal(renamed, rows[i].renamed);
		fault.few = false;
		assert_content("f", rows[i].renamed ? "new text" : "old");
		assert_false(fixture_exists("f.tmp"));
	}
}

/* Whichever call is the last one the process makes, a complete file stands there. */
static void
dying_leaves_old_or_new(void **state)
{
	bool seen_old = false, seen_new = false;

	(void)state;
	for (int at = 1;; at++) {
		char *text;
		int status;
		pid_t pid;

		fixture_write("f", "old");
		pid = fork();
		assert_true(pid >= 0);
		if (!pid) {
			fault.few = true;
			fault.die_at = fault.calls + at;
			file_replace(path_of("f"), "new", 3, 0600, NULL, NULL);
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		text = fixture_read("f", NULL);
		assert_non_null(text);
		if (strcmp(text, "old") != 0)
			assert_string_equal(text, "new");
		seen_old = seen_old || !strcmp(text, "old");
		seen_new = seen_new || !strcmp(text, "new");
		free(text);
		/* what was left lying about does not bother the next one */
		assert_int_equal(file_replace(path_of("f"), "next", 4, 0600, NULL, NULL), 0);
		assert_content("f", "next");
		if (WEXITSTATUS(status) != DIED)
			break;
	}
	assert_true(seen_old && seen_new);
}

static void
in_the_way_of_replacing(void **state)
{
	struct err e = ERR_NONE;
	char longest[PATH_MAX];

	(void)state;
	fixture_write("f", "old");
	assert_int_equal(__real_mkdir(fixture_path("f.tmp"), 0700), 0);
	assert_int_equal(file_replace(path_of("f"), "new", 3, 0600, NULL, &e), -EISDIR);
	assert_content("f", "old");
	assert_int_equal(__real_mkdir(fixture_path("d"), 0700), 0);
	assert_int_equal(file_replace(path_of("d"), "new", 3, 0600, NULL, &e), -EISDIR);
	assert_false(fixture_exists("d.tmp"));
	assert_int_equal(file_replace(path_of("none/f"), "new", 3, 0600, NULL, &e), -ENOENT);
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(file_replace(longest, "new", 3, 0600, NULL, &e), -ENAMETOOLONG);
	assert_int_equal(file_set_aside(longest, &e), -ENAMETOOLONG);
	assert_int_equal(file_link_aside(longest, &e), -ENAMETOOLONG);
}

static void
links_are_not_followed(void **state)
{
	(void)state;
	fixture_write("victim", "precious");
	assert_int_equal(symlink("victim", fixture_path("f")), 0);
	assert_int_equal(symlink("victim", fixture_path("f.tmp")), 0);
	assert_int_equal(file_replace(path_of("f"), "new", 3, 0600, NULL, NULL), 0);
	assert_content("victim", "precious");
	assert_content("f", "new");
	assert_false(fixture_exists("f.tmp"));
}

static void
replaced_at_once(void **state)
{
	bool renamed = false;
	char was[4] = "";
	mode_t mask;
	int fd;

	(void)state;
	fixture_write("f", "old");
	fd = __real_open(fixture_path("f"), O_RDONLY);
	mask = umask(0077);
	assert_int_equal(file_replace(path_of("f"), "new", 3, 0644, &renamed, NULL), 0);
	umask(mask);
	assert_true(renamed);
	assert_content("f", "new");
	assert_int_equal(mode_of("f"), 0644);
	/* who had the old one open still reads it whole */
	assert_int_equal(read(fd, was, 3), 3);
	assert_string_equal(was, "old");
	close(fd);
	mask = umask(0);
	assert_int_equal(file_replace(path_of("f"), "", 0, 0600, NULL, NULL), 0);
	umask(mask);
	assert_content("f", "");
	assert_int_equal(mode_of("f"), 0600);
}

static void
everything_is_written(void **state)
{
	struct {
		const char *what;
		int error, rc;
	} rows[] = {{"a signal", EINTR, 0}, {"a full disk", ENOSPC, -ENOSPC}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int fd = __real_open(fixture_path("f"), O_WRONLY | O_CREAT | O_TRUNC, 0600);

		print_message("  %s\n", rows[i].what);
		fault.few = true;
		fail_at("write", 2, rows[i].error);
		assert_int_equal(file_write_all(fd, "abc", 3), rows[i].rc);
		fault.few = false;
		assert_content("f", rows[i].rc ? "a" : "abc");
		close(fd);
	}
	assert_int_equal(file_write_all(-1, "abc", 3), -EBADF);
	assert_int_equal(file_write_all(-1, "", 0), 0);
}

/* --- removing and setting aside ----------------------------------------------------------------------------------- */

static void
removed(void **state)
{
	struct err e = ERR_NONE;

	(void)state;
	fixture_write("f", "x");
	fail_at("unlink", 1, EPERM);
	assert_int_equal(file_remove(path_of("f"), &e), -EPERM);
	assert_true(fixture_exists("f"));
	fail_at("fsync", 1, EIO);
	assert_int_equal(file_remove(path_of("f"), &e), -EIO);
	assert_false(fixture_exists("f"));
	assert_int_equal(file_remove(path_of("f"), &e), 0);
	assert_int_equal(file_remove(path_of("none/f"), &e), 0);
	fixture_write("f", "x");
	assert_int_equal(file_remove(path_of("f"), &e), 0);
	assert_false(fixture_exists("f"));
}

static void
set_aside(void **state)
{
	struct err e = ERR_NONE;

	(void)state;
	assert_int_equal(file_set_aside(path_of("f"), &e), -ENOENT);
	fixture_write("f", "damaged");
	fixture_write("f.corrupt", "older");
	fail_at("rename", 1, EROFS);
	assert_int_equal(file_set_aside(path_of("f"), &e), -EROFS);
	assert_content("f", "damaged");
	assert_content("f.corrupt", "older");
	fail_at("fsync", 1, EIO);
	assert_int_equal(file_set_aside(path_of("f"), &e), -EIO);
	fixture_write("f", "again");
	assert_int_equal(file_set_aside(path_of("f"), &e), 0);
	assert_content("f.corrupt", "again");
	assert_false(fixture_exists("f"));
}

static void
linked_aside(void **state)
{
	static const struct {
		const char *what, *call;
		int error, rc;
		bool stays, kept;
	} rows[] = {
	    {"nothing fails", "rename", 0, 0, true, true},
	    {"an older one that stays", "unlink", EACCES, -EACCES, true, false},
	    {"the disk", "link", EIO, -EIO, true, false},
	    {"no links here", "link", EPERM, 0, false, true},
	    {"none of that kind", "link", EOPNOTSUPP, 0, false, true},
	    {"too many links", "link", EMLINK, 0, false, true},
	    {"the folder", "fsync", EIO, -EIO, true, true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err e = ERR_NONE;
		ino_t inode;

		print_message("  %s\n", rows[i].what);
		remove(fixture_path("f.corrupt"));
		fixture_write("f", "damaged");
		fixture_write("f.corrupt", "older");
		inode = inode_of("f");
		if (rows[i].error)
			fail_at(rows[i].call, 1, rows[i].error);
		assert_int_equal(file_link_aside(path_of("f"), &e), rows[i].rc);
		assert_int_equal(fixture_exists("f"), rows[i].stays);
		if (rows[i].kept)
			assert_int_equal(inode_of("f.corrupt"), inode);
		if (rows[i].stays)
			assert_content("f", "damaged");
	}
	remove(fixture_path("f"));
	assert_int_equal(file_link_aside(path_of("f"), NULL), -ENOENT);
}

/* --- folders ------------------------------------------------------------------------------------------------------ */

static void
no_folder(void **state)
{
	struct err e = ERR_NONE;
	char longest[PATH_MAX + 1];

	(void)state;
	fixture_write("f", "x");
	assert_int_equal(file_make_dir(path_of("f"), 0700, &e), -ENOTDIR);
	assert_non_null(strstr(e.text, "/f: Not a directory"));
	assert_int_equal(file_make_dir(path_of("f/a"), 0700, &e), -ENOTDIR);
	assert_int_equal(symlink("none", fixture_path("nowhere")), 0);
	assert_int_equal(file_make_dir(path_of("nowhere"), 0700, &e), -ENOENT);
	assert_int_equal(file_make_dir("", 0700, &e), -ENAMETOOLONG);
	memset(longest, 'x', PATH_MAX);
	longest[PATH_MAX] = '\0';
	assert_int_equal(file_make_dir(longest, 0700, &e), -ENAMETOOLONG);
	fail_at("mkdir", 4, EROFS); /* after the three folders above it */
	assert_int_equal(file_make_dir(path_of("a/b"), 0700, &e), -EROFS);
}

static void
folder_with_parents(void **state)
{
	struct err e = ERR_NONE;
	mode_t mask = umask(0022);

	(void)state;
	assert_int_equal(file_make_dir(path_of("a/b//c"), 0700, &e), 0);
	assert_int_equal(mode_of("a"), 0755);
	assert_int_equal(mode_of("a/b"), 0755);
	assert_int_equal(mode_of("a/b/c"), 0700);
	/* one that exists is left as it is */
	assert_int_equal(file_make_dir(path_of("a/b"), 0700, &e), 0);
	assert_int_equal(mode_of("a/b"), 0755);
	/* the last folder is no parent because a slash follows it */
	assert_int_equal(file_make_dir(path_of("d//"), 0700, &e), 0);
	assert_int_equal(mode_of("d"), 0700);
	assert_int_equal(symlink("a", fixture_path("link")), 0);
	assert_int_equal(file_make_dir(path_of("link"), 0700, &e), 0);
	assert_int_equal(file_make_dir("/", 0700, &e), 0);
	umask(mask);
}

static void
folder_is_synced(void **state)
{
	struct err e = ERR_NONE;
	char longest[PATH_MAX + 3];

	(void)state;
	assert_int_equal(file_sync_parent("no-slash", &e), 0);
	assert_int_equal(file_sync_parent("/of-the-root", &e), 0);
	assert_int_equal(file_sync_parent(path_of("x"), &e), 0);
	assert_int_equal(file_sync_parent(path_of("none/x"), &e), -ENOENT);
	fixture_write("f", "x");
	assert_int_equal(file_sync_parent(path_of("f/x"), &e), -ENOTDIR);
	memset(longest, 'x', sizeof(longest));
	longest[PATH_MAX] = '/';
	longest[PATH_MAX + 1] = '\0';
	assert_int_equal(file_sync_parent(longest, &e), -ENAMETOOLONG);
}

#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    IN_A_FOLDER(not_read),
	    IN_A_FOLDER(read_in_full),
	    IN_A_FOLDER(reading_fails),
	    IN_A_FOLDER(descriptor_stays_the_callers),
	    IN_A_FOLDER(replacing_fails),
	    IN_A_FOLDER(dying_leaves_old_or_new),
	    IN_A_FOLDER(in_the_way_of_replacing),
	    IN_A_FOLDER(links_are_not_followed),
	    IN_A_FOLDER(replaced_at_once),
	    IN_A_FOLDER(everything_is_written),
	    IN_A_FOLDER(removed),
	    IN_A_FOLDER(set_aside),
	    IN_A_FOLDER(linked_aside),
	    IN_A_FOLDER(no_folder),
	    IN_A_FOLDER(folder_with_parents),
	    IN_A_FOLDER(folder_is_synced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
