/* An enricher that puts its setting `level` into each event, with whatever else the test asks for:
 * NAME, SCHEMA, EXAMPLE, TELLS, with which its constructor speaks, and GARBLED, with which its
 * texts have in them what a terminal obeys. */
#include <stdio.h>
#include <stdlib.h>

#include "engine_plugin.h"

#ifndef NAME
#define NAME "mark"
#endif
#ifndef EXAMPLE
#define EXAMPLE "level: 5\n"
#endif
#ifdef GARBLED
#define BEFORE "a\n\33[2J"
#define SCHEMA "{\"type\":\"object\"}"
#else
#define BEFORE
#endif
#ifndef SCHEMA
#define SCHEMA \
  "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{" \
  "\"token\":{\"type\":\"string\",\"writeOnly\":true,\"description\":\"What opens the door.\"}," \
  "\"level\":{\"type\":\"integer\",\"default\":3,\"description\":\"What events are marked with.\"}}}"
#endif

#ifdef TELLS
__attribute__((constructor)) static void tell(void) { fputs("constructed\n", stderr); }
#endif

typedef struct mark {
  const ep_host *host;
  ep_key key;
  ep_value level;
} mark;

static ep_status create(const ep_host *host, ep_ctx *ctx, ep_str config, void **self) {
  (void)config;
  mark *m = malloc(sizeof *m);
  if (m == NULL) return EP_E_FATAL;
  ep_str key = EP_STR("payload.mark"), level = EP_STR("/level");
  m->host = host;
  m->key = host->key(ctx, key);
  host->setting(ctx, level, &m->level);
#ifdef GARBLED
  ep_str target = EP_STR("mark"), said = EP_STR(BEFORE "is made");
  host->log(ctx, 2, target, said);
#endif
  *self = m;
  return EP_OK;
}

static ep_status process(void *self, ep_batch *rows) {
  mark *m = self;
  for (size_t row = 0; row < m->host->batch_len(rows); row++)
    m->host->set(rows, row, m->key, &m->level);
  return EP_OK;
}

static void destroy(void *self) { free(self); }

static const ep_plugin PLUGIN = {
  .size = sizeof(ep_plugin), .kind = EP_ENRICHER,
  .name = EP_STR(NAME), .version = EP_STR("1.2.3"), .summary = EP_STR(BEFORE "Marks events."),
  .config_schema = EP_STR(SCHEMA), .example = EP_STR(EXAMPLE),
  .create = create, .process = process, .destroy = destroy,
};
static const ep_plugin *const PLUGINS[] = {&PLUGIN};
static const ep_module MODULE = {
  EP_MAGIC, EP_ABI_MAJOR, EP_ABI_MINOR, sizeof(ep_module), EP_STR(BEFORE "a C compiler"), 1, PLUGINS,
};

const ep_module *engine_plugin_entry(uint32_t major, uint32_t minor) {
  (void)major, (void)minor;
  return &MODULE;
}
