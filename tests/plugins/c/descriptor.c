/* A library with one enricher that does nothing. Each value of its module and its descriptor is a
 * macro, so that a test makes one after the other wrong: -DKIND=9. */
#include "engine_plugin.h"

#ifndef ENTRY
#define ENTRY engine_plugin_entry
#endif
#ifndef MAGIC
#define MAGIC EP_MAGIC
#endif
#ifndef MAJOR
#define MAJOR EP_ABI_MAJOR
#endif
#ifndef MINOR
#define MINOR EP_ABI_MINOR
#endif
#ifndef MODULE_SIZE
#define MODULE_SIZE sizeof(ep_module)
#endif
#ifndef BUILT_WITH
#define BUILT_WITH EP_STR("cc")
#endif
#ifndef LIST
#define LIST ALL
#endif
#ifndef PLUGINS
#define PLUGINS &PLUGIN.now
#endif
#ifndef COUNT
#define COUNT (sizeof(ALL) / sizeof(ALL[0]))
#endif
#ifndef RETURNED
#define RETURNED &MODULE.now
#endif

#ifndef SIZE
#define SIZE sizeof(ep_plugin)
#endif
#ifndef KIND
#define KIND EP_ENRICHER
#endif
#ifndef NAME
#define NAME EP_STR("probe")
#endif
#ifndef VERSION
#define VERSION EP_STR("1.0.0")
#endif
#ifndef SUMMARY
#define SUMMARY EP_STR("Does nothing.")
#endif
#ifndef SCHEMA
#define SCHEMA EP_STR("{\"type\":\"object\"}")
#endif
#ifndef EXAMPLE
#define EXAMPLE EP_STR("{}")
#endif
#ifndef CREATE
#define CREATE create
#endif
#ifndef DESTROY
#define DESTROY destroy
#endif
#ifndef PROCESS
#define PROCESS process
#endif

static int instance;

static ep_status create(const ep_host *host, ep_ctx *ctx, ep_str config, void **self) {
  (void)host, (void)ctx, (void)config;
  *self = &instance;
  return EP_OK;
}

/* One that reports success, and has made nothing. */
ep_status create_nothing(const ep_host *host, ep_ctx *ctx, ep_str config, void **self);
ep_status create_nothing(const ep_host *host, ep_ctx *ctx, ep_str config, void **self) {
  (void)host, (void)ctx, (void)config, (void)self;
  return EP_OK;
}

/* One that returns what no call of create returns. */
ep_status create_pending(const ep_host *host, ep_ctx *ctx, ep_str config, void **self);
ep_status create_pending(const ep_host *host, ep_ctx *ctx, ep_str config, void **self) {
  create(host, ctx, config, self);
  return EP_PENDING;
}

static void destroy(void *self) { (void)self; }

static ep_status process(void *self, ep_batch *rows) {
  (void)self, (void)rows;
  return EP_OK;
}

/* A later minor version of the ABI has more behind it. */
static const struct {
  ep_plugin now;
  void (*later[4])(void);
} PLUGIN = {
    .now = {.size = SIZE,
            .kind = KIND,
            .name = NAME,
            .version = VERSION,
            .summary = SUMMARY,
            .config_schema = SCHEMA,
            .example = EXAMPLE,
            .create = CREATE,
            .destroy = DESTROY,
            .process = PROCESS},
    .later = {(void (*)(void))destroy},
};

static const ep_plugin *const ALL[] = {PLUGINS};
static const struct {
  ep_module now;
  void *later[4];
} MODULE = {.now = {.magic = MAGIC,
                    .abi_major = MAJOR,
                    .abi_minor = MINOR,
                    .size = MODULE_SIZE,
                    .built_with = BUILT_WITH,
                    .count = COUNT,
                    .plugins = LIST}};

EP_EXPORT const ep_module *ENTRY(uint32_t major, uint32_t minor);
EP_EXPORT const ep_module *ENTRY(uint32_t major, uint32_t minor) {
  (void)major, (void)minor, (void)ALL, (void)PLUGIN, (void)MODULE, (void)create, (void)destroy, (void)process;
  return RETURNED;
}
