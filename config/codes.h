/* codes: the return codes of the CLI, as FortiOS prints them. */
#ifndef CONFIG_CODES_H
#define CONFIG_CODES_H

enum cli_code {
	CLI_OK = 0,
	CLI_TOO_LONG = -1,
	CLI_NOT_FOUND = -3,
	CLI_CONFLICT = -7,
	CLI_BAD_ADDRESS = -8,
	CLI_DUPLICATE = -15,
	CLI_IN_USE = -23, /* used by others, or cannot be unset */
	CLI_DENIED = -37,
	CLI_REQUIRED = -56,
	CLI_PARSE = -61,
	CLI_REFUSED = -64, /* a package refused (packages.md) */
	CLI_INCOMPLETE = -160,
	CLI_INVALID = -651,
	CLI_FAILED = -1000, /* ours: the system refused a change; the reason line says why */
};

#endif
