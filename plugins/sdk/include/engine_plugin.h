/* engine_plugin.h - the whole contract between the engine and a native plugin. C11 or C++17, no
 * dependencies.
 *
 * A plugin is a shared library that exports one function, `engine_plugin_entry`. It returns a module:
 * a list of descriptors, each of a source, an enricher, a correlator or a sink. The engine makes
 * instances of them, one for each stage of a pipeline (or several, with `parallelism`).
 *
 *   engine_plugin_entry -> ep_module -> ep_plugin
 *   create -> [restore] -> start -> { poll, ack | process | correlate, tick | write }* -> [drain] -> flush -> destroy
 *
 * Rules
 * 1. Every struct that can grow begins with its size. A later version of the ABI appends, and changes
 *    or reorders nothing. Whoever reads takes min(size, own size); what is missing is zero.
 * 2. Who allocates frees. Nothing is ever freed by the other side.
 * 3. An `ep_str` is UTF-8, has no NUL at its end, and is borrowed for the call unless said otherwise.
 *    The host copies all that it is given.
 * 4. No exception, panic or longjmp may cross. What the host cannot contain: a segmentation fault,
 *    abort(), exit(), a stack that overflows, a call that never returns.
 * 5. `ep_ctx *` and `ep_batch *` are numbers in the shape of pointers. Never follow them. One that is
 *    no longer valid is answered with EP_E_ARG, EP_ABSENT or nothing.
 * 6. An instance is called by one thread at a time, not always the same. Only `request_stop` may come
 *    beside another call.
 */
#ifndef ENGINE_PLUGIN_H
#define ENGINE_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EP_MAGIC 0x31505045u  /* "EPP1" in memory */
#define EP_ABI_MAJOR 1u       /* another major is refused */
#define EP_ABI_MINOR 0u       /* a minor only adds */
#define EP_ENTRY_SYMBOL "engine_plugin_entry"

#if defined(_WIN32)
#define EP_EXPORT __declspec(dllexport)
#else
#define EP_EXPORT __attribute__((visibility("default")))
#endif

typedef struct ep_str {
  const char *ptr;
  size_t len; /* in bytes; ptr may be NULL where it is 0 */
} ep_str;

typedef struct ep_ctx ep_ctx;     /* the host's number of an instance, from create to destroy */
typedef struct ep_batch ep_batch; /* the host's number of a batch of events, for one call */
typedef uint32_t ep_key;          /* the host's number of a field, for the life of the process */
#define EP_NO_KEY 0u              /* no field */
#define EP_NO_ROW SIZE_MAX        /* no row */
#define EP_NO_TICK INT64_MAX      /* no tick is asked for */

/* What a call came to: 0 and above is progress, below is an error. The text of an error is given
 * with `set_error` before the call returns. */
typedef int32_t ep_status;
enum {
  EP_OK = 0,
  EP_PENDING = 1,         /* write, flush: `complete` follows, or has come already */
  EP_AGAIN = 2,           /* poll: nothing yet */
  EP_END = 3,             /* poll: nothing more, ever */
  EP_E_CONFIG = -1,       /* create, start: the settings are wrong; the pipeline does not start */
  EP_E_RETRY = -2,        /* not now; write: the host tries the same events again */
  EP_E_FATAL = -3,        /* this instance cannot go on; it is destroyed */
  EP_E_PANIC = -4,        /* the same, by a defect */
  EP_E_ARG = -5,          /* host functions: no such batch, row, key, or a value that makes no sense */
  EP_E_UNSUPPORTED = -6,  /* the host lacks what the plugin needs */
  EP_E_STOPPED = -7,      /* given up because a stop was asked for */
  EP_E_REJECTED = -8      /* write: these events will never be taken; they become dead letters */
};

typedef uint32_t ep_kind;
enum { EP_SOURCE = 1, EP_ENRICHER = 2, EP_CORRELATOR = 3, EP_SINK = 4 };

typedef uint32_t ep_tag;
enum {
  EP_ABSENT = 0, /* there is no such field */
  EP_NULL = 1,
  EP_BOOL = 2,   /* u.b, 0 or 1 */
  EP_I64 = 3,    /* u.i */
  EP_F64 = 4,    /* u.f; NaN and the infinities are taken, and written as null */
  EP_STRING = 5, /* u.s */
  EP_JSON = 6,   /* u.s, the text of a list or an object; given to `set`, of any value */
  EP_TIME = 7    /* u.i, milliseconds since 1970: the field `ingest_timestamp`; instants in payloads
                    are strings, as in JSON */
};
typedef struct ep_value {
  ep_tag tag;
  uint32_t reserved; /* 0 */
  union {
    uint8_t b;
    int64_t i;
    double f;
    ep_str s;
  } u;
} ep_value;

