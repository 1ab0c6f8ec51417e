/* A plugin of each kind that does by the rules what its settings do not say otherwise, and breaks
 * them where they do: `fault` says how, `at` in which call, `after` behind how many of these calls.
 *
 * What the host answers to a misuse is looked at here. What is not as the header says is told on
 * standard error, and counted for `faults_found`. */
#define _GNU_SOURCE
#include "engine_plugin.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static atomic_int found;

#define EXPECT(condition)                                                        \
  do {                                                                           \
    if (!(condition)) {                                                          \
      atomic_fetch_add(&found, 1);                                               \
      fprintf(stderr, "faults.c:%d: not as it should be: %s\n", __LINE__, #condition); \
    }                                                                            \
  } while (0)

static const ep_str NOTHING = {NULL, 0};
static const ep_str NO_TEXT = EP_STR("broken \xff\xfe text");

static ep_str str(const char *text) {
  ep_str made = {text, strlen(text)};
  return made;
}

typedef struct me {
  const ep_host *host;
  ep_ctx *ctx;
  char fault[32], at[32];
  int64_t status, after, count, given;
  ep_key event_type, time, n, text;
  uint32_t metric;
  atomic_int *gone;
  ep_batch *lent;        /* of the call before */
  const ep_batch *kept;  /* retained */
  uint64_t token;
} me;

static int is(const char *text, const char *other) { return strcmp(text, other) == 0; }

/* ---- what any call may do --------------------------------------------------------------------- */
static int deep(volatile int depth) {
  volatile char much[4096];
  if (depth == INT_MAX) return 0;
  much[depth % 4096] = 1;
  return deep(depth + 1) + much[depth % 4096];
}

/* What a call returns that has the fault; `usual` if it has none. */
static ep_status trouble(me *m, const char *at, ep_status usual) {
  if (!is(m->at, at) || m->after-- > 0) return usual;
  if (is(m->fault, "status")) {
    m->host->set_error(m->ctx, str("as the settings say"));
    return (ep_status)m->status;
  }
  if (is(m->fault, "silent")) return (ep_status)m->status;
  if (is(m->fault, "garbled")) {
    m->host->set_error(m->ctx, NO_TEXT);
    return (ep_status)m->status;
  }
  if (is(m->fault, "hangs")) {
    fprintf(stderr, "faults.c hangs now\n");
    for (;;) pause();
  }
  if (is(m->fault, "abort")) abort();
  if (is(m->fault, "exit")) exit(3);
  if (is(m->fault, "overflow")) return deep(0);
  if (is(m->fault, "segfault")) *(volatile int *)8 = 1;
  return usual;
}

/* ---- what is no batch, no instance, no row, no key --------------------------------------------- */
static const ep_value *value(ep_tag tag) {
  static _Thread_local ep_value made;
  memset(&made, 0, sizeof made);
  made.tag = tag;
  return &made;
}

static const ep_value *text_value(ep_tag tag, ep_str text) {
  static _Thread_local ep_value made;
  memset(&made, 0, sizeof made);
  made.tag = tag;
  made.u.s = text;
  return &made;
}

static void ignore(void *arg, const char *text, size_t len) {
  (void)text;
  *(size_t *)arg += len;
}

/* A number that names no batch here: nothing is to be had of it, and nothing can be done to it. */
static void no_batch(me *m, ep_batch *none) {
  const ep_host *h = m->host;
  ep_value got = *value(EP_I64);
  size_t len = 0;
  EXPECT(h->batch_len(none) == 0);
  h->get(none, 0, m->n, &got);
  EXPECT(got.tag == EP_ABSENT);
  h->get(none, 0, m->n, NULL);
  EXPECT(h->set(none, 0, m->n, value(EP_I64)) == EP_E_ARG);
  EXPECT(h->gather(none, &m->n, 1, &got) == EP_E_ARG);
  EXPECT(h->scatter(none, &m->n, 1, &got) == EP_E_ARG);
  EXPECT(h->drop_row(none, 0) == EP_E_ARG);
  EXPECT(h->fail_row(none, 0, NO_TEXT) == EP_E_ARG);
  EXPECT(h->push_row(none, NULL, 0) == EP_NO_ROW);
  EXPECT(h->push_row(none, none, 0) == EP_NO_ROW);
  EXPECT(h->push_json(none, str("{}")) == EP_E_ARG);
  EXPECT(h->write_json(none, 0, ignore, &len) == EP_E_ARG && len == 0);
  EXPECT(h->watermark(none, 0) == EP_E_ARG);
  EXPECT(h->retain(m->ctx, none) == NULL);
  h->release(m->ctx, none);
}

static void no_batches(me *m) {
  no_batch(m, NULL);
  no_batch(m, (ep_batch *)m->ctx);
  no_batch(m, (ep_batch *)m);
  no_batch(m, (ep_batch *)UINTPTR_MAX);
  if (m->lent != NULL) no_batch(m, m->lent);
}

/* A number that names no instance. */
static void no_instance(me *m, ep_ctx *none) {
  const ep_host *h = m->host;
  ep_value got = *value(EP_I64);
  ep_outcome outcome = {.size = sizeof outcome};
  h->log(none, EP_ERROR, NOTHING, str("nobody says this"));
  EXPECT(h->log_enabled(none, EP_ERROR) == 0);
  h->set_error(none, str("nobody says this"));
  EXPECT(h->metric(none, EP_COUNTER, str("nobody"), str("none")) == 0);
  h->record(none, 1, 1.0);
  h->setting(none, str("/fault"), &got);
  EXPECT(got.tag == EP_ABSENT);
  EXPECT(h->key(none, str("event_type")) == EP_NO_KEY);
  EXPECT(h->stopping(none) == 1);
  EXPECT(h->extension(none, "engine.none/1") == NULL);
  EXPECT(h->retain(none, m->kept) == NULL);
  h->release(none, m->kept);
  h->complete(none, m->token, &outcome);
  h->wake(none);
  h->next_tick(none, 0);
  h->now(none);
}

static void no_instances(me *m) {
  no_instance(m, NULL);
  no_instance(m, (ep_ctx *)m);
  no_instance(m, (ep_ctx *)UINTPTR_MAX);
}

/* Arguments that make no sense, given with an instance that is one. */
static void no_sense(me *m) {
  const ep_host *h = m->host;
  ep_value got = *value(EP_I64);
  h->log(m->ctx, 4711, NO_TEXT, NO_TEXT);
  h->log(m->ctx, EP_INFO, NOTHING, NOTHING);
  EXPECT(h->metric(m->ctx, 9, str("faults"), str("none")) == 0);
  EXPECT(h->metric(m->ctx, EP_COUNTER, NO_TEXT, str("none")) == 0);
  h->record(m->ctx, 0, 1.0);
  h->record(m->ctx, 4711, 1.0);
  h->record(m->ctx, m->metric, 0.0 / 0.0);
  h->record(m->ctx, m->metric, -1e308 * 10.0);
  h->setting(m->ctx, str("/none"), &got);
  EXPECT(got.tag == EP_ABSENT);
  h->setting(m->ctx, NO_TEXT, &got);
  EXPECT(got.tag == EP_ABSENT);
  h->setting(m->ctx, str("/fault"), NULL);
  EXPECT(h->key(m->ctx, NOTHING) == EP_NO_KEY);
  EXPECT(h->key(m->ctx, NO_TEXT) == EP_NO_KEY);
  EXPECT(h->key(m->ctx, str("nowhere")) == EP_NO_KEY);
  EXPECT(h->extension(m->ctx, NULL) == NULL);
  h->complete(m->ctx, 4711, NULL);
  h->wake(m->ctx);
}

/* Rows and keys that a batch of the length does not have, and values that are none. */
static void no_cells(me *m, ep_batch *batch, int is_writable) {
  const ep_host *h = m->host;
  size_t len = h->batch_len(batch), written = 0;
  ep_key wrong[2] = {EP_NO_KEY, UINT32_MAX};
  size_t rows[3] = {len, len + 1, SIZE_MAX};
  ep_value got;
  for (int place = 0; place < 3; place++) {
    got = *value(EP_I64);
    h->get(batch, rows[place], m->event_type, &got);
    EXPECT(got.tag == EP_ABSENT);
    EXPECT(h->set(batch, rows[place], m->n, value(EP_I64)) == EP_E_ARG);
    EXPECT(h->drop_row(batch, rows[place]) == EP_E_ARG);
    EXPECT(h->fail_row(batch, rows[place], NO_TEXT) == EP_E_ARG);
    EXPECT(h->write_json(batch, rows[place], ignore, &written) == EP_E_ARG && written == 0);
  }
  EXPECT(h->write_json(batch, 0, NULL, NULL) == EP_E_ARG);
  if (len == 0) return;
  for (int place = 0; place < 2; place++) {
    got = *value(EP_I64);
    h->get(batch, 0, wrong[place], &got);
    EXPECT(got.tag == EP_ABSENT);
    EXPECT(h->set(batch, 0, wrong[place], value(EP_I64)) == EP_E_ARG);
  }
  h->get(batch, 0, m->event_type, NULL);
  EXPECT(h->gather(batch, &m->n, SIZE_MAX, &got) == EP_E_ARG);
  EXPECT(h->gather(batch, NULL, 1, &got) == EP_E_ARG);
  EXPECT(h->gather(batch, &m->n, 1, NULL) == EP_E_ARG);
  EXPECT(h->gather(batch, &m->n, 0, NULL) == EP_OK);
  EXPECT(h->scatter(batch, &m->n, SIZE_MAX, &got) == EP_E_ARG);
  EXPECT(h->scatter(batch, NULL, 1, &got) == EP_E_ARG);
  EXPECT(h->set(batch, 0, m->n, NULL) == EP_E_ARG);
  EXPECT(h->set(batch, 0, m->n, value(4711)) == EP_E_ARG);
  EXPECT(h->set(batch, 0, m->text, text_value(EP_STRING, NO_TEXT)) == EP_E_ARG);
  EXPECT(h->set(batch, 0, m->text, text_value(EP_JSON, NO_TEXT)) == EP_E_ARG);
  EXPECT(h->set(batch, 0, m->text, text_value(EP_JSON, str("{\"a\":"))) == EP_E_ARG);
  EXPECT(h->set(batch, 0, m->event_type, value(EP_I64)) == EP_E_ARG);
  EXPECT(h->set(batch, 0, m->time, value(EP_NULL)) == EP_E_ARG);
  if (!is_writable) EXPECT(h->set(batch, 0, m->n, value(EP_I64)) == EP_E_ARG);
}

/* ---- threads that have no business here --------------------------------------------------------- */
static void *meddle(void *arg) {
  me *m = arg;
  no_batch(m, m->lent);
  return NULL;
}

/* A batch is lent to the thread of the call, and to no other. */
static void from_another_thread(me *m, ep_batch *batch) {
  pthread_t thread;
  ep_batch *before = m->lent;
  m->lent = batch;
  if (pthread_create(&thread, NULL, meddle, m) == 0) pthread_join(thread, NULL);
  m->lent = before;
}

typedef struct remains {
  me of;
  atomic_int gone;
  pthread_t thread;
} remains;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static remains *left[64];
static int left_len;

/* Calls the host on behalf of an instance while it is destroyed, and afterwards. */
static void *linger(void *arg) {
  remains *r = arg;
  const ep_host *h = r->of.host;
  ep_outcome outcome = {.size = sizeof outcome};
  ep_value got;
  for (int more = 2000; more > 0;) {
    if (atomic_load(&r->gone)) more--;
    h->log(r->of.ctx, EP_TRACE, NOTHING, str("still here"));
    h->record(r->of.ctx, r->of.metric, 1.0);
    h->key(r->of.ctx, str("event_type"));
    h->batch_len(r->of.kept);
    h->get(r->of.kept, 0, r->of.event_type, &got);
    h->complete(r->of.ctx, r->of.token, &outcome);
    h->wake(r->of.ctx);
    h->next_tick(r->of.ctx, 0);
    h->stopping(r->of.ctx);
    h->release(r->of.ctx, h->retain(r->of.ctx, r->of.kept));
  }
  return NULL;
}

static void leave_a_thread(me *m) {
  remains *r = calloc(1, sizeof *r);
  if (r == NULL) return;
  r->of = *m;
  m->gone = &r->gone;
  pthread_mutex_lock(&lock);
  int has_room = left_len < 64;
  if (has_room && pthread_create(&r->thread, NULL, linger, r) == 0) {
    left[left_len++] = r;
  } else {
    m->gone = NULL;
    free(r);
  }
  pthread_mutex_unlock(&lock);
}

/* How often the host did not answer as it should. Called when all instances are destroyed: waits for
 * threads that were left, and tries their numbers once more. */
EP_EXPORT int faults_found(void);
EP_EXPORT int faults_found(void) {
  pthread_mutex_lock(&lock);
  for (; left_len > 0; left_len--) {
    remains *r = left[left_len - 1];
    pthread_join(r->thread, NULL);
    if (r->of.kept != NULL) {
      /* It holds beyond the instance, until it is released: by `no_instance`, with the number that
       * retained it. */
      ep_value got;
      EXPECT(r->of.host->batch_len(r->of.kept) > 0);
      r->of.host->get(r->of.kept, 0, r->of.event_type, &got);
      EXPECT(got.tag == EP_STRING && got.u.s.len > 0);
    }
    no_instance(&r->of, r->of.ctx);
    no_batch(&r->of, (ep_batch *)r->of.kept);
    free(r);
  }
  pthread_mutex_unlock(&lock);
  return atomic_load(&found);
}

/* ---- the calls of all kinds --------------------------------------------------------------------- */
static void setting(me *m, const char *pointer, char *to, size_t room) {
  ep_value got;
  m->host->setting(m->ctx, str(pointer), &got);
  if (got.tag == EP_STRING && got.u.s.len < room) memcpy(to, got.u.s.ptr, got.u.s.len);
}

static int64_t number(me *m, const char *pointer, int64_t otherwise) {
  ep_value got;
  m->host->setting(m->ctx, str(pointer), &got);
  return got.tag == EP_I64 ? got.u.i : otherwise;
}

static ep_status create(const ep_host *host, ep_ctx *ctx, ep_str config, void **self) {
  (void)config;
  me *m = calloc(1, sizeof *m);
  if (m == NULL) return EP_E_FATAL;
  m->host = host;
  m->ctx = ctx;
  setting(m, "/fault", m->fault, sizeof m->fault);
  setting(m, "/at", m->at, sizeof m->at);
  m->status = number(m, "/status", EP_E_FATAL);
  m->after = number(m, "/after", 0);
  m->count = number(m, "/count", 1000);
  m->event_type = host->key(ctx, str("event_type"));
  m->time = host->key(ctx, str("ingest_timestamp"));
  m->n = host->key(ctx, str("payload.n"));
  m->text = host->key(ctx, str("payload.text"));
  m->metric = host->metric(ctx, EP_COUNTER, str("faults_calls"), str("calls"));
  EXPECT(m->event_type != EP_NO_KEY && m->time != EP_NO_KEY && m->n != EP_NO_KEY);
  if (is(m->fault, "misuse")) {
    no_batches(m);
    no_instances(m);
    no_sense(m);
  }
  ep_status status = trouble(m, "create", EP_OK);
  if (status != EP_OK) {
    free(m);
    return status;
  }
  *self = m;
  return EP_OK;
}

static ep_status start(void *self) {
  me *m = self;
  if (is(m->fault, "lingers") && !is(m->at, "write")) leave_a_thread(m);
  return trouble(m, "start", EP_OK);
}

static void request_stop(void *self) { trouble(self, "request_stop", EP_OK); }

static void destroy(void *self) {
  me *m = self;
  trouble(m, "destroy", EP_OK);
  if (m->gone != NULL) atomic_store(m->gone, 1);
  free(m);
}

static ep_status save(void *self, ep_write_fn write, void *arg) {
  me *m = self;
  if (is(m->at, "save") && is(m->fault, "garbled") && m->status == 0) {
    write(arg, NO_TEXT.ptr, NO_TEXT.len);
    return EP_OK;
  }
  if (is(m->at, "save") && is(m->fault, "no_json")) {
    write(arg, "{\"n\":", 5);
    return EP_OK;
  }
  char json[64];
  int len = snprintf(json, sizeof json, "{\"n\":%lld}", (long long)m->given);
  write(arg, NULL, 0);
  write(arg, json, 3);
  write(arg, json + 3, (size_t)len - 3);
  return trouble(m, "save", EP_OK);
}

static ep_status restore(void *self, ep_str json) {
  me *m = self;
  char text[64] = {0};
  if (json.len < sizeof text) memcpy(text, json.ptr, json.len);
  const char *n = strchr(text, ':');
  m->given = n == NULL ? 0 : atoll(n + 1);
  return trouble(m, "restore", EP_OK);
}

static const void *extension(void *self, const char *id) {
  static const ep_state_1 state = {sizeof state, 0, save, restore};
  (void)self;
  return is(id, EP_STATE_1) ? &state : NULL;
}

/* ---- enricher ----------------------------------------------------------------------------------- */
static ep_status process(void *self, ep_batch *rows) {
  me *m = self;
  const ep_host *h = m->host;
  size_t len = h->batch_len(rows);
  for (size_t row = 0; row < len; row++) {
    ep_value n = *value(EP_I64);
    n.u.i = m->given++;
    EXPECT(h->set(rows, row, m->n, &n) == EP_OK);
  }
  h->record(m->ctx, m->metric, 1.0);
  if (is(m->fault, "misuse")) {
    no_cells(m, rows, 1);
    no_batches(m);
    no_instances(m);
    no_sense(m);
    from_another_thread(m, rows);
    EXPECT(h->push_row(rows, NULL, 0) == EP_NO_ROW);
    EXPECT(h->push_row(rows, rows, 0) == EP_NO_ROW);
    EXPECT(h->push_json(rows, str("{}")) == EP_E_ARG);
    EXPECT(h->watermark(rows, 0) == EP_E_ARG);
    m->lent = rows;
  }
  if (is(m->fault, "fails_garbled") && len > 0) {
    EXPECT(h->fail_row(rows, 0, NO_TEXT) == EP_OK);
    EXPECT(h->fail_row(rows, 0, str("again")) == EP_OK);
    if (len > 1) EXPECT(h->fail_row(rows, 1, NOTHING) == EP_OK);
  }
  return trouble(m, "process", EP_OK);
}

/* ---- correlator --------------------------------------------------------------------------------- */
static ep_status correlate(void *self, ep_batch *in, ep_batch *out) {
  me *m = self;
  const ep_host *h = m->host;
  size_t len = h->batch_len(in);
  for (size_t row = 0; row < len; row++) {
    size_t made = h->push_row(out, in, row);
    EXPECT(made != EP_NO_ROW);
    if (!is(m->fault, "nameless"))
      EXPECT(h->set(out, made, m->event_type, text_value(EP_STRING, str("probe_seen"))) == EP_OK);
    ep_value n = *value(EP_I64);
    n.u.i = m->given++;
    EXPECT(h->set(out, made, m->n, &n) == EP_OK);
  }
  if (is(m->fault, "misuse")) {
    no_cells(m, in, 0);
    no_cells(m, out, 1);
    no_batches(m);
    no_instances(m);
    from_another_thread(m, out);
    EXPECT(h->push_row(in, NULL, 0) == EP_NO_ROW);
    EXPECT(h->push_row(out, out, 0) == EP_NO_ROW);
    EXPECT(h->push_row(out, in, len) == EP_NO_ROW);
    if (m->lent != NULL) EXPECT(h->push_row(out, m->lent, 0) == EP_NO_ROW);
    EXPECT(h->push_json(in, str("{}")) == EP_E_ARG);
    m->lent = out;
  }
  h->next_tick(m->ctx, INT64_MIN);
  return trouble(m, "correlate", EP_OK);
}

static ep_status tick(void *self, int64_t now_ms, ep_batch *out) {
  me *m = self;
  (void)now_ms, (void)out;
  if (is(m->fault, "ticks_ever")) m->host->next_tick(m->ctx, INT64_MIN);
  return trouble(m, "tick", EP_OK);
}

static ep_status drain(void *self, int64_t end_ms, ep_batch *out) {
  (void)end_ms, (void)out;
  return trouble(self, "drain", EP_OK);
}

/* ---- source ------------------------------------------------------------------------------------- */
static ep_status poll_events(void *self, ep_batch *out, size_t max, uint32_t timeout_ms, uint64_t *token) {
  me *m = self;
  const ep_host *h = m->host;
  (void)timeout_ms;
  ep_status status = trouble(m, "poll", EP_OK);
  if (status != EP_OK) return status;
  if (is(m->fault, "misuse")) {
    no_batches(m);
    no_instances(m);
    no_sense(m);
    from_another_thread(m, out);
    EXPECT(h->push_json(out, str("{\"event_type\":")) == EP_E_ARG);
    EXPECT(h->push_json(out, str("[]")) == EP_E_ARG);
    EXPECT(h->push_json(out, NO_TEXT) == EP_E_ARG);
    EXPECT(h->push_json(out, NOTHING) == EP_E_ARG);
    EXPECT(h->push_row(out, out, 0) == EP_NO_ROW);
    m->lent = out;
  }
  size_t wanted = is(m->fault, "floods") ? max * 3 + 1 : max;
  for (; wanted > 0 && m->given < m->count; wanted--) {
    size_t row = h->push_row(out, NULL, 0);
    if (row == EP_NO_ROW) {
      EXPECT(is(m->fault, "floods"));
      break;
    }
    if (!is(m->fault, "nameless"))
      EXPECT(h->set(out, row, m->event_type, text_value(EP_STRING, str("probe_sent"))) == EP_OK);
    ep_value n = *value(EP_I64);
    n.u.i = m->given++;
    EXPECT(h->set(out, row, m->n, &n) == EP_OK);
    ep_value time = *value(EP_TIME);
    time.u.i = 1732874400000 + (is(m->fault, "backwards") ? -n.u.i : n.u.i) * 1000;
    EXPECT(h->set(out, row, m->time, &time) == EP_OK);
    if (is(m->fault, "backwards")) EXPECT(h->watermark(out, time.u.i + 5000) == EP_OK);
  }
  if (is(m->fault, "misuse")) no_cells(m, out, 1);
  *token = is(m->fault, "backwards") ? 0 : (uint64_t)m->given;
  return m->given < m->count || h->batch_len(out) > 0 ? EP_OK : EP_END;
}

static ep_status ack(void *self, uint64_t token) {
  (void)token;
  return trouble(self, "ack", EP_OK);
}

/* ---- sink --------------------------------------------------------------------------------------- */
static void answer(me *m, uint64_t token, ep_status status, const ep_refusal *refusals, size_t len) {
  ep_outcome outcome = {.size = sizeof outcome, .status = status, .refusals = refusals, .refusals_len = len};
  m->host->complete(m->ctx, token, &outcome);
}

static ep_status write_batch(void *self, const ep_batch *batch, uint64_t token) {
  me *m = self;
  const ep_host *h = m->host;
  size_t len = h->batch_len(batch), written = 0;
  ep_batch *same = (ep_batch *)batch;
  for (size_t row = 0; row < len; row++) EXPECT(h->write_json(batch, row, ignore, &written) == EP_OK);
  EXPECT(written > len);
  m->token = token;
  m->given++;
  if (is(m->fault, "lingers") && m->gone == NULL) {
    m->kept = h->retain(m->ctx, batch);
    leave_a_thread(m);
  }
  if (is(m->fault, "misuse")) {
    no_cells(m, same, 0);
    no_batches(m);
    no_instances(m);
    no_sense(m);
    EXPECT(h->push_row(same, NULL, 0) == EP_NO_ROW);
    from_another_thread(m, same);
    const ep_batch *once = h->retain(m->ctx, batch), *twice = h->retain(m->ctx, once);
    EXPECT(once != NULL && twice != NULL && once != twice && once != batch);
    EXPECT(h->batch_len(once) == len && h->batch_len(twice) == len);
    EXPECT(h->set((ep_batch *)once, 0, m->n, value(EP_I64)) == EP_E_ARG);
    EXPECT(h->drop_row((ep_batch *)once, 0) == EP_E_ARG);
    h->release(m->ctx, once);
    no_batch(m, (ep_batch *)once);
    EXPECT(h->batch_len(twice) == len);
    h->release(m->ctx, twice);
    no_batch(m, (ep_batch *)twice);
    h->release(m->ctx, batch);
    EXPECT(h->batch_len(batch) == len);
    m->lent = same;
  }
  if (is(m->fault, "keeps")) h->retain(m->ctx, batch);
  if (is(m->fault, "never")) return EP_PENDING;
  if (is(m->fault, "done_and_completes")) {
    answer(m, token, EP_OK, NULL, 0);
    return EP_OK;
  }
  if (is(m->fault, "fails_and_completes")) {
    answer(m, token, EP_OK, NULL, 0);
    h->set_error(m->ctx, str("after all not"));
    return EP_E_REJECTED;
  }
  ep_status status = trouble(m, "write", EP_PENDING);
  if (status != EP_PENDING) return status;
  if (is(m->fault, "refuses_oddly")) {
    /* Not by ascending row, twice the same, rows that are none, statuses that are none. */
    ep_refusal odd[5] = {{.row = SIZE_MAX, .status = EP_E_REJECTED, .reason = str("no such row")},
                         {.row = 1, .status = 4711, .reason = NO_TEXT},
                         {.row = 0, .status = EP_E_REJECTED, .reason = str("the first")},
                         {.row = 0, .status = EP_E_RETRY, .reason = str("the first again")},
                         {.row = len, .status = EP_OK, .reason = NOTHING}};
    answer(m, token, EP_OK, odd, 5);
  } else if (is(m->fault, "refuses_nothing")) {
    answer(m, token, EP_OK, NULL, 4711);
  } else if (is(m->fault, "answers_oddly")) {
    answer(m, token, (ep_status)m->status, NULL, 0);
  } else if (is(m->fault, "answers_without_a_size")) {
    ep_outcome outcome = {.size = 0};
    h->complete(m->ctx, token, &outcome);
  } else {
    answer(m, token, EP_OK, NULL, 0);
  }
  if (is(m->fault, "twice")) answer(m, token, EP_E_REJECTED, NULL, 0);
  if (is(m->fault, "another")) answer(m, token + 1000000, EP_E_REJECTED, NULL, 0);
  return EP_PENDING;
}

static ep_status flush(void *self, uint64_t token) {
  me *m = self;
  if (is(m->at, "flush") && is(m->fault, "never")) return EP_PENDING;
  ep_status status = trouble(m, "flush", EP_OK);
  if (status == EP_OK && is(m->fault, "twice")) answer(m, token, EP_OK, NULL, 0);
  return status;
}

/* ---- what there is ------------------------------------------------------------------------------ */
#define COMMON(the_kind, the_name)                                                     \
  .size = sizeof(ep_plugin), .kind = the_kind, .name = EP_STR(the_name),               \
  .version = EP_STR("1.0.0"), .summary = EP_STR("Misbehaves when it is told to."),     \
  .config_schema = EP_STR(                                                             \
      "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{"           \
      "\"fault\":{\"type\":\"string\",\"description\":\"How.\"},"                      \
      "\"at\":{\"type\":\"string\",\"description\":\"In which call.\"},"               \
      "\"after\":{\"type\":\"integer\",\"description\":\"Behind how many of them.\"}," \
      "\"status\":{\"type\":\"integer\",\"description\":\"What it returns.\"},"        \
      "\"count\":{\"type\":\"integer\",\"description\":\"How many events.\"}}}"),      \
  .example = EP_STR("fault: none\n"), .create = create, .start = start,                \
  .request_stop = request_stop, .destroy = destroy

#ifdef BLOCKING
#define FLAGS EP_F_BLOCKING
#else
#define FLAGS 0
#endif

static const ep_plugin SOURCE = {COMMON(EP_SOURCE, "c_source"), .extension = extension, .poll = poll_events, .ack = ack};
static const ep_plugin ENRICHER = {COMMON(EP_ENRICHER, "c_enricher"), .flags = FLAGS, .process = process};
static const ep_plugin CORRELATOR = {COMMON(EP_CORRELATOR, "c_correlator"), .flags = FLAGS, .extension = extension, .correlate = correlate, .tick = tick, .drain = drain};
static const ep_plugin SINK = {COMMON(EP_SINK, "c_sink"), .flags = FLAGS, .max_in_flight = 4, .flush = flush, .write = write_batch};

static const ep_plugin *const ALL[] = {&SOURCE, &ENRICHER, &CORRELATOR, &SINK};
static const ep_module MODULE = {EP_MAGIC, EP_ABI_MAJOR, EP_ABI_MINOR, sizeof(ep_module), EP_STR("cc"), 4, ALL};

const ep_module *engine_plugin_entry(uint32_t major, uint32_t minor) {
  (void)major, (void)minor;
  return &MODULE;
}
