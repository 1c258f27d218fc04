#include "package/types.h"

#include <string.h>

#include "package/format.h"

enum { MAX = FORMAT_BYTES_MAX, SMALL = FORMAT_SMALL_MAX, ENGINE = FORMAT_ENGINE_MAX };

/* Ids, sub-ids, names [G]. Types [P], but for CNTR, ANPH and the deny-list's, which are assumed. Limits [A]. */
static const struct object_type types[] = {
    {"AVEN", 7, 28, "aven", true, ENGINE, "AV Engine"},
    {"AVDB", 2, 2, "virdb", true, MAX, "Virus Definitions"},
    {"ETDB", 2, 7, "etdb", true, MAX, "Extended set"},
    {"EXDB", 2, 4, "exdb", true, MAX, "Extreme set"},
    {"AVAI", 2, 19, "avai", true, MAX, "AI/Machine Learning Malware Detection Model"},
    {"FCNI", 9, 0, "fcni", false, SMALL, "FortiGuard servers"},
    {"CNTR", 10, 0, "contract", false, SMALL, "Contracts"},
    {"IDSE", 30, 78, "idsen", true, ENGINE, "IPS Attack Engine"},
    {"FLEN", 30, 50, "ipscfgscr", true, ENGINE, "IPS Config Script"},
    {"FLDB", 34, 2, "fldb", true, MAX, "Flow-based Virus Definitions"},
    {"NIDS", 4, 24, "idsdb", true, MAX, "Attack Definitions"},
    {"NIDS", 4, 26, "idsetdb", true, MAX, "Attack Extended Definitions"},
    {"IDSU", 5, 1, "idsurldb", true, MAX, "IPS Malicious URL Database"},
    {"APDB", 38, 1, "appdb", true, MAX, "Application Definitions"},
    {"ISDB", 39, 1, "isdb", true, MAX, "Industrial Attack Definitions"},
    {"IPGO", 28, 0, "geoip", false, MAX, "IP Geography DB"},
    {"FFDB", 31, 11, "ffdb_low", false, MAX, "Internet-service Low Database"},
    {"FFDB", 31, 9, "ffdb_med", false, MAX, "Internet-service Medium Database"},
    {"FFDB", 31, 10, "ffdb_high", false, MAX, "Internet-service Full Database"},
    {"UWDB", 32, 1, "uwdb", false, MAX, "URL Allow list"},
    {"CRDB", 33, 0, "certdb", false, MAX, "Certificate DB"},
    {"MMDB", 35, 1, "mmdb", true, MAX, "Mobile Malware Definitions"},
    {"DBDB", 36, 1, "dnsbot", false, MAX, "Botnet Domain Database"},
    {"SFAS", 40, 0, "sfas", false, MAX, "Security Rating Data Package"},
    {"MCDB", 42, 1, "mcdb", false, MAX, "Malicious Certificate DB"},
    {"ANPH", 49, 1, "anphipats", false, MAX, "Anti-Phish Pattern DB"},
    {FORMAT_DENY_TYPE, 250, 1, "denylist", true, SMALL, "Signers that sign no more"},
};

size_t
types_count(void)
{
	return sizeof(types) / sizeof(types[0]);
}

const struct object_type *
types_at(size_t i)
{
	return i < types_count() ? &types[i] : NULL;
}

const struct object_type *
types_find(const char type[4], uint16_t sub)
{
	for (size_t i = 0; i < types_count(); i++) {
		if (!memcmp(types[i].type, type, FORMAT_TYPE_BYTES) && types[i].sub == sub)
			return &types[i];
	}
	return NULL;
}

const struct object_type *
types_named(const char type[4], const void *name, size_t len)
{
	for (size_t i = 0; i < types_count(); i++) {
		if (!memcmp(types[i].type, type, FORMAT_TYPE_BYTES) && strlen(types[i].name) == len &&
		    !memcmp(types[i].name, name, len))
			return &types[i];
	}
	return NULL;
}
