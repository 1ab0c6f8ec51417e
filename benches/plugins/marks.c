/* The same enricher as in lib.rs, in C: field by field, or all fields of a batch in two calls. */
#include "engine_plugin.h"
#include <stdlib.h>
#include <string.h>

enum { ROWS = 256 };

typedef struct me {
  const ep_host *host;
  ep_key read[3], written[2];
  ep_value in[ROWS * 3], out[ROWS * 2];
} me;

static const ep_str ADS = EP_STR("ads"), STORE = EP_STR("store");

static ep_status create(const ep_host *host, ep_ctx *ctx, ep_str config, void **self) {
  (void)config;
  static const ep_str PATHS[5] = {EP_STR("payload.total"), EP_STR("payload.store_id"), EP_STR("event_type"),
                                  EP_STR("payload.high_value"), EP_STR("payload.channel_group")};
  me *m = calloc(1, sizeof *m);
  if (m == NULL) return EP_E_FATAL;
  m->host = host;
  for (int place = 0; place < 3; place++) m->read[place] = host->key(ctx, PATHS[place]);
  for (int place = 0; place < 2; place++) m->written[place] = host->key(ctx, PATHS[3 + place]);
  *self = m;
  return EP_OK;
}

static void destroy(void *self) { free(self); }

static void mark(const ep_value *in, ep_value *out) {
  double total = in[0].tag == EP_F64 ? in[0].u.f : in[0].tag == EP_I64 ? (double)in[0].u.i : 0.0;
  int is_ad = in[2].u.s.len == 13 && memcmp(in[2].u.s.ptr, "ad_impression", 13) == 0;
  out[0].tag = EP_BOOL;
  out[0].u.b = in[1].tag > EP_NULL && total > 100.0;
  out[1].tag = EP_STRING;
  out[1].u.s = is_ad ? ADS : STORE;
}

static ep_status by_field(void *self, ep_batch *rows) {
  me *m = self;
  size_t len = m->host->batch_len(rows);
  for (size_t row = 0; row < len; row++) {
    for (int place = 0; place < 3; place++) m->host->get(rows, row, m->read[place], &m->in[place]);
    mark(m->in, m->out);
    for (int place = 0; place < 2; place++) m->host->set(rows, row, m->written[place], &m->out[place]);
  }
  return EP_OK;
}

static ep_status by_batch(void *self, ep_batch *rows) {
  me *m = self;
  size_t len = m->host->batch_len(rows);
  if (len > ROWS) return EP_E_FATAL;
  ep_status gathered = m->host->gather(rows, m->read, 3, m->in);
  if (gathered != EP_OK) return gathered;
  for (size_t row = 0; row < len; row++) mark(m->in + row * 3, m->out + row * 2);
  return m->host->scatter(rows, m->written, 2, m->out);
}

#define ENRICHER(the_name, the_function)                                                \
  {.size = sizeof(ep_plugin), .kind = EP_ENRICHER, .name = EP_STR(the_name),            \
   .version = EP_STR("1.0.0"), .summary = EP_STR("Reads three fields and writes two."), \
   .config_schema = EP_STR("{\"type\":\"object\"}"), .example = EP_STR("{}"),           \
   .create = create, .destroy = destroy, .process = the_function}

static const ep_plugin BY_FIELD = ENRICHER("bench_by_field", by_field);
static const ep_plugin BY_BATCH = ENRICHER("bench_by_batch", by_batch);
static const ep_plugin *const ALL[] = {&BY_FIELD, &BY_BATCH};
static const ep_module MODULE = {EP_MAGIC, EP_ABI_MAJOR, EP_ABI_MINOR, sizeof(ep_module), EP_STR("cc"), 2, ALL};

const ep_module *engine_plugin_entry(uint32_t major, uint32_t minor) {
  (void)major, (void)minor;
  return &MODULE;
}
