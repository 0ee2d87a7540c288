// Included by ggml-backend-reg.cpp; see edits.cmake.
#pragma once

#include <dlfcn.h>
#include <filesystem>

// The folder of the shared library that this code is in.
static std::filesystem::path codeserve_beside_library() {
    Dl_info library;
    if (dladdr(reinterpret_cast<void *>(&codeserve_beside_library), &library) == 0) {
        return {};
    }
    return std::filesystem::path(library.dli_fname).parent_path();
}
