/* format: what an update package looks like, each value with its standing.
 *
 * [G] the vendor's guide to signed packages says so; [P] published elsewhere; [A] assumed here. What is assumed is
 * assumed in this file only. Package and object header count in little-endian order, everything under the signature
 * and the record in big-endian order.
 */
#ifndef PACKAGE_FORMAT_H
#define PACKAGE_FORMAT_H

/* A package file: its header, then per object a header and the data. [P] */
#define FORMAT_PACKAGE_MAGIC "PUTF"
enum {
	FORMAT_PACKAGE_HEADER = 64,
	FORMAT_PACKAGE_VERSION_AT = 4,
	FORMAT_PACKAGE_COUNT_AT = 12,
	FORMAT_PACKAGE_PAYLOAD_AT = 16, /* everything after this header */
	FORMAT_PACKAGE_SIZE_AT = 20,    /* the header's own size */
	FORMAT_PACKAGE_TIME_AT = 24,    /* yyyymmddHHMM */
	FORMAT_PACKAGE_ZEROS_AT = 36,
	FORMAT_PACKAGE_CRC_AT = 60, /* over all before it and four more bytes */
	FORMAT_VERSION_BYTES = 8,
	FORMAT_TIME_BYTES = 12,
	FORMAT_OBJECTS_MAX = 64,
};
#define FORMAT_PACKAGE_CRC_TAIL "B1gS"

enum {
	FORMAT_OBJECT_HEADER = 128,
	FORMAT_TYPE_BYTES = 4,
	FORMAT_NAME_AT = 4,
	FORMAT_NAME_BYTES = 20,
	FORMAT_FLAGS_AT = 44,
	FORMAT_LENGTH_AT = 48,
	FORMAT_OBJECT_SIZE_AT = 52,
	FORMAT_OS_VERSION_AT = 56, /* a hint in ASCII, compared with nothing */
	FORMAT_DATA_CRC_AT = 120,
	FORMAT_OBJECT_CRC_AT = 124, /* over all before it and four more bytes */
};
#define FORMAT_OBJECT_CRC_TAIL "H1dN" /* [A] unconfirmed: a wrong sum is a warning, not a refusal */

/* The code-signing record, after raw bytes and signature. [G] but for its place, which is assumed. */
#define FORMAT_RECORD_MAGIC "TNTF"
enum {
	FORMAT_RECORD = 16,
	FORMAT_RECORD_VERSION_AT = 4, /* 01 00 */
	FORMAT_RECORD_CMS_AT = 6,     /* length of the signature; then 8 bytes we ignore [A] */
	FORMAT_RECORD_VERSION = 0x0100,
};

/* The inner header, the first of the raw bytes and so under the signature. [A] */
#define FORMAT_INNER_MAGIC "FOBJ"
enum {
	FORMAT_INNER =
	    33, /* magic, u8 1, type[4], u16 sub-id, u16 major, u32 minor, u64 built, u32 os build, u32 length */
	FORMAT_INNER_FORMAT = 1,
	FORMAT_MINOR_MAX = 99999, /* versions are shown with five digits after the point [G] */
};

/* A payload that begins like a zlib stream (RFC 1950: deflate, 32 KiB window, header check) is one. [A] */
enum { FORMAT_ZLIB_FIRST = 0x78, FORMAT_ZLIB_CHECK = 31 };

/* Bounds. [A] */
enum {
	FORMAT_BYTES_MAX = 512 * 1024 * 1024, /* a package, and what one object unpacks to */
	FORMAT_SMALL_MAX = 1024 * 1024,       /* an object of a type that only holds a few records */
	FORMAT_ENGINE_MAX = 64 * 1024 * 1024,
	FORMAT_RATIO_MAX = 100, /* unpacked bytes for each packed one */
	FORMAT_CERTS_MAX = 4,
};

/* The security level of the machine, as its firmware may keep it: four bytes of attributes, then 0, 1 or 2. [A] */
#define FORMAT_LEVEL_VARIABLE "/sys/firmware/efi/efivars/FgfmSecurityLevel-6d8e6f4c-2f5b-4d7b-9b0e-0c1f7a3d5e21"

/* The deny-list's own object: a line of 64 hex digits for each key that signs no more. [A] */
#define FORMAT_DENY_TYPE "DENY"
#define FORMAT_DENY_NAME "denylist"

/* What is paid for, and until when: a line "NAME yyyymmdd" for each object. [A] */
#define FORMAT_CONTRACT_NAME "contract" /* [G] */

#endif
