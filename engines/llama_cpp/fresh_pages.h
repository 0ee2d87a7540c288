// Included by llama-kv-cache.cpp; see edits.cmake.
#pragma once

#include "ggml-backend.h"

#include <cstdint>
#include <cstring>
#include <sys/mman.h>
#include <unistd.h>

// Makes a buffer in plain memory read as zeros by giving its pages back to the kernel. False where
// the kernel refuses, as it does for locked memory.
static bool codeserve_fresh_pages(ggml_backend_buffer_t buffer) {
    const auto begin = reinterpret_cast<uintptr_t>(ggml_backend_buffer_get_base(buffer));
    const uintptr_t end = begin + ggml_backend_buffer_get_size(buffer);
    const uintptr_t page = sysconf(_SC_PAGESIZE);
    const uintptr_t first = (begin + page - 1) / page * page;
    const uintptr_t last = end / page * page;
    if (last <= first || madvise(reinterpret_cast<void *>(first), last - first, MADV_DONTNEED) != 0) {
        return false;
    }
    memset(reinterpret_cast<void *>(begin), 0, first - begin);
    memset(reinterpret_cast<void *>(last), 0, end - last);
    return true;
}
