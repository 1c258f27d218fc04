/* profile: every wire value that nothing public states, in one place.
 *
 * Tags: [G] stated by the vendor's protocol guide, [O] observed by others and published, [A] assumed here. A real
 * capture that shows an [A] value to be different changes this file and nothing else. CONTRIBUTING says how to make
 * one.
 */
#ifndef AGENT_PROFILE_H
#define AGENT_PROFILE_H

/* --- transport ------------------------------------------------------------------------------------------------- */
#define PROFILE_PORT4 541 /* [G] */
#define PROFILE_PORT6 542 /* [O] */

/* --- frame ----------------------------------------------------------------------------------------------------- */
#define PROFILE_MAGIC_0 0x36                                    /* [O] */
#define PROFILE_MAGIC_1 0xe0                                    /* [O] */
#define PROFILE_VERSION 0x11                                    /* [O] */
#define PROFILE_TYPE_MESSAGE 0x00                               /* [O] */
#define PROFILE_TYPE_PACKET 0x01                                /* [A] an IP packet */
#define PROFILE_FRAME_HEADER 8                                  /* [O] bytes, counted in the length field */
#define PROFILE_FRAME_MIN 9                                     /* [A] */
#define PROFILE_FRAME_MAX (65536 + 4096 + PROFILE_FRAME_HEADER) /* [A] */

/* --- message bounds [A] ---------------------------------------------------------------------------------------- */
#define PROFILE_TEXT_MAX 16384
#define PROFILE_KEYS_MAX 128
#define PROFILE_KEY_MAX 64
#define PROFILE_VALUE_MAX 4096

/* --- verbs and requests ---------------------------------------------------------------------------------------- */
#define PROFILE_VERB_GET "get"              /* [O] */
#define PROFILE_VERB_REPLY "reply"          /* [O] */
#define PROFILE_VERB_KEEPALIVE "keepalive"  /* [O] */
#define PROFILE_VERB_CHANNEL "channel"      /* [O] */
#define PROFILE_GET_AUTH "auth"             /* [O] */
#define PROFILE_GET_IP "ip"                 /* [O] */
#define PROFILE_GET_REGISTER "dev_register" /* [A] */
#define PROFILE_GET_FILE "file_exchange"    /* [O] */
#define PROFILE_GET_TCP "connect_tcp"       /* [O] */

/* --- reply codes: 200 is observed, the others are assumed [A] --------------------------------------------------- */
#define PROFILE_OK 200        /* [O] */
#define PROFILE_MALFORMED 400 /* [A] */
#define PROFILE_NOT_AUTH 401  /* [A] */
#define PROFILE_FORBIDDEN 403 /* [A] */
#define PROFILE_UNKNOWN 404   /* [A] */
#define PROFILE_BUSY 409      /* [A] */
#define PROFILE_TOO_LARGE 413 /* [A] */
#define PROFILE_FAILED 500    /* [A] */

/* --- keys [A] where not part of an observed message -------------------------------------------------------------- */
#define PROFILE_KEY_REGISTER_PASSWORD "regist_passwd"              /* [A] */
#define PROFILE_KEY_REGISTER_SERIAL "fmg_serialno"                 /* [A] */
#define PROFILE_KEY_USER "user"                                    /* [O] of the auth reply; meaning [A] */
#define PROFILE_KEY_PASSWORD "passwd"                              /* [O] likewise */
#define PROFILE_REGISTERED "1"                                     /* [A] register_status of a registered device */
#define PROFILE_PROBE_YES "yes"                                    /* [G] value seen, meaning [A]: not registered yet */
#define PROFILE_PROBE_NO "no"                                      /* [A] */
#define PROFILE_MGMTID_NONE "00000000-0000-0000-0000-000000000000" /* [A] before the first one */

