// oneDNN's convolutions as handlers of XLA's foreign function interface.
//
// Integers (struct description) describe a call: which of the three convolutions it is, and for
// each operand its sizes and the distances in memory from one entry to the next. The same integers
// are the query whether oneDNN supports the call (jaxcnn_onednn_ask), the attribute of the call in
// a compiled program, and the key under which the primitive is cached.
//
// Python passes the addresses of oneDNN's functions (jaxcnn_onednn_bind). The shim is not linked
// against the library, so no symbol can be confused with that of a copy in another package.
//
// Only one thread runs oneDNN (jaxcnn_onednn_serve); it serves all other threads in turn. oneDNN
// uses all cores, so two calls at once would gain nothing. Also, OpenMP keeps a team of threads for
// each thread that calls it. A team looks for work for a while after each call, and would keep the
// cores from the next caller's team.

#define _DEFAULT_SOURCE  // madvise, mincore

#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xmmintrin.h>

#include "oneapi/dnnl/dnnl.h"
#include "oneapi/dnnl/dnnl_debug.h"
#include "xla/ffi/api/c_api.h"

#define EXPORT __attribute__((visibility("default")))

// ---- oneDNN's functions ------------------------------------------------------------------------

#define FUNCTIONS(X)                                  \
  X(dnnl_set_primitive_cache_capacity)                \
  X(dnnl_engine_create)                               \
  X(dnnl_stream_create)                               \
  X(dnnl_stream_wait)                                 \
  X(dnnl_status2str)                                  \
  X(dnnl_memory_desc_create_with_strides)             \
  X(dnnl_memory_desc_create_with_tag)                 \
  X(dnnl_memory_desc_destroy)                         \
  X(dnnl_memory_desc_clone)                           \
  X(dnnl_memory_desc_equal)                           \
  X(dnnl_memory_desc_get_size)                        \
  X(dnnl_memory_create)                               \
  X(dnnl_memory_set_data_handle)                      \
  X(dnnl_memory_destroy)                              \
  X(dnnl_primitive_attr_create)                       \
  X(dnnl_primitive_attr_destroy)                      \
  X(dnnl_primitive_attr_set_scratchpad_mode)          \
  X(dnnl_primitive_attr_set_fpmath_mode)              \
  X(dnnl_primitive_desc_next_impl)                    \
  X(dnnl_primitive_desc_query)                        \
  X(dnnl_primitive_desc_query_md)                     \
  X(dnnl_primitive_desc_destroy)                      \
  X(dnnl_primitive_create)                            \
  X(dnnl_primitive_execute)                           \
  X(dnnl_primitive_destroy)                           \
  X(dnnl_reorder_primitive_desc_create)               \
  X(dnnl_convolution_forward_primitive_desc_create)   \
  X(dnnl_convolution_backward_data_primitive_desc_create) \
  X(dnnl_convolution_backward_weights_primitive_desc_create)

#define FIELD(name) __typeof__(&name) name;
#define NAME(name) #name,

static struct {
  FUNCTIONS(FIELD)
} api;

static const char *const names[] = {FUNCTIONS(NAME) NULL};

EXPORT const char *const *jaxcnn_onednn_names(void) { return names; }

// ---- The description of a call -----------------------------------------------------------------

enum kind { FORWARD = 0, BACKWARD_DATA = 1, BACKWARD_WEIGHTS = 2 };

enum { MOST_AXES = 3, MOST_DIMS = MOST_AXES + 3, OPERANDS = 3, IMAGE = 0, KERNEL = 1, OUTPUT = 2 };

// The integers, in this order. Entries of axes beyond the last are zero.
struct description {
  int64_t kind;
  int64_t type;         // XLA's number of the operands' dtype
  int64_t axes;         // number of spatial axes
  int64_t grouped;      // whether the kernel's first axis holds the groups
  int64_t rearranged;   // whether oneDNN may copy images and outputs into other layouts
  int64_t passed_over;  // implementations to skip, of those that support it
  int64_t sizes[OPERANDS][MOST_DIMS];    // image (N, C, *size), kernel ((g,) O, C, *F), output
  int64_t strides[OPERANDS][MOST_DIMS];  // distances in memory from one entry to the next
  int64_t stride[MOST_AXES];
  int64_t dilation[MOST_AXES];  // 1: none
  int64_t before[MOST_AXES];    // padding
  int64_t after[MOST_AXES];
};

