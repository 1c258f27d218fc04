#include "test/fault/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Small numbers: an install touches a handful of files, and flushes each at once. */
enum {
	FILES = 256,        /* made during one log */
	NAMES = 64,         /* in the folder at one time */
	PENDING = 64,       /* changes of names not flushed */
	SUBSETS = 5,        /* so many pending changes are there or not in every combination; more, one missing */
	DIRTY = 2,          /* so many unflushed files vary by themselves; more, all alike */
	OPS = 1024,         /* in one log */
	FILE_MAX = 4 << 20, /* largest file */
};

/* What of a file's unflushed bytes is on the disk. */
enum variant { NO_BYTES, ALL_BYTES, FIRST_HALF, FIRST_HALF_SIZED, LAST_HALF, NULL_BYTES, VARIANTS };

struct bytes {
	uint8_t *p; /* owned */
	size_t len;
};

struct op {
	enum disk_kind kind;
	char name[DISK_NAME], to[DISK_NAME];
	uint64_t at;
	struct bytes data;
	unsigned phase; /* when it was done */
};

struct disk_log {
	char folder[4096];
	const volatile unsigned *phase;
	struct op *ops;
	size_t count, base; /* `base` of them make the folder as it was at first */
};

/* One state: names and contents, borrowed from the pool of contents. */
struct name {
	char name[DISK_NAME];
	int file; /* -1: free */
};

struct file {
	struct bytes stable, now;
};

/* A change of a name: it is `file` now, or none (-1). A rename is two changes that come together. */
struct pending {
	struct {
		char name[DISK_NAME];
		int file;
	} set[2];
	int sets;
};

struct disk {
	struct file files[FILES];
	int file_count;
	struct name stable[NAMES], now[NAMES];
	struct pending pending[PENDING];
	int pending_count;
};

struct snapshot {
	struct disk_state_facts facts;
	uint64_t hash;
	int count;
	struct {
		char name[DISK_NAME];
		struct bytes data;
	} * files; /* owned */
};

struct disk_states {
	struct snapshot *list;
	size_t count, room;
};

static void
die(const char *what)
{
	fprintf(stderr, "disk model: %s\n", what);
	abort();
}

static void *
must(void *p)
{
	if (!p)
		die("no memory");
	return p;
}

static struct bytes
bytes_copy(const struct bytes *b)
{
	struct bytes out = {.p = must(malloc(b->len + 1)), .len = b->len};

	memcpy(out.p, b->len ? b->p : out.p, b->len);
	return out;
}

static void
bytes_set(struct bytes *b, const struct bytes *from)
{
	struct bytes copy = bytes_copy(from);

	free(b->p);
	*b = copy;
}

static void
bytes_resize(struct bytes *b, size_t len)
{
	if (len > FILE_MAX)
		die("a file grows beyond all bounds");
	b->p = must(realloc(b->p, len + 1));
	if (len > b->len)
		memset(b->p + b->len, 0, len - b->len);
	b->len = len;
}

static bool
bytes_equal(const struct bytes *a, const struct bytes *b)
{
	return a->len == b->len && (!a->len || !memcmp(a->p, b->p, a->len));
}

/* --- the log ------------------------------------------------------------------------------------------------------ */

void
disk_note(struct disk_log *l, enum disk_kind kind, const char *name, const char *to, uint64_t at, const void *data,
	  size_t len)
{
	struct op *op = &l->ops[l->count];

	if (l->count == OPS)
		die("more changes than the log takes");
	*op = (struct op){.kind = kind, .at = at, .phase = l->phase ? *l->phase : 0};
	snprintf(op->name, sizeof(op->name), "%s", name);
	snprintf(op->to, sizeof(op->to), "%s", to ? to : "");
	op->data = bytes_copy(&(struct bytes){.p = (uint8_t *)(uintptr_t)data, .len = len});
	l->count++;
}

static int
read_whole(const char *path, struct bytes *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	ssize_t n = -1;

	if (fd >= 0 && !fstat(fd, &st) && st.st_size <= FILE_MAX) {
		out->p = must(malloc((size_t)st.st_size + 1));
		n = read(fd, out->p, (size_t)st.st_size);
		out->len = n < 0 ? 0 : (size_t)n;
	}
	if (fd >= 0)
		close(fd);
	return n < 0 ? -EIO : 0;
}