/* --- file exchange commands -------------------------------------------------------------------------------------- */
#define PROFILE_CMD_GET_CONFIG "get_config"             /* [O] */
#define PROFILE_CMD_PUT_CONFIG "put_config"             /* [O] name, form [A] */
#define PROFILE_CMD_GET_DIFF "get_config_diff"          /* [A] auto update: what has changed, as CLI text */
#define PROFILE_KEY_BASE "checksum"                     /* [A] … since the configuration with this checksum */
#define PROFILE_CMD_PUT_SCRIPT "put_script"             /* [A] */
#define PROFILE_CMD_PUT_JSON "put_json_cmd"             /* [O] name, form [A] */
#define PROFILE_CMD_INSTALL_RESULT "put_install_result" /* [A] */
#define PROFILE_SCRIPT_ID_MAX 48                        /* [A] characters of script_id */
#define PROFILE_JSON_MAX (1024 * 1024)                  /* [A] bytes of a JSON request */
#define PROFILE_JSON_PARAMS 100                         /* [A] operations of a JSON request */
#define PROFILE_DEFLATE_GZIP "gzip"                     /* [A] deflate= of an opening message */

/* --- identity example values of `get auth` [O] ------------------------------------------------------------------- */
#define PROFILE_MAXVDOM "2"
#define PROFILE_HARDDISK "yes"
#define PROFILE_HARDDISK_SIZE "0"     /* [A] */
#define PROFILE_LOGDISK_SIZE "0"      /* [A] */
#define PROFILE_NO_DATABASE "0.00000" /* [A] version of a database that is not installed */
#define PROFILE_BIOVER "04000002"
#define PROFILE_MGMT_MODE_NORMAL "normal"
#define PROFILE_ENC_FLAGS "0"
#define PROFILE_MGMT_PORT "443"

/* --- intervals: ranges observed [O], clamping ours ---------------------------------------------------------------- */
#define PROFILE_KEEPALIVE_S 120 /* [G] default */
#define PROFILE_KEEPALIVE_MIN_S 30
#define PROFILE_KEEPALIVE_MAX_S 600
#define PROFILE_SOCK_TIMEOUT_S 360 /* [G] default */
#define PROFILE_SOCK_TIMEOUT_MIN_S 90
#define PROFILE_SOCK_TIMEOUT_MAX_S 1800
#define PROFILE_WINDOW 32768     /* [O] default */
#define PROFILE_WINDOW_MIN 4096  /* [A] */
#define PROFILE_WINDOW_MAX 65536 /* [A] */

/* --- time-outs [A] --------------------------------------------------------------------------------------------------
 */
#define PROFILE_CONNECT_MS (30 * 1000)
#define PROFILE_HANDSHAKE_MS (60 * 1000)
#define PROFILE_CALL_MS (30 * 1000) /* for a manager that has opened the connection to prove who it is */
#define PROFILE_REPLY_MS (60 * 1000)
#define PROFILE_RESULT_MS (5 * 1000)         /* a result that makes no progress on the old session is given up */
#define PROFILE_REGISTER_MS (10 * 60 * 1000) /* how long register-device admits its serial */

/* --- channels -------------------------------------------------------------------------------------------------------
 */
#define PROFILE_CHANNELS_MAX 16   /* [A] */
#define PROFILE_CHANNEL_DATA 8192 /* bytes in one of our channel messages; any size is accepted up to the frame's */
#define PROFILE_STREAM_DIGITS 8   /* of a stream's decimal length: more than any bound needs */

/* --- passive mode ---------------------------------------------------------------------------------------------------
 */
#define PROFILE_NOTICE_PORT 9443 /* [G] UDP */
#define PROFILE_NOTICE_MAX 2048  /* [A] bytes of a notice; it is a keep-alive's text, without a frame */
#define PROFILE_UPDATE_INTERVAL_MS (60 * 60 * 1000)
#define PROFILE_UPDATE_JITTER_MS (5 * 60 * 1000)

/* --- fetching packages [A]: a GET that says what is here; 200 and a package, or 204: nothing is newer ----------------
 */
#define PROFILE_FETCH_PATH "/fdsupdate"
#define PROFILE_FETCH_SERIAL "serial"
#define PROFILE_FETCH_OS "os_ver"
#define PROFILE_FETCH_BUILD "build"
#define PROFILE_FETCH_AV "avdb" /* as in a keep-alive */
#define PROFILE_FETCH_IPS "ipsdb"

/* --- tunnel ---------------------------------------------------------------------------------------------------------
 */
#define PROFILE_TUNNEL_MTU 1500 /* [A] bytes of an inner packet */

#endif
