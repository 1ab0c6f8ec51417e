/* metronome.c - a source in C: an event for each beat, at event times that are a fixed step apart.
 *
 * It shows what a plugin in C does: a descriptor with its schema, settings read by pointer, fields by
 * key, errors with a text, and a state from which the next run goes on. It never waits: the engine
 * asks for beats only when it has room, and holds those back whose time has not come. */
#include "engine_plugin.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct metronome {
  const ep_host *host;
  ep_ctx *ctx;
  ep_key event_type_key, time_key, beat_key;
  ep_str event_type; /* the host's; valid until destroy */
  int64_t every_ms;
  int64_t count;     /* 0: for ever */
  int64_t next;      /* the beat that comes next, from 0 */
  int64_t start_ms;  /* the time of beat 0 */
  int is_restored;
} metronome;

static ep_status fail(const metronome *m, ep_status status, const char *text, size_t len) {
  ep_str message = {text, len};
  m->host->set_error(m->ctx, message);
  return status;
}
#define FAIL(m, status, literal) fail(m, status, literal, sizeof(literal) - 1)

static ep_value setting(const metronome *m, ep_str pointer) {
  ep_value value;
  m->host->setting(m->ctx, pointer, &value);
  return value;
}

/* The host has held the settings against the schema below, and has filled in what it has defaults
 * for. What is checked here is what C needs: that a union holds what it is read as. */
static ep_status create(const ep_host *host, ep_ctx *ctx, ep_str config_json, void **self) {
  (void)config_json; /* `setting` is easier without a JSON parser */
  metronome *m = calloc(1, sizeof *m);
  if (m == NULL) return EP_E_FATAL;
  m->host = host;
  m->ctx = ctx;
  m->event_type_key = host->key(ctx, (ep_str)EP_STR("event_type"));
  m->time_key = host->key(ctx, (ep_str)EP_STR("ingest_timestamp"));
  m->beat_key = host->key(ctx, (ep_str)EP_STR("payload.beat"));
  ep_value every = setting(m, (ep_str)EP_STR("/every_ms"));
  ep_value count = setting(m, (ep_str)EP_STR("/count"));
  ep_value type = setting(m, (ep_str)EP_STR("/event_type"));
  if (every.tag != EP_I64 || every.u.i < 1 || count.tag != EP_I64 || count.u.i < 0 ||
      type.tag != EP_STRING || type.u.s.len == 0) {
    ep_status status = FAIL(m, EP_E_CONFIG, "`every_ms`, `count` or `event_type` does not fit");
    free(m); /* after an error there is no destroy */
    return status;
  }
  m->every_ms = every.u.i;
  m->count = count.u.i;
  m->event_type = type.u.s;
  *self = m;
  return EP_OK;
}

/* A run that goes on from a state has the time of its first beat from there. */
static ep_status start(void *self) {
  metronome *m = self;
  if (!m->is_restored) m->start_ms = m->host->now(m->ctx);
  return EP_OK;
}

static void destroy(void *self) { free(self); }

static ep_value text(ep_str s) {
  ep_value value = {EP_STRING, 0, {0}};
  value.u.s = s;
  return value;
}

static ep_value number(ep_tag tag, int64_t i) {
  ep_value value = {tag, 0, {0}};
  value.u.i = i;
  return value;
}

static int has_ended(const metronome *m) {
  return (m->count > 0 && m->next >= m->count) ||
         m->next >= (INT64_MAX - m->start_ms) / m->every_ms; /* the end of time */
}

static ep_status poll(void *self, ep_batch *out, size_t max, uint32_t timeout_ms, uint64_t *token) {
  metronome *m = self;
  const ep_host *host = m->host;
  (void)timeout_ms; /* there is always something */
  if (has_ended(m)) return EP_END;
  for (size_t beats = 0; beats < max && !has_ended(m); beats++) {
    ep_value type = text(m->event_type);
    ep_value time = number(EP_TIME, m->start_ms + m->next * m->every_ms);
    ep_value beat = number(EP_I64, m->next);
    size_t row = host->push_row(out, NULL, 0);
    if (row == EP_NO_ROW) break;
    if (host->set(out, row, m->event_type_key, &type) != EP_OK ||
        host->set(out, row, m->time_key, &time) != EP_OK ||
        host->set(out, row, m->beat_key, &beat) != EP_OK)
      return FAIL(m, EP_E_FATAL, "the engine does not take a beat");
    m->next++;
  }
  *token = (uint64_t)m->next; /* names this place, if the engine tells how far it has delivered */
  return EP_OK;
}