static int
note_file(struct disk_log *l, const char *path, const char *name)
{
	struct bytes b = {.p = NULL};
	int rc = read_whole(path, &b);

	if (!rc) {
		disk_note(l, DISK_CREATE, name, NULL, 0, NULL, 0);
		disk_note(l, DISK_WRITE, name, NULL, 0, b.p, b.len);
		disk_note(l, DISK_SYNC, name, NULL, 0, NULL, 0);
	}
	free(b.p);
	return rc;
}

static int
note_folder(struct disk_log *l, const char *folder, const char *prefix)
{
	DIR *d = opendir(folder);
	struct dirent *e;
	int rc = 0;

	if (!d)
		return -errno;
	while (!rc && (e = readdir(d))) {
		char path[8192], name[512];

		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
		snprintf(name, sizeof(name), "%s%s", prefix, e->d_name);
		if (e->d_type == DT_REG)
			rc = note_file(l, path, name);
		else if (e->d_type == DT_DIR && !*prefix) {
			strcat(name, "/");
			rc = note_folder(l, path, name);
			name[strlen(name) - 1] = '\0';
			disk_note(l, DISK_SYNC_FOLDER, name, NULL, 0, NULL, 0);
		}
	}
	closedir(d);
	return rc;
}

struct disk_log *
disk_log_new(const char *folder, const volatile unsigned *phase)
{
	struct disk_log *l = must(calloc(1, sizeof(*l)));

	l->ops = must(calloc(OPS, sizeof(*l->ops)));
	l->phase = phase;
	snprintf(l->folder, sizeof(l->folder), "%s", folder);
	if (note_folder(l, folder, "")) {
		disk_log_free(l);
		return NULL;
	}
	disk_note(l, DISK_SYNC_FOLDER, "", NULL, 0, NULL, 0);
	l->base = l->count;
	return l;
}

void
disk_log_free(struct disk_log *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < l->count; i++)
		free(l->ops[i].data.p);
	free(l->ops);
	free(l);
}

size_t
disk_log_count(const struct disk_log *l)
{
	return l->count - l->base;
}

/* --- the model ---------------------------------------------------------------------------------------------------- */

static int
find(const struct name names[NAMES], const char *name)
{
	for (int i = 0; i < NAMES; i++) {
		if (names[i].file >= 0 && !strcmp(names[i].name, name))
			return i;
	}
	return -1;
}

static void
set_name(struct name names[NAMES], const char *name, int file)
{
	int i = find(names, name);

	for (int k = 0; i < 0 && k < NAMES; k++) {
		if (names[k].file < 0)
			i = k;
	}
	if (i < 0)
		die("more names than the model takes");
	snprintf(names[i].name, sizeof(names[i].name), "%s", name);
	names[i].file = file;
}

/* The folder a name is in: "" for the folder itself. */
static bool
is_in(const char *name, const char *folder)
{
	const char *slash = strchr(name, '/');
	size_t n = slash ? (size_t)(slash - name) : 0;

	return strlen(folder) == n && !strncmp(name, folder, n);
}

static struct pending *
pend(struct disk *d, const char *name, int file)
{
	struct pending *p = &d->pending[d->pending_count];

	if (d->pending_count == PENDING)
		die("more unflushed names than the model takes");
	*p = (struct pending){.sets = 1};
	snprintf(p->set[0].name, sizeof(p->set[0].name), "%s", name);
	p->set[0].file = file;
	d->pending_count++;
	set_name(d->now, name, file);
	return p;
}

static void
sync_folder(struct disk *d, const char *folder)
{
	int kept = 0;

	for (int i = 0; i < d->pending_count; i++) {
		struct pending *p = &d->pending[i];

		if (!is_in(p->set[0].name, folder)) {
			d->pending[kept++] = *p;
			continue;
		}
		for (int k = 0; k < p->sets; k++)
			set_name(d->stable, p->set[k].name, p->set[k].file);
	}
	d->pending_count = kept;
}

static int
file_of(const struct disk *d, const char *name)
{
	int i = find(d->now, name);

	return i < 0 ? -1 : d->now[i].file;
}