typedef uint32_t ep_level;
enum { EP_ERROR = 1, EP_WARN = 2, EP_INFO = 3, EP_DEBUG = 4, EP_TRACE = 5 };

typedef uint32_t ep_metric_type;
enum { EP_COUNTER = 1, EP_GAUGE = 2, EP_HISTOGRAM = 3 };

/* An event of a batch that was not taken. */
typedef struct ep_refusal {
  size_t row;
  ep_status status;        /* EP_E_RETRY or EP_E_REJECTED */
  uint32_t retry_after_ms; /* EP_E_RETRY: not before this is over; 0 leaves it to the host */
  ep_str reason;
} ep_refusal;

/* What became of a batch that was to be written, or of a flush. */
typedef struct ep_outcome {
  uint32_t size;
  ep_status status;        /* EP_OK: taken but for the refusals; below 0: nothing of it was; above 0
                              means nothing, and is taken for EP_E_REJECTED */
  uint32_t retry_after_ms; /* EP_E_RETRY: not before this is over; 0 leaves it to the host */
  uint32_t reserved;       /* 0 */
  ep_str error;            /* why, where nothing was taken */
  size_t refusals_len;
  const ep_refusal *refusals; /* by ascending row */
} ep_outcome;

/* Receives a piece of text; called during the call that it is given to, once or more. */
typedef void (*ep_write_fn)(void *arg, const char *text, size_t len);

/* ---- what the host offers -------------------------------------------------------------------- */
typedef struct ep_host {
  uint32_t size, abi_major, abi_minor, reserved;
  ep_str name, version; /* of the engine */

  /* Any thread, from create until destroy returns. */
  void (*log)(ep_ctx *, ep_level, ep_str target, ep_str message);
  uint32_t (*log_enabled)(ep_ctx *, ep_level);
  void (*set_error)(ep_ctx *, ep_str message); /* the text for the status about to be returned */
  uint32_t (*metric)(ep_ctx *, ep_metric_type, ep_str name, ep_str unit); /* its number; 0: none is left */
  void (*record)(ep_ctx *, uint32_t metric, double value); /* counter: adds; gauge: sets; histogram: observes */
  /* A value of the settings by its JSON pointer, such as "/rate": for those without a JSON parser.
   * A text in it is valid until destroy. */
  void (*setting)(ep_ctx *, ep_str pointer, ep_value *out);
  /* The number of a field: a key of the envelope such as "event_type", or "payload.NAME", or deeper,
   * "payload.NAME.NAME". Ask once, in create. EP_NO_KEY if it is none. */
  ep_key (*key)(ep_ctx *, ep_str path);
  /* Whether a stop was asked for. */
  uint32_t (*stopping)(ep_ctx *);
  /* NULL: the host has no such extension. */
  const void *(*extension)(ep_ctx *, const char *id);

  /* Events. Only on the thread that was lent the batch, and only until the call returns; but `get`,
   * `batch_len`, `gather` and `write_json` of a batch that is retained: any thread, until `release`. */
  size_t (*batch_len)(const ep_batch *);
  /* A text is valid until the next change of the batch or the end of the call; of a retained batch,
   * until it is released. */
  void (*get)(const ep_batch *, size_t row, ep_key, ep_value *out);
  ep_status (*set)(ep_batch *, size_t row, ep_key, const ep_value *); /* EP_ABSENT takes the field out */
  ep_status (*gather)(const ep_batch *, const ep_key *, size_t keys, ep_value *out); /* row by row, len * keys */
  ep_status (*scatter)(ep_batch *, const ep_key *, size_t keys, const ep_value *in); /* the same way back; what `gather` gave may be among it */
  ep_status (*drop_row)(ep_batch *, size_t row);                 /* filtered out on purpose */
  ep_status (*fail_row)(ep_batch *, size_t row, ep_str reason);  /* becomes a dead letter */
  /* A new event at the end of `out`, of which at least `event_type` has to be set; its row, or
   * EP_NO_ROW. With a parent it has its time, links and origin. */
  size_t (*push_row)(ep_batch *out, const ep_batch *parent, size_t parent_row);
  ep_status (*push_json)(ep_batch *out, ep_str json); /* source: an event as JSON, with its envelope */
  ep_status (*write_json)(const ep_batch *, size_t row, ep_write_fn, void *arg);
  ep_status (*watermark)(ep_batch *out, int64_t ms); /* source: nothing earlier will come; default: the latest time so far */
  /* write: keeps the batch beyond the call, until it is released. NULL: it cannot be kept, or the
   * instance has kept 4096 already. */
  const ep_batch *(*retain)(ep_ctx *, const ep_batch *);
  /* Once for each retain, with the same context; any thread, also after destroy: what is never
   * released is told in the log then, and never freed. */
  void (*release)(ep_ctx *, const ep_batch *);

  /* Any thread. */
  void (*complete)(ep_ctx *, uint64_t token, const ep_outcome *); /* exactly once for each EP_PENDING */
  void (*wake)(ep_ctx *);                   /* a source that said EP_AGAIN has something now */
  void (*next_tick)(ep_ctx *, int64_t ms);  /* correlator: `tick` at this event time; EP_NO_TICK: none */
  int64_t (*now)(ep_ctx *); /* source: event time now, in milliseconds since 1970; at full speed it stands
                               at the beginning. Events that are given ahead of it wait for their time. */
} ep_host;