/* ---- the state: {"next":3,"start_ms":1767603600000} -------------------------------------------- */

static ep_status save(void *self, ep_write_fn write, void *arg) {
  const metronome *m = self;
  char json[96];
  int len = snprintf(json, sizeof json, "{\"next\":%" PRId64 ",\"start_ms\":%" PRId64 "}", m->next,
                     m->start_ms);
  if (len < 0 || (size_t)len >= sizeof json) return FAIL(m, EP_E_FATAL, "the state has no room");
  write(arg, json, (size_t)len);
  return EP_OK;
}

static size_t skip_spaces(ep_str json, size_t at) {
  while (at < json.len && (json.ptr[at] == ' ' || json.ptr[at] == '\n')) at++;
  return at;
}

/* The whole number, from 0, behind `"name":` in a flat object without texts; 0 if there is none. */
static int find_number(ep_str json, ep_str name, int64_t *out) {
  for (size_t from = 0; from + name.len <= json.len; from++) {
    size_t at = 0;
    while (at < name.len && json.ptr[from + at] == name.ptr[at]) at++;
    if (at < name.len) continue;
    at = skip_spaces(json, from + name.len);
    if (at == json.len || json.ptr[at] != ':') return 0;
    at = skip_spaces(json, at + 1);
    int64_t value = 0;
    size_t first = at;
    for (; at < json.len && json.ptr[at] >= '0' && json.ptr[at] <= '9'; at++) {
      int digit = json.ptr[at] - '0';
      if (value > (INT64_MAX - digit) / 10) return 0;
      value = value * 10 + digit;
    }
    *out = value;
    return at > first;
  }
  return 0;
}

static ep_status restore(void *self, ep_str json) {
  metronome *m = self;
  if (!find_number(json, (ep_str)EP_STR("\"next\""), &m->next) ||
      !find_number(json, (ep_str)EP_STR("\"start_ms\""), &m->start_ms))
    return FAIL(m, EP_E_FATAL, "the state is not one of a metronome");
  m->is_restored = 1;
  return EP_OK;
}

static const ep_state_1 STATE = {.size = sizeof STATE, .save = save, .restore = restore};

static const void *extension(void *self, const char *id) {
  (void)self;
  static const char known[] = EP_STATE_1;
  for (size_t at = 0; at < sizeof known; at++)
    if (id[at] != known[at]) return NULL;
  return &STATE;
}

/* ---- what the library offers ------------------------------------------------------------------- */

static const char SCHEMA[] =
    "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{"
    "\"every_ms\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":86400000,\"default\":1000,"
    "\"description\":\"Event time between two beats, in milliseconds.\"},"
    "\"count\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":1000000000000,\"default\":0,"
    "\"description\":\"How many beats there are; 0 means that they do not end.\"},"
    "\"event_type\":{\"type\":\"string\",\"minLength\":1,\"default\":\"beat\","
    "\"description\":\"The type of the events.\"}}}";

static const ep_plugin METRONOME = {
    .size = sizeof METRONOME,
    .kind = EP_SOURCE,
    .name = EP_STR("metronome"),
    .version = EP_STR("1.0.0"),
    .summary = EP_STR("Gives an event for each beat, numbered in `payload.beat`."),
    .config_schema = {SCHEMA, sizeof SCHEMA - 1},
    .example = EP_STR("every_ms: 500\ncount: 120\n"),
    .create = create,
    .start = start,
    .destroy = destroy,
    .extension = extension,
    .poll = poll,
};

static const ep_plugin *const PLUGINS[] = {&METRONOME};

static const ep_module MODULE = {
    .magic = EP_MAGIC,
    .abi_major = EP_ABI_MAJOR,
    .abi_minor = EP_ABI_MINOR,
    .size = sizeof MODULE,
    .built_with = EP_STR("C11"),
    .count = sizeof PLUGINS / sizeof *PLUGINS,
    .plugins = PLUGINS,
};

EP_EXPORT const ep_module *engine_plugin_entry(uint32_t host_major, uint32_t host_minor) {
  (void)host_major; /* the engine compares */
  (void)host_minor;
  return &MODULE;
}
