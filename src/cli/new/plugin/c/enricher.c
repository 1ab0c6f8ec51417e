/* {{name}}.c - an enricher in C: it tells large baskets from small ones. */
#include "engine_plugin.h"

#include <stdlib.h>

typedef struct baskets {
  const ep_host *host;
  ep_ctx *ctx;
  ep_key total, basket;
  uint32_t large; /* the number of a metric */
  double large_from;
} baskets;

/* Any number of JSON: 100 is whole, and 100.5 is not. */
static int as_double(const ep_value *value, double *out) {
  if (value->tag == EP_I64) *out = (double)value->u.i;
  else if (value->tag == EP_F64) *out = value->u.f;
  else return 0;
  return 1;
}

/* No I/O here: `engine validate` creates, too. The host has held the settings against the schema
 * below, and has filled in the defaults. */
static ep_status create(const ep_host *host, ep_ctx *ctx, ep_str config_json, void **self) {
  (void)config_json; /* `setting` is easier without a JSON parser */
  baskets *b = calloc(1, sizeof *b);
  if (b == NULL) return EP_E_FATAL;
  b->host = host;
  b->ctx = ctx;
  b->total = host->key(ctx, (ep_str)EP_STR("payload.total"));
  b->basket = host->key(ctx, (ep_str)EP_STR("payload.basket"));
  b->large = host->metric(ctx, EP_COUNTER, (ep_str)EP_STR("large_baskets"), (ep_str)EP_STR("events"));
  ep_value from;
  host->setting(ctx, (ep_str)EP_STR("/large_from"), &from);
  if (!as_double(&from, &b->large_from)) {
    host->set_error(ctx, (ep_str)EP_STR("`large_from` is no number"));
    free(b); /* after an error there is no destroy */
    return EP_E_CONFIG;
  }
  *self = b;
  return EP_OK;
}

static void destroy(void *self) { free(self); }

static ep_status process(void *self, ep_batch *rows) {
  baskets *b = self;
  const ep_host *host = b->host;
  for (size_t row = 0; row < host->batch_len(rows); row++) {
    ep_value value, basket = {EP_STRING, 0, {0}};
    double total;
    host->get(rows, row, b->total, &value);
    if (!as_double(&value, &total)) continue;
    if (total < 0) {
      host->fail_row(rows, row, (ep_str)EP_STR("a total below 0")); /* a dead letter */
      continue;
    }
    if (total < b->large_from) {
      basket.u.s = (ep_str)EP_STR("small");
    } else {
      basket.u.s = (ep_str)EP_STR("large");
      host->record(b->ctx, b->large, 1);
    }
    host->set(rows, row, b->basket, &basket);
  }
  return EP_OK;
}

static const char SCHEMA[] =
    "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{"
    "\"large_from\":{\"type\":\"number\",\"minimum\":0,\"default\":100,"
    "\"description\":\"The total from which on a basket is large.\"}}}";

static const ep_plugin BASKETS = {
    .size = sizeof BASKETS,
    .kind = EP_ENRICHER,
    .name = EP_STR("{{name}}"),
    .version = EP_STR("0.1.0"),
    .summary = EP_STR("Tells large baskets from small ones, in `payload.basket`."),
    .config_schema = {SCHEMA, sizeof SCHEMA - 1},
    .example = EP_STR("large_from: 100.0\n"),
    .create = create,
    .destroy = destroy,
    .process = process,
};

static const ep_plugin *const PLUGINS[] = {&BASKETS};

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