enum { NUMBERS = sizeof(struct description) / sizeof(int64_t) };

EXPORT int64_t jaxcnn_onednn_numbers(void) { return NUMBERS; }

// The first operand, the second and the result, as indices into struct description.
static const int roles[3][3] = {
    {IMAGE, KERNEL, OUTPUT}, {OUTPUT, KERNEL, IMAGE}, {IMAGE, OUTPUT, KERNEL}};

static const int arguments[3][3] = {
    {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST},
    {DNNL_ARG_DIFF_DST, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_SRC},
    {DNNL_ARG_SRC, DNNL_ARG_DIFF_DST, DNNL_ARG_DIFF_WEIGHTS}};

static const dnnl_query_t queries[3][3] = {
    {dnnl_query_src_md, dnnl_query_weights_md, dnnl_query_dst_md},
    {dnnl_query_diff_dst_md, dnnl_query_weights_md, dnnl_query_diff_src_md},
    {dnnl_query_src_md, dnnl_query_diff_dst_md, dnnl_query_diff_weights_md}};

// ---- A cached primitive ------------------------------------------------------------------------

enum { NAME_LENGTH = 48 };

struct operand {
  dnnl_memory_t given;     // in XLA's memory
  dnnl_memory_t inside;    // in oneDNN's layout; NULL if that is the same
  dnnl_primitive_desc_t described;
  dnnl_primitive_t reorder;
  size_t bytes;            // of the array in oneDNN's layout
  char reordered_by[NAME_LENGTH];
};

struct kept {
  struct description key;
  struct kept *next;       // in its bucket
  uint64_t used;           // when it was last used
  dnnl_primitive_desc_t described;  // NULL if only slow implementations support it
  dnnl_primitive_t primitive;       // created when it is first executed
  dnnl_memory_t workspace;
  size_t workspace_bytes;
  size_t bytes;            // all memory that oneDNN needs in addition to the operands
  struct operand operands[3];  // by role
  char name[NAME_LENGTH];
};

enum { BUCKETS = 512, MOST_KEPT = 1024, ALIGNMENT = 64 };

static const uintptr_t LARGE_PAGE = (uintptr_t)2 << 20;

static const size_t MOST_BYTES_KEPT = (size_t)256 << 20;

static struct kept *buckets[BUCKETS];
static size_t count;
static uint64_t clock_of_uses;
static dnnl_engine_t engine;
static dnnl_stream_t stream;
static char *scratch;        // kept from call to call, because reused memory is in the caches
static size_t scratch_bytes;
static const char *forbidden;

// Returns 0, or oneDNN's status. Only the first call does anything.
EXPORT int jaxcnn_onednn_bind(void **addresses) {
  if (engine) return dnnl_success;
  memcpy(&api, addresses, sizeof api);
  // Primitives are cached here. oneDNN's own cache (3.2) returns the same primitive again if the
  // next implementation is requested.
  dnnl_status_t status = api.dnnl_set_primitive_cache_capacity(0);
  if (status == dnnl_success) status = api.dnnl_engine_create(&engine, dnnl_cpu, 0);
  if (status == dnnl_success)
    status = api.dnnl_stream_create(&stream, engine, dnnl_stream_default_flags);
  return status;
}

// Makes every later call fail with this message, whose memory must stay valid. For use after a
// fork, when oneDNN's threads are gone.
EXPORT void jaxcnn_onednn_forbid(const char *why) { forbidden = why; }

// ---- One at a time -----------------------------------------------------------------------------

enum { FLUSH_TO_ZERO = 0x8000, DENORMALS_ARE_ZERO = 0x40 };

