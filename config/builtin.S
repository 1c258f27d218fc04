/* builtin: the project's own schema files, as they are in etc/schema.d, in the order in which their tables are printed.
 * Declared in config/schema_private.h. */

#ifdef __LP64__
#define WORD .quad
#define ALIGN 8
#else
#define WORD .long
#define ALIGN 4
#endif

	.section .rodata
.Lfiles:
	.incbin "etc/schema.d/10-system-global.json"
.Lfile1:
	.incbin "etc/schema.d/20-system-interface.json"
.Lfile2:
	.incbin "etc/schema.d/30-router-static.json"
.Lfile3:
	.incbin "etc/schema.d/40-system-central-management.json"
.Lfile4:
	.incbin "etc/schema.d/50-system-dm.json"
.Lfile5:
	.incbin "etc/schema.d/90-agent.json"
.Lfile6:
.Lname0:
	.asciz "10-system-global.json"
.Lname1:
	.asciz "20-system-interface.json"
.Lname2:
	.asciz "30-router-static.json"
.Lname3:
	.asciz "40-system-central-management.json"
.Lname4:
	.asciz "50-system-dm.json"
.Lname5:
	.asciz "90-agent.json"

	.balign ALIGN
	.globl schema_builtin_count
	.hidden schema_builtin_count
	.type schema_builtin_count, %object
	.size schema_builtin_count, ALIGN
schema_builtin_count:
	WORD 6

	/* Holds addresses: written once by the loader, read-only afterwards. */
	.section .data.rel.ro, "aw", %progbits
	.balign ALIGN
	.globl schema_builtin
	.hidden schema_builtin
	.type schema_builtin, %object
schema_builtin:
	WORD .Lname0, .Lfiles, .Lfile1 - .Lfiles
	WORD .Lname1, .Lfile1, .Lfile2 - .Lfile1
	WORD .Lname2, .Lfile2, .Lfile3 - .Lfile2
	WORD .Lname3, .Lfile3, .Lfile4 - .Lfile3
	WORD .Lname4, .Lfile4, .Lfile5 - .Lfile4
	WORD .Lname5, .Lfile5, .Lfile6 - .Lfile5
	.size schema_builtin, . - schema_builtin

	.section .note.GNU-stack, "", %progbits
