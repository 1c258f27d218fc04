#include "agent/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"

/* The headers of Debian 12 end with the third version of these. */
enum { FS_RIGHTS_1 = 13, NET_BIND_TCP = 1 << 0, NET_CONNECT_TCP = 1 << 1, SCOPE_ALL = 3 };

struct rules {
	uint64_t fs, net, scoped; /* as the kernel takes them */
};

enum {
	READING = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
	FILES_ONLY = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE,
};

/* Everything that this kernel can take away. The version is at least 1. */
static struct rules
all_rules(long version, bool connect)
{
	static const int files[] = {FS_RIGHTS_1, FS_RIGHTS_1 + 1, FS_RIGHTS_1 + 2, FS_RIGHTS_1 + 2, FS_RIGHTS_1 + 3};
	size_t last = sizeof(files) / sizeof(files[0]) - 1;
	size_t known = (size_t)version - 1 < last ? (size_t)version - 1 : last;

	return (struct rules){
	    .fs = (UINT64_C(1) << files[known]) - 1,
	    .net = version < 4 ? 0
		   : connect   ? NET_BIND_TCP
			       : NET_BIND_TCP | NET_CONNECT_TCP,
	    .scoped = version < 6 ? 0 : SCOPE_ALL,
	};
}

/* A path that does not exist gives no right, and is no error. */
static int
allow(int ruleset, const char *path, uint64_t rights, struct err *e)
{
	struct landlock_path_beneath_attr rule = {.allowed_access = rights};
	struct stat st;
	int rc = 0;

	rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (rule.parent_fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : err_sys(e, -errno, "%s", path);
	if (fstat(rule.parent_fd, &st))
		rc = -errno;
	if (!rc && !S_ISDIR(st.st_mode))
		rule.allowed_access &= FILES_ONLY;
	if (!rc && syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0))
		rc = -errno;
	close(rule.parent_fd);
	return rc ? err_sys(e, rc, "Landlock: %s", path) : 0;
}

int
landlock_rules(const char *const *readable, bool connect, int *ruleset, struct err *e)
{
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct rules all;
	int fd, rc;

	if (version < 1)
		return err_set(e, -EOPNOTSUPP, "this kernel has no Landlock");
	all = all_rules(version, connect);
	fd = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof(all), 0);
	if (fd < 0)
		return err_sys(e, -errno, "Landlock");
	rc = allow(fd, "/dev/null", LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE, e);
	for (; !rc && *readable; readable++)
		rc = allow(fd, *readable, READING, e);
	if (rc) {
		close(fd);
		return rc;
	}
	*ruleset = fd;
	return 0;
}

int
landlock_enter(int ruleset)
{
	return syscall(SYS_landlock_restrict_self, ruleset, 0) ? -errno : 0;
}