// A thread's request for work by oneDNN.
struct request {
  void (*run)(struct request *);
  void *what;
  int status;
  bool done;
  pthread_cond_t told;
  struct request *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wanted = PTHREAD_COND_INITIALIZER;
static struct request *first, **last = &first;  // the queue

// Serves forever, in a thread that does nothing else. A second call returns at once.
EXPORT void jaxcnn_onednn_serve(void) {
  static bool served;
  pthread_mutex_lock(&lock);
  const bool again = served;
  served = true;
  pthread_mutex_unlock(&lock);
  if (again) return;
  // Denormal numbers are zeros, as in XLA's own threads; OpenMP's threads inherit this setting.
  _mm_setcsr(_mm_getcsr() | FLUSH_TO_ZERO | DENORMALS_ARE_ZERO);
  pthread_mutex_lock(&lock);
  for (;;) {
    while (!first) pthread_cond_wait(&wanted, &lock);
    struct request *current = first;
    first = current->next;
    if (!first) last = &first;
    pthread_mutex_unlock(&lock);
    current->run(current);
    pthread_mutex_lock(&lock);
    current->done = true;
    pthread_cond_signal(&current->told);
  }
}

// Queues a request and waits until it is done.
static int serve(struct request *mine) {
  pthread_cond_init(&mine->told, NULL);
  pthread_mutex_lock(&lock);
  *last = mine;
  last = &mine->next;
  pthread_cond_signal(&wanted);
  while (!mine->done) pthread_cond_wait(&mine->told, &lock);
  pthread_mutex_unlock(&lock);
  pthread_cond_destroy(&mine->told);
  return mine->status;
}

// ---- Primitives --------------------------------------------------------------------------------

static size_t aligned(size_t bytes) { return (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1); }

static void dispose(struct kept *one) {
  if (one->described) api.dnnl_primitive_desc_destroy(one->described);
  if (one->primitive) api.dnnl_primitive_destroy(one->primitive);
  if (one->workspace) api.dnnl_memory_destroy(one->workspace);
  for (int i = 0; i < 3; i++) {
    struct operand *operand = &one->operands[i];
    if (operand->given) api.dnnl_memory_destroy(operand->given);
    if (operand->inside) api.dnnl_memory_destroy(operand->inside);
    if (operand->described) api.dnnl_primitive_desc_destroy(operand->described);
    if (operand->reorder) api.dnnl_primitive_destroy(operand->reorder);
  }
  free(one);
}

static void copy_name(char *to, const_dnnl_primitive_desc_t desc) {
  const char *name = NULL;
  api.dnnl_primitive_desc_query(desc, dnnl_query_impl_info_str, 0, &name);
  strncpy(to, name ? name : "", NAME_LENGTH - 1);
}

// Whether an implementation uses plain loops, or writes patches to memory.
static bool is_slow(const char *name) {
  return !strncmp(name, "gemm", 4) || !strncmp(name, "ref", 3) || !strncmp(name, "x64:gemm", 8);
}

#define TRY(expression)                              \
  do {                                               \
    status = (expression);                           \
    if (status != dnnl_success) goto done;           \
  } while (0)

static dnnl_data_type_t type_of(int64_t type) {
  return type == XLA_FFI_DataType_F32    ? dnnl_f32
         : type == XLA_FFI_DataType_BF16 ? dnnl_bf16
                                         : dnnl_data_type_undef;
}

static dnnl_status_t describe_convolution(const struct description *d, dnnl_memory_desc_t *mds,
                                          const_dnnl_primitive_attr_t attr,
                                          dnnl_primitive_desc_t *desc) {
  // oneDNN's arrays of sizes are longer.
  dnnl_dims_t stride = {0}, dilates = {0}, before = {0}, after = {0};
  for (int i = 0; i < d->axes; i++) {
    stride[i] = d->stride[i];
    dilates[i] = d->dilation[i] - 1;
    before[i] = d->before[i];
    after[i] = d->after[i];
  }
  const dnnl_alg_kind_t direct = dnnl_convolution_direct;
  dnnl_primitive_desc_t forward = NULL;
  dnnl_status_t status;
  // For the other kinds this is only a hint; its implementation does not matter.
  TRY(api.dnnl_convolution_forward_primitive_desc_create(
      d->kind == FORWARD ? desc : &forward, engine,
      d->kind == FORWARD ? dnnl_forward_inference : dnnl_forward_training, direct, mds[IMAGE],
      mds[KERNEL], NULL, mds[OUTPUT], stride, dilates, before, after, attr));
  if (d->kind == BACKWARD_DATA)
    TRY(api.dnnl_convolution_backward_data_primitive_desc_create(
        desc, engine, direct, mds[IMAGE], mds[KERNEL], mds[OUTPUT], stride, dilates, before,
        after, forward, attr));
  else if (d->kind == BACKWARD_WEIGHTS)
    TRY(api.dnnl_convolution_backward_weights_primitive_desc_create(
        desc, engine, direct, mds[IMAGE], mds[KERNEL], NULL, mds[OUTPUT], stride, dilates,
        before, after, forward, attr));
  // Before the hint is destroyed, because the search for the next implementation uses it.
  for (int64_t i = 0; i < d->passed_over; i++) TRY(api.dnnl_primitive_desc_next_impl(*desc));
done:
  if (forward) api.dnnl_primitive_desc_destroy(forward);
  return status;
}

static dnnl_status_t describe_operand(struct operand *operand, const_dnnl_memory_desc_t given,
                                      const_dnnl_memory_desc_t inside, bool is_result) {
  dnnl_status_t status;
  TRY(api.dnnl_memory_create(&operand->given, given, engine, DNNL_MEMORY_NONE));
  if (api.dnnl_memory_desc_equal(given, inside)) goto done;
  operand->bytes = api.dnnl_memory_desc_get_size(inside);
  TRY(api.dnnl_memory_create(&operand->inside, inside, engine, DNNL_MEMORY_NONE));
  TRY(api.dnnl_reorder_primitive_desc_create(&operand->described, is_result ? inside : given,
                                             engine, is_result ? given : inside, engine, NULL));
  copy_name(operand->reordered_by, operand->described);
done:
  return status;
}

// Finds oneDNN's implementation of a description.
static dnnl_status_t describe(const struct description *d, struct kept **described) {
  dnnl_status_t status = dnnl_out_of_memory;
  dnnl_memory_desc_t given[OPERANDS] = {NULL}, wanted[OPERANDS] = {NULL};
  dnnl_primitive_attr_t attr = NULL;
  const dnnl_data_type_t type = type_of(d->type);
  if (d->axes < 1 || d->axes > MOST_AXES) return dnnl_invalid_arguments;
  struct kept *one = calloc(1, sizeof *one);
  if (!one) goto done;
  one->key = *d;
  for (int i = 0; i < OPERANDS; i++) {
    dnnl_dims_t sizes = {0}, strides = {0};
    memcpy(sizes, d->sizes[i], sizeof d->sizes[i]);
    memcpy(strides, d->strides[i], sizeof d->strides[i]);
    const int dims = (int)d->axes + 2 + (i == KERNEL && d->grouped);
    TRY(api.dnnl_memory_desc_create_with_strides(&given[i], dims, sizes, type, strides));
    if (i == KERNEL || d->rearranged)
      TRY(api.dnnl_memory_desc_create_with_tag(&wanted[i], dims, sizes, type, dnnl_format_tag_any));
    else
      TRY(api.dnnl_memory_desc_clone(&wanted[i], given[i]));
  }
  TRY(api.dnnl_primitive_attr_create(&attr));
  TRY(api.dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user));
  TRY(api.dnnl_primitive_attr_set_fpmath_mode(attr, dnnl_fpmath_mode_strict));
  TRY(describe_convolution(d, wanted, attr, &one->described));
  const dnnl_primitive_desc_t desc = one->described;
  copy_name(one->name, desc);
  if (is_slow(one->name)) {  // the next ones would be slower
    api.dnnl_primitive_desc_destroy(desc);
    one->described = NULL;
    goto done;
  }
  for (int i = 0; i < 3; i++) {
    TRY(describe_operand(&one->operands[i], given[roles[d->kind][i]],
                         api.dnnl_primitive_desc_query_md(desc, queries[d->kind][i], 0), i == 2));
    one->bytes += aligned(one->operands[i].bytes);
  }
  const_dnnl_memory_desc_t workspace =
      api.dnnl_primitive_desc_query_md(desc, dnnl_query_scratchpad_md, 0);
  one->workspace_bytes = workspace ? api.dnnl_memory_desc_get_size(workspace) : 0;
  if (one->workspace_bytes) {
    TRY(api.dnnl_memory_create(&one->workspace, workspace, engine, DNNL_MEMORY_NONE));
    one->bytes += aligned(one->workspace_bytes);
  }
done:
  for (int i = 0; i < OPERANDS; i++) {
    if (given[i]) api.dnnl_memory_desc_destroy(given[i]);
    if (wanted[i]) api.dnnl_memory_desc_destroy(wanted[i]);
  }
  if (attr) api.dnnl_primitive_attr_destroy(attr);
  if (status == dnnl_success)
    *described = one;
  else if (one)
    dispose(one);
  return status;
}