static void
rename_file(struct disk *d, const struct op *op)
{
	int file = file_of(d, op->name);
	struct pending *p;

	if (file < 0)
		die("a rename of a file that is not there");
	p = pend(d, op->to, file);
	p->sets = 2;
	snprintf(p->set[1].name, sizeof(p->set[1].name), "%s", op->name);
	p->set[1].file = -1;
	set_name(d->now, op->name, -1);
}

static void
write_file(struct file *f, const struct op *op)
{
	if (op->kind == DISK_SIZE) {
		bytes_resize(&f->now, op->at);
		return;
	}
	if (op->at + op->data.len > f->now.len)
		bytes_resize(&f->now, op->at + op->data.len);
	memcpy(f->now.p + op->at, op->data.p, op->data.len);
}

static void
do_op(struct disk *d, const struct op *op)
{
	int file = file_of(d, op->name);

	switch (op->kind) {
	case DISK_CREATE:
		if (d->file_count == FILES)
			die("more files than the model takes");
		pend(d, op->name, d->file_count++);
		return;
	case DISK_WRITE:
	case DISK_SIZE:
		if (file >= 0) /* what is written to a file without a name is lost either way */
			write_file(&d->files[file], op);
		return;
	case DISK_SYNC:
		if (file >= 0)
			bytes_set(&d->files[file].stable, &d->files[file].now);
		return;
	case DISK_SYNC_FOLDER:
		sync_folder(d, op->name);
		return;
	case DISK_RENAME:
		rename_file(d, op);
		return;
	case DISK_UNLINK:
		pend(d, op->name, -1);
		return;
	case DISK_LINK:
		pend(d, op->to, file);
		return;
	}
}

static void
disk_clear(struct disk *d)
{
	for (int i = 0; i < FILES; i++) {
		free(d->files[i].stable.p);
		free(d->files[i].now.p);
	}
	memset(d, 0, sizeof(*d));
	for (int i = 0; i < NAMES; i++)
		d->stable[i].file = d->now[i].file = -1;
}

/* --- what may be left --------------------------------------------------------------------------------------------- */

static bool
sector_differs(const struct file *f, size_t at)
{
	size_t n = f->now.len - at < DISK_SECTOR ? f->now.len - at : DISK_SECTOR;

	return at + n > f->stable.len || memcmp(f->now.p + at, f->stable.p + at, n) != 0;
}

/* The sectors of `now` that differ from what was flushed, numbered; `from` up to before `to` are on the disk. `sized`:
 * the file has its new length already, what is not on the disk reads as zeros. */
static struct bytes
torn(const struct file *f, size_t from, size_t to, bool sized)
{
	struct bytes out = bytes_copy(&f->stable);
	size_t number = 0;

	if (sized)
		bytes_resize(&out, f->now.len);
	for (size_t at = 0; at < f->now.len; at += DISK_SECTOR) {
		size_t n = f->now.len - at < DISK_SECTOR ? f->now.len - at : DISK_SECTOR;

		if (!sector_differs(f, at))
			continue;
		if (number >= from && number < to) {
			if (at + n > out.len)
				bytes_resize(&out, at + n);
			memcpy(out.p + at, f->now.p + at, n);
		}
		number++;
	}
	return out;
}

static struct bytes
vary(const struct file *f, enum variant v)
{
	size_t differ = 0;

	for (size_t at = 0; at < f->now.len; at += DISK_SECTOR)
		differ += sector_differs(f, at);
	switch (v) {
	case NO_BYTES:
		return bytes_copy(&f->stable);
	case FIRST_HALF:
		return torn(f, 0, (differ + 1) / 2, false);
	case FIRST_HALF_SIZED:
		return torn(f, 0, differ / 2, true);
	case LAST_HALF:
		return torn(f, differ / 2, differ, true);
	case NULL_BYTES:
		return torn(f, 0, 0, true);
	default:
		return bytes_copy(&f->now);
	}
}

static uint64_t
mix(uint64_t h, const void *p, size_t len)
{
	const uint8_t *b = p;

	for (size_t i = 0; i < len; i++)
		h = (h ^ b[i]) * UINT64_C(1099511628211);
	return (h ^ len) * UINT64_C(1099511628211);
}

