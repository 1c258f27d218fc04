#include "base/clock.h"

#include <time.h>

/* Set by the Makefile (SOURCE_DATE_EPOCH where given, so that builds can be reproduced). */
#ifndef BUILD_EPOCH
#error "BUILD_EPOCH must be defined: seconds since 1970 of this build"
#endif

mono_t
clock_mono(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (mono_t){(int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000};
}

wall_t
clock_wall(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (wall_t){ts.tv_sec, (int32_t)ts.tv_nsec};
}

int64_t
clock_build_s(void)
{
	return (int64_t)BUILD_EPOCH;
}