// Creates the primitive, once.
static dnnl_status_t make(struct kept *one) {
  dnnl_status_t status = one->described ? dnnl_success : dnnl_unimplemented;
  if (status != dnnl_success || one->primitive) return status;
  for (int i = 0; i < 3; i++) {
    struct operand *operand = &one->operands[i];
    if (operand->described && !operand->reorder)
      TRY(api.dnnl_primitive_create(&operand->reorder, operand->described));
  }
  TRY(api.dnnl_primitive_create(&one->primitive, one->described));
done:
  return status;
}

static void forget_oldest(void) {
  struct kept **oldest = NULL;
  for (int i = 0; i < BUCKETS; i++)
    for (struct kept **place = &buckets[i]; *place; place = &(*place)->next)
      if (!oldest || (*place)->used < (*oldest)->used) oldest = place;
  struct kept *gone = *oldest;
  *oldest = gone->next;
  dispose(gone);
  count--;
}

// The cached primitive of a description; adds it if there is none.
static dnnl_status_t find(const struct description *d, struct kept **found) {
  uint64_t hash = 14695981039346656037u;
  for (int i = 0; i < NUMBERS; i++) hash = (hash ^ (uint64_t)((const int64_t *)d)[i]) * 1099511628211u;
  struct kept **bucket = &buckets[(hash >> 32) % BUCKETS];
  for (*found = *bucket; *found; *found = (*found)->next)
    if (!memcmp(&(*found)->key, d, sizeof *d)) break;
  if (!*found) {
    dnnl_status_t status = describe(d, found);
    if (status != dnnl_success) return status;
    if (count == MOST_KEPT) forget_oldest();
    (*found)->next = *bucket;
    *bucket = *found;
    count++;
  }
  (*found)->used = ++clock_of_uses;
  return dnnl_success;
}

