#include "package/types.h"

#include <string.h>

#include "package/format.h"

enum { MAX = FORMAT_BYTES_MAX, SMALL = FORMAT_SMALL_MAX, ENGINE = FORMAT_ENGINE_MAX };

/* Ids, sub-ids, names [G]. Types [P], but for CNTR, ANPH and the deny-list's, which are assumed. Families and limits
 * [A]. */
static const struct object_type types[] = {
    {"AVEN", 7, 28, "aven", true, PKG_AV, ENGINE, "AV Engine"},
    {"AVDB", 2, 2, "virdb", true, PKG_AV, MAX, "Virus Definitions"},
    {"ETDB", 2, 7, "etdb", true, PKG_AV, MAX, "Extended set"},
    {"EXDB", 2, 4, "exdb", true, PKG_AV, MAX, "Extreme set"},
    {"AVAI", 2, 19, "avai", true, PKG_AV, MAX, "AI/Machine Learning Malware Detection Model"},
    {"FCNI", 9, 0, "fcni", false, PKG_OTHER, SMALL, "FortiGuard servers"},
    {"CNTR", 10, 0, FORMAT_CONTRACT_NAME, false, PKG_OTHER, SMALL, "Contracts"},
    {"IDSE", 30, 78, "idsen", true, PKG_IPS, ENGINE, "IPS Attack Engine"},
    {"FLEN", 30, 50, "ipscfgscr", true, PKG_IPS, ENGINE, "IPS Config Script"},
    {"FLDB", 34, 2, "fldb", true, PKG_AV, MAX, "Flow-based Virus Definitions"},
    {"NIDS", 4, 24, "idsdb", true, PKG_IPS, MAX, "Attack Definitions"},
    {"NIDS", 4, 26, "idsetdb", true, PKG_IPS, MAX, "Attack Extended Definitions"},
    {"IDSU", 5, 1, "idsurldb", true, PKG_IPS, MAX, "IPS Malicious URL Database"},
    {"APDB", 38, 1, "appdb", true, PKG_IPS, MAX, "Application Definitions"},
    {"ISDB", 39, 1, "isdb", true, PKG_IPS, MAX, "Industrial Attack Definitions"},
    {"IPGO", 28, 0, "geoip", false, PKG_OTHER, MAX, "IP Geography DB"},
    {"FFDB", 31, 11, "ffdb_low", false, PKG_OTHER, MAX, "Internet-service Low Database"},
    {"FFDB", 31, 9, "ffdb_med", false, PKG_OTHER, MAX, "Internet-service Medium Database"},
    {"FFDB", 31, 10, "ffdb_high", false, PKG_OTHER, MAX, "Internet-service Full Database"},
    {"UWDB", 32, 1, "uwdb", false, PKG_OTHER, MAX, "URL Allow list"},
    {"CRDB", 33, 0, "certdb", false, PKG_OTHER, MAX, "Certificate DB"},
    {"MMDB", 35, 1, "mmdb", true, PKG_AV, MAX, "Mobile Malware Definitions"},
    {"DBDB", 36, 1, "dnsbot", false, PKG_OTHER, MAX, "Botnet Domain Database"},
    {"SFAS", 40, 0, "sfas", false, PKG_OTHER, MAX, "Security Rating Data Package"},
    {"MCDB", 42, 1, "mcdb", false, PKG_OTHER, MAX, "Malicious Certificate DB"},
    {"ANPH", 49, 1, "anphipats", false, PKG_OTHER, MAX, "Anti-Phish Pattern DB"},
    {FORMAT_DENY_TYPE, 250, 1, FORMAT_DENY_NAME, true, PKG_OTHER, SMALL, "Signers that sign no more"},
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

size_t
types_index(const struct object_type *kind)
{
	return (size_t)(kind - types);
}

const struct object_type *
types_called(const char *name)
{
	for (size_t i = 0; i < types_count(); i++) {
		if (!strcmp(types[i].name, name))
			return &types[i];
	}
	return NULL;
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