static void
snapshot_clear(struct snapshot *s)
{
	for (int i = 0; i < s->count; i++)
		free(s->files[i].data.p);
	free(s->files);
}

static bool
snapshot_equal(const struct snapshot *a, const struct snapshot *b)
{
	if (a->hash != b->hash || a->count != b->count || a->facts.phase != b->facts.phase)
		return false;
	for (int i = 0; i < a->count; i++) {
		if (strcmp(a->files[i].name, b->files[i].name) || !bytes_equal(&a->files[i].data, &b->files[i].data))
			return false;
	}
	return true;
}

/* Keeps it unless there is the same already: takes what it owns. */
static void
keep(struct disk_states *all, struct snapshot *s)
{
	for (size_t i = 0; i < all->count; i++) {
		if (snapshot_equal(&all->list[i], s)) {
			snapshot_clear(s);
			return;
		}
	}
	if (all->count == all->room) {
		all->room = all->room ? 2 * all->room : 256;
		all->list = must(realloc(all->list, all->room * sizeof(*all->list)));
	}
	all->list[all->count++] = *s;
}

static int
by_name(const void *a, const void *b)
{
	const struct name *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* How one state differs from what the program saw. */
struct choice {
	unsigned present; /* bits: pending names that are on the disk */
	int dirty[NAMES]; /* files with unflushed bytes */
	int dirty_count;
	enum variant variant[NAMES]; /* of each of them */
};

static struct bytes
content(const struct disk *d, const struct choice *c, int file)
{
	for (int i = 0; i < c->dirty_count; i++) {
		if (c->dirty[i] == file)
			return vary(&d->files[file], c->variant[i]);
	}
	return bytes_copy(&d->files[file].now);
}

static void
names_on_disk(const struct disk *d, unsigned present, struct name names[NAMES])
{
	memcpy(names, d->stable, sizeof(d->stable));
	for (int i = 0; i < d->pending_count; i++) {
		const struct pending *p = &d->pending[i];

		for (int k = 0; present >> i & 1 && k < p->sets; k++)
			set_name(names, p->set[k].name, p->set[k].file);
	}
}

static void
take_snapshot(struct disk_states *all, const struct disk *d, const struct choice *c, const char *where, unsigned phase)
{
	struct snapshot s = {.facts = {.phase = phase}, .hash = UINT64_C(14695981039346656037)};
	struct name names[NAMES];
	int used;

	names_on_disk(d, c->present, names);
	for (int i = 0; i < NAMES; i++) {
		if (names[i].file >= 0)
			names[s.count++] = names[i];
	}
	qsort(names, (size_t)s.count, sizeof(names[0]), by_name);
	s.files = must(calloc((size_t)s.count + 1, sizeof(*s.files)));
	for (int i = 0; i < s.count; i++) {
		memcpy(s.files[i].name, names[i].name, sizeof(s.files[i].name));
		s.files[i].data = content(d, c, names[i].file);
		s.hash = mix(s.hash, names[i].name, strlen(names[i].name));
		s.hash = mix(s.hash, s.files[i].data.p, s.files[i].data.len);
	}
	used = snprintf(s.facts.where, sizeof(s.facts.where), "%s; names 0x%x of %d, bytes", where, c->present,
			d->pending_count);
	for (int i = 0; i < c->dirty_count && used > 0 && (size_t)used < sizeof(s.facts.where) - 4; i++)
		used += snprintf(s.facts.where + used, sizeof(s.facts.where) - (size_t)used, " %d", c->variant[i]);
	keep(all, &s);
}

/* Which bytes are there, for one choice of names. */
static void
vary_bytes(struct disk_states *all, const struct disk *d, struct choice *c, const char *where, unsigned phase)
{
	int turns = 1, alike = c->dirty_count > DIRTY;

	for (int i = 0; i < c->dirty_count && (!alike || !i); i++)
		turns *= VARIANTS;
	for (int turn = 0; turn < turns; turn++) {
		for (int i = 0, left = turn; i < c->dirty_count; i++, left = alike ? left : left / VARIANTS)
			c->variant[i] = (enum variant)(left % VARIANTS);
		take_snapshot(all, d, c, where, phase);
	}
}

static void
vary_names(struct disk_states *all, const struct disk *d, const char *where, unsigned phase)
{
	struct choice c = {.dirty_count = 0};
	int n = d->pending_count;
	unsigned every = n ? ~0U >> (32 - n) : 0;

	if (n > 31)
		die("more unflushed names than can be varied");
	for (int i = 0; i < d->file_count && c.dirty_count < NAMES; i++) {
		if (!bytes_equal(&d->files[i].stable, &d->files[i].now))
			c.dirty[c.dirty_count++] = i;
	}
	if (n <= SUBSETS) {
		for (c.present = 0; c.present <= every; c.present++)
			vary_bytes(all, d, &c, where, phase);
		return;
	}
	for (int i = 0; i <= n; i++) { /* the first so many; all but one */
		c.present = i ? every >> (n - i) : 0;
		vary_bytes(all, d, &c, where, phase);
		c.present = i < n ? every & ~(1U << i) : every;
		vary_bytes(all, d, &c, where, phase);
	}
}

struct disk_states *
disk_states_of(const struct disk_log *l)
{
	static const char *const kinds[] = {"create", "write", "size", "fsync", "fsync", "rename", "unlink", "link"};
	struct disk_states *all = must(calloc(1, sizeof(*all)));
	struct disk *d = must(calloc(1, sizeof(*d)));

	disk_clear(d);
	for (size_t i = 0; i < l->count; i++) {
		const struct op *op = &l->ops[i];
		char where[256];

		do_op(d, op);
		if (i < l->base)
			continue;
		snprintf(where, sizeof(where), "after change %zu, %s(%s%s%s)", i - l->base + 1, kinds[op->kind],
			 op->name, op->to[0] ? ", " : "", op->to);
		/* until the next change the program went on, up to the phase that one was done in */
		vary_names(all, d, where, i + 1 < l->count ? l->ops[i + 1].phase : l->phase ? *l->phase : 0);
	}
	disk_clear(d);
	free(d);
	return all;
}

void
disk_states_free(struct disk_states *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->count; i++)
		snapshot_clear(&s->list[i]);
	free(s->list);
	free(s);
}