// ---- The query ---------------------------------------------------------------------------------

struct question {
  struct description d;
  char *named;
  int64_t *bytes;
};

static void answer(struct request *request) {
  const struct question *asked = request->what;
  struct kept *found;
  request->status = find(&asked->d, &found);
  if (request->status != dnnl_success) return;
  memcpy(asked->named, found->name, NAME_LENGTH);
  for (int i = 0; i < 3; i++) {
    memcpy(asked->named + (i + 1) * NAME_LENGTH, found->operands[i].reordered_by, NAME_LENGTH);
    asked->bytes[i] = (int64_t)found->operands[i].bytes;
  }
  asked->bytes[3] = found->described ? (int64_t)found->workspace_bytes : -1;
}

// Reports the implementation that oneDNN would use. Returns 0, or oneDNN's status.
//   named: room for 4 * 48 characters: the name of the implementation, and for each operand, in the
//     order of the call, the name of the implementation that copies it into another layout; empty
//     if it is not copied.
//   bytes: four numbers: the bytes of each operand that is copied, and of oneDNN's own memory; the
//     last is -1 if only slow implementations support the call.
EXPORT int jaxcnn_onednn_ask(const int64_t *numbers, char *named, int64_t *bytes) {
  struct question asked = {.named = named, .bytes = bytes};
  memcpy(&asked.d, numbers, sizeof asked.d);
  struct request request = {.run = answer, .what = &asked};
  return serve(&request);
}

EXPORT const char *jaxcnn_onednn_says(int status) { return api.dnnl_status2str(status); }

// ---- The call ----------------------------------------------------------------------------------

static dnnl_status_t execute(struct kept *one, void **data, char *room) {
  dnnl_status_t status;
  dnnl_exec_arg_t args[4];
  for (int i = 0; i < 3; i++) {
    struct operand *operand = &one->operands[i];
    TRY(api.dnnl_memory_set_data_handle(operand->given, data[i]));
    args[i].arg = arguments[one->key.kind][i];
    args[i].memory = operand->given;
    if (!operand->inside) continue;
    TRY(api.dnnl_memory_set_data_handle(operand->inside, room));
    room += aligned(operand->bytes);
    args[i].memory = operand->inside;
    if (i == 2) continue;
    const dnnl_exec_arg_t laid[] = {{DNNL_ARG_FROM, operand->given}, {DNNL_ARG_TO, operand->inside}};
    TRY(api.dnnl_primitive_execute(operand->reorder, stream, 2, laid));
  }
  if (one->workspace) {
    TRY(api.dnnl_memory_set_data_handle(one->workspace, room));
    args[3].arg = DNNL_ARG_SCRATCHPAD;
    args[3].memory = one->workspace;
  }
  TRY(api.dnnl_primitive_execute(one->primitive, stream, one->workspace ? 4 : 3, args));
  struct operand *result = &one->operands[2];
  if (result->inside) {
    const dnnl_exec_arg_t laid[] = {{DNNL_ARG_FROM, result->inside}, {DNNL_ARG_TO, result->given}};
    TRY(api.dnnl_primitive_execute(result->reorder, stream, 2, laid));
  }
  TRY(api.dnnl_stream_wait(stream));
done:
  return status;
}

