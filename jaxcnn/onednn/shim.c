// A stand-in: the interface of the shim, without a convolution.

#include <stddef.h>

#include "oneapi/dnnl/dnnl.h"
#include "xla/ffi/api/c_api.h"

#define EXPORTED __attribute__((visibility("default")))

static const char *const names[] = {"dnnl_engine_create", "dnnl_engine_destroy", NULL};

static struct {
  dnnl_status_t (*engine_create)(dnnl_engine_t *, dnnl_engine_kind_t, size_t);
  dnnl_status_t (*engine_destroy)(dnnl_engine_t);
} onednn;

static dnnl_engine_t engine;
static const char *forbidden;

EXPORTED const char *const *jaxcnn_onednn_names(void) { return names; }

EXPORTED int jaxcnn_onednn_bind(void **addresses) {
  for (size_t i = 0; names[i]; ++i) ((void **)&onednn)[i] = addresses[i];
  return onednn.engine_create(&engine, dnnl_cpu, 0);
}

EXPORTED void jaxcnn_onednn_forbid(const char *why) { forbidden = why; }

EXPORTED XLA_FFI_Error *jaxcnn_onednn_convolution(XLA_FFI_CallFrame *frame) {
  if (frame->extension_start && frame->extension_start->type == XLA_FFI_Extension_Metadata) {
    XLA_FFI_Metadata *metadata = ((XLA_FFI_Metadata_Extension *)frame->extension_start)->metadata;
    // What the run time speaks: nothing is used here that any version since 0.3 has otherwise.
    metadata->api_version.major_version = frame->api->api_version.major_version;
    metadata->api_version.minor_version = frame->api->api_version.minor_version;
    return NULL;
  }
  XLA_FFI_Error_Create_Args error = {
      .struct_size = XLA_FFI_Error_Create_Args_STRUCT_SIZE,
      .message = forbidden ? forbidden : "a stand-in computes nothing",
      .errc = forbidden ? XLA_FFI_Error_Code_FAILED_PRECONDITION : XLA_FFI_Error_Code_UNIMPLEMENTED,
  };
  return frame->api->XLA_FFI_Error_Create(&error);
}