size_t
disk_states_count(const struct disk_states *s)
{
	return s->count;
}

/* --- onto the disk ------------------------------------------------------------------------------------------------ */

static void
empty(const char *folder, bool deeper)
{
	DIR *d = opendir(folder);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		char path[8192];

		snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
		if (e->d_type == DT_REG)
			unlink(path);
		else if (e->d_type == DT_DIR && e->d_name[0] != '.' && deeper)
			empty(path, false);
	}
	if (d)
		closedir(d);
}

static int
put_file(const char *folder, const char *name, const struct bytes *b)
{
	char path[8192];
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "we");
	if (!f)
		return -errno;
	n = fwrite(b->p, 1, b->len, f);
	return fclose(f) || n != b->len ? -EIO : 0;
}

static int
copy_files(const char *from, const char *to, bool deeper)
{
	DIR *d = opendir(from);
	struct dirent *e;
	int rc = d ? 0 : -errno;

	while (!rc && d && (e = readdir(d))) {
		char path[8192], target[8192];
		struct bytes b = {.p = NULL};

		snprintf(path, sizeof(path), "%s/%s", from, e->d_name);
		snprintf(target, sizeof(target), "%s/%s", to, e->d_name);
		if (e->d_type == DT_REG) {
			rc = read_whole(path, &b);
			rc = rc ? rc : put_file(to, e->d_name, &b);
			free(b.p);
		} else if (e->d_type == DT_DIR && e->d_name[0] != '.' && deeper) {
			rc = mkdir(target, 0700) && errno != EEXIST ? -errno : copy_files(path, target, false);
		}
	}
	if (d)
		closedir(d);
	return rc;
}

int
disk_copy(const char *from, const char *to)
{
	empty(to, true);
	return copy_files(from, to, true);
}

int
disk_state_put(const struct disk_states *s, size_t i, const char *folder, struct disk_state_facts *out)
{
	const struct snapshot *one = &s->list[i];

	empty(folder, true);
	for (int k = 0; k < one->count; k++) {
		int rc = put_file(folder, one->files[k].name, &one->files[k].data);

		if (rc)
			return rc;
	}
	*out = one->facts;
	return 0;
}