// ---- Large pages -------------------------------------------------------------------------------
//
// XLA allocates new memory for every execution of a program, all temporaries in one piece, and the
// system clears each page when it is first touched: tens of thousands of pages per training step.
// With large pages (a hint by madvise) there are five hundred times fewer. No result changes.

static void in_large_pages(uintptr_t begin, uintptr_t end) {
  const uintptr_t first = (begin + LARGE_PAGE - 1) & ~(LARGE_PAGE - 1), last = end & ~(LARGE_PAGE - 1);
  if (last > first) madvise((void *)first, last - first, MADV_HUGEPAGE);
}

// Gives the hint for the whole mapping that contains an address.
static void whole_mapping_in_large_pages(uintptr_t address) {
  static char text[1 << 16];
  const int file = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  if (file < 0) return;
  size_t kept = 0;
  for (ssize_t more; (more = read(file, text + kept, sizeof text - 1 - kept)) > 0;) {
    text[kept + (size_t)more] = 0;
    char *line = text;
    for (char *end; (end = strchr(line, '\n')); line = end + 1) {
      char *rest;
      const uintptr_t begin = strtoul(line, &rest, 16), stop = strtoul(rest + 1, NULL, 16);
      if (begin > address || address >= stop) continue;
      in_large_pages(begin, stop);
      goto done;
    }
    kept = strlen(line);
    memmove(text, line, kept);
    if (kept == sizeof text - 1) break;
  }
done:
  close(file);
}

// Called with the result of every convolution; affects only large ones in new memory.
static void result_in_large_pages(XLA_FFI_CallFrame *frame, char *data, size_t bytes) {
  static int64_t last_run;
  unsigned char there = 0;
  const uintptr_t begin = (uintptr_t)data, middle = (begin + bytes / 2) & ~(uintptr_t)4095;
  if (bytes < 2 * LARGE_PAGE || mincore((void *)middle, 1, &there) || there & 1) return;
  XLA_FFI_RunId_Get_Args run = {.struct_size = XLA_FFI_RunId_Get_Args_STRUCT_SIZE,
                                .ctx = frame->ctx};
  XLA_FFI_Error *failed = frame->api->XLA_FFI_RunId_Get(&run);
  if (failed) {
    XLA_FFI_Error_Destroy_Args gone = {.struct_size = XLA_FFI_Error_Destroy_Args_STRUCT_SIZE,
                                       .error = failed};
    frame->api->XLA_FFI_Error_Destroy(&gone);
  } else if (run.run_id != last_run) {
    last_run = run.run_id;
    whole_mapping_in_large_pages(begin);
  }
  in_large_pages(begin, begin + bytes);
}

// Memory for reordered operands and for oneDNN's own use; NULL if the allocation fails.
static char *room_of(size_t bytes, char **to_free) {
  *to_free = NULL;
  if (bytes <= scratch_bytes) return scratch;
  const size_t whole = (bytes + ((size_t)1 << 20) - 1) & ~(((size_t)1 << 20) - 1);
  const bool is_kept = whole <= MOST_BYTES_KEPT;
  if (is_kept) {
    free(scratch);
    scratch = NULL;
    scratch_bytes = 0;
  }
  char *room = aligned_alloc(ALIGNMENT, whole);
  if (!room) return NULL;
  in_large_pages((uintptr_t)room, (uintptr_t)room + whole);
  if (is_kept) {
    scratch = room;
    scratch_bytes = whole;
  } else {
    *to_free = room;
  }
  return room;
}