/* ---- what a plugin offers -------------------------------------------------------------------- */
enum {
  EP_F_BLOCKING = 1u,    /* process, correlate, tick, write may wait: they are called off the engine's workers */
  EP_F_NETWORK = 2u,     /* a sink for which events are better batched: a default batcher stands before it */
  EP_F_DERIVED_ONLY = 4u /* a correlator whose input does not pass through, unless its setting `passthrough` is true */
};

typedef struct ep_plugin {
  uint32_t size;
  ep_kind kind;
  uint32_t flags;
  uint32_t max_in_flight; /* sink: writes that may be pending at a time; 0 means 1 */
  /* Valid for the life of the process. */
  ep_str name;          /* the `type:` in a pipeline: [a-z][a-z0-9_]*, at most 64 */
  ep_str version;
  ep_str summary;       /* one sentence */
  ep_str config_schema; /* JSON Schema 2020-12 of an object: what stands under `with:` */
  ep_str example;       /* the settings of a working stage, as YAML */

  /* No I/O: a pipeline that is only checked is created, too. The host has checked the settings. */
  ep_status (*create)(const ep_host *, ep_ctx *, ep_str config_json, void **self);
  ep_status (*start)(void *self);                    /* optional: opens, connects; may wait */
  void (*request_stop)(void *self);                  /* optional: any thread, beside other calls; returns at once */
  ep_status (*flush)(void *self, uint64_t token);    /* optional: the last call before destroy where all went well */
  void (*destroy)(void *self);                       /* ends its threads; once for each create that succeeded */
  const void *(*extension)(void *self, const char *id); /* optional: such as EP_STATE_1 */

  /* Those that the kind needs; others NULL. */
  ep_status (*poll)(void *self, ep_batch *out, size_t max, uint32_t timeout_ms, uint64_t *token); /* on the source's own thread */
  ep_status (*ack)(void *self, uint64_t token);              /* optional: all up to the token of a poll was delivered; between polls */
  ep_status (*process)(void *self, ep_batch *rows);          /* enricher */
  ep_status (*correlate)(void *self, ep_batch *in, ep_batch *out); /* `in` can be dropped and failed, not changed */
  ep_status (*tick)(void *self, int64_t now_ms, ep_batch *out);    /* optional: how far event time is */
  ep_status (*drain)(void *self, int64_t end_ms, ep_batch *out);   /* optional: the input has ended */
  ep_status (*write)(void *self, const ep_batch *, uint64_t token); /* sink: EP_OK, EP_PENDING, or an error */
} ep_plugin;

/* Extension of sources and correlators: what they remember between two runs. A source that has it
 * gives the same events again from there; one without begins anew. */
#define EP_STATE_1 "engine.state/1"
typedef struct ep_state_1 {
  uint32_t size, reserved;
  ep_status (*save)(void *self, ep_write_fn, void *arg);    /* writes JSON; source: after a poll, correlator: between events */
  ep_status (*restore)(void *self, ep_str json);            /* after create, before start */
} ep_state_1;

typedef struct ep_module {
  uint32_t magic, abi_major, abi_minor, size; /* these 16 bytes are the same in every version */
  ep_str built_with;                          /* compiler or SDK, for people */
  size_t count;
  const ep_plugin *const *plugins;
} ep_module;

/* The one symbol. May be called more than once; starts no thread, does no I/O. NULL: refuses this host. */
typedef const ep_module *(*ep_entry_fn)(uint32_t host_major, uint32_t host_minor);
EP_EXPORT const ep_module *engine_plugin_entry(uint32_t host_major, uint32_t host_minor);

/* An ep_str of a literal, as an initializer. */
#define EP_STR(literal) { (literal), sizeof(literal) - 1 }
/* Whether a struct of the other side has a function, as in EP_HAS(ep_host, host, next_tick). */
#define EP_HAS(type, object, field) \
  ((object)->size >= offsetof(type, field) + sizeof((object)->field) && (object)->field != NULL)

#ifdef __cplusplus
}
#endif
#endif
