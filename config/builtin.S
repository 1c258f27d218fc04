/* builtin: the project's own schema files, as they are in etc/schema.d, in the order in which their tables are printed.
 * A table may refer to those of earlier files only. Declared in config/schema_private.h. */

#ifdef __LP64__
#define WORD .quad
#define SIZE 8
#else
#define WORD .long
#define SIZE 4
#endif

	/* Holds addresses: written once by the loader, read-only afterwards. */
	.section .data.rel.ro, "aw", %progbits
	.balign SIZE
	.globl schema_builtin
	.hidden schema_builtin
	.type schema_builtin, %object
schema_builtin:

	/* One row: name, text, size. */
	.macro schema_file name
	.pushsection .rodata
.Lname\@:
	.asciz "\name"
	.popsection
	.pushsection .rodata.schema, "a", %progbits
.Ltext\@:
	.incbin "etc/schema.d/\name"
.Lend\@:
	.popsection
	WORD .Lname\@, .Ltext\@, .Lend\@ - .Ltext\@
	.endm

	schema_file "10-system-global.json"
	schema_file "20-system-interface.json"
	schema_file "25-system-dns.json"
	schema_file "30-router-static.json"
	schema_file "31-router-static6.json"
	schema_file "35-system-admin.json"
	schema_file "40-system-central-management.json"
	schema_file "50-system-dm.json"
	schema_file "55-system-ntp.json"
	schema_file "60-system-autoupdate.json"
	schema_file "65-log-syslogd.json"
	schema_file "70-firewall-address.json"
	schema_file "71-firewall-addrgrp.json"
	schema_file "72-firewall-service.json"
	schema_file "73-firewall-policy.json"
	schema_file "90-agent.json"

.Lfiles_end:
	.size schema_builtin, . - schema_builtin

	.section .rodata
	.balign SIZE
	.globl schema_builtin_count
	.hidden schema_builtin_count
	.type schema_builtin_count, %object
	.size schema_builtin_count, SIZE
schema_builtin_count:
	WORD (.Lfiles_end - schema_builtin) / (3 * SIZE)

	.section .note.GNU-stack, "", %progbits