static XLA_FFI_Error *error(const XLA_FFI_Api *xla, XLA_FFI_Error_Code code, const char *begin,
                            const char *end) {
  char message[512] = "";
  strncat(message, begin, 255);
  strncat(message, end, 255);
  XLA_FFI_Error_Create_Args args = {.struct_size = XLA_FFI_Error_Create_Args_STRUCT_SIZE,
                                    .message = message,
                                    .errc = code};
  return xla->XLA_FFI_Error_Create(&args);
}

struct call {
  struct description d;
  XLA_FFI_CallFrame *frame;
  void *data[3];
  size_t result_bytes;
};

static void compute(struct request *request) {
  struct call *call = request->what;
  struct kept *found;
  char *to_free = NULL;
  dnnl_status_t status;
  result_in_large_pages(call->frame, call->data[2], call->result_bytes);
  TRY(find(&call->d, &found));
  TRY(make(found));
  char *room = room_of(found->bytes, &to_free);
  status = found->bytes && !room ? dnnl_out_of_memory : execute(found, call->data, room);
  free(to_free);
done:
  request->status = status;
}

static XLA_FFI_Error *as_described(const struct description *d, XLA_FFI_CallFrame *frame,
                                   struct call *call) {
  for (int i = 0; i < 3; i++) {
    const XLA_FFI_Buffer *buffer = i < 2 ? frame->args.args[i] : frame->rets.rets[0];
    int64_t cells = 1, described = 1;
    for (int64_t axis = 0; axis < buffer->rank; axis++) cells *= buffer->dims[axis];
    const int64_t *sizes = d->sizes[roles[d->kind][i]];
    for (int axis = 0; axis < MOST_DIMS && sizes[axis]; axis++) described *= sizes[axis];
    if (buffer->dtype != (XLA_FFI_DataType)d->type || cells != described)
      return error(frame->api, XLA_FFI_Error_Code_INVALID_ARGUMENT, "jaxcnn_onednn_convolution: ",
                   "operands of another dtype or size than described");
    call->data[i] = buffer->data;
    call->result_bytes = (size_t)cells * (d->type == XLA_FFI_DataType_F32 ? 4 : 2);
  }
  return NULL;
}

EXPORT XLA_FFI_Error *jaxcnn_onednn_convolution(XLA_FFI_CallFrame *frame) {
  if (frame->extension_start && frame->extension_start->type == XLA_FFI_Extension_Metadata) {
    XLA_FFI_Metadata *metadata = ((XLA_FFI_Metadata_Extension *)frame->extension_start)->metadata;
    // All that this file uses has been the same since minor version 3.
    const int minor = frame->api->api_version.minor_version;
    metadata->api_version.major_version = XLA_FFI_API_MAJOR;
    metadata->api_version.minor_version = minor < XLA_FFI_API_MINOR ? minor : XLA_FFI_API_MINOR;
    metadata->traits = 0;
    return NULL;
  }
  const XLA_FFI_Api *xla = frame->api;
  if (forbidden) return error(xla, XLA_FFI_Error_Code_FAILED_PRECONDITION, "", forbidden);
  const XLA_FFI_Array *numbers = frame->attrs.size == 1 ? frame->attrs.attrs[0] : NULL;
  struct call call = {.frame = frame};
  if (frame->args.size != 2 || frame->rets.size != 1 || !numbers ||
      frame->attrs.types[0] != XLA_FFI_AttrType_ARRAY || numbers->dtype != XLA_FFI_DataType_S64 ||
      numbers->size != NUMBERS)
    return error(xla, XLA_FFI_Error_Code_INVALID_ARGUMENT, "jaxcnn_onednn_convolution: ",
                 "not a call of this version of jaxcnn; compile the program anew");
  memcpy(&call.d, numbers->data, sizeof call.d);
  if (call.d.kind < FORWARD || call.d.kind > BACKWARD_WEIGHTS)
    return error(xla, XLA_FFI_Error_Code_INVALID_ARGUMENT, "jaxcnn_onednn_convolution: ",
                 "no such direction");
  XLA_FFI_Error *wrong = as_described(&call.d, frame, &call);
  if (wrong) return wrong;
  struct request request = {.run = compute, .what = &call};
  const dnnl_status_t status = serve(&request);
  if (status == dnnl_success) return NULL;
  return error(xla,
               status == dnnl_out_of_memory ? XLA_FFI_Error_Code_RESOURCE_EXHAUSTED
                                            : XLA_FFI_Error_Code_INTERNAL,
               "oneDNN: ", api.dnnl_status2str(status));
}
