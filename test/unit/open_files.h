/* open_files: how many descriptors this process has, for tests that look for one left behind.
 * Behind cmocka.h.
 */
#ifndef TEST_UNIT_OPEN_FILES_H
#define TEST_UNIT_OPEN_FILES_H

#include <dirent.h>

static inline int
open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

#endif
