# Edits of llama.cpp's source before it is compiled; see docs/set-up.md for what they gain.
# The build stops where the source is not the one expected.

function(codeserve_edit file before after)
    set(path "${CMAKE_CURRENT_SOURCE_DIR}/${file}")
    file(READ "${path}" code)
    string(FIND "${code}" "${after}" edited)
    if(NOT edited EQUAL -1)
        return()
    endif()
    string(FIND "${code}" "${before}" found)
    if(found EQUAL -1)
        message(FATAL_ERROR "edits.cmake does not know this ${file}: it lacks\n${before}")
    endif()
    string(REPLACE "${before}" "${after}" code "${code}")
    file(WRITE "${path}" "${code}")
endfunction()

# Sequences share one KV cache, so most of its cells are masked for any one of them. The loop does
# arithmetic before it passes over one; here it looks at nothing but the mask (0xFC00 is minus
# infinity in half precision).
set(CODESERVE_LOOP "for (int64_t ic = ic_start; ic < ic_end; ++ic) {\n")
set(CODESERVE_MASK "            const float mv = mp ? slope*GGML_CPU_FP16_TO_FP32(mp[ic]) : 0.0f;\n")
string(CONCAT CODESERVE_SKIP
    "            while (mp && ic < ic_end && mp[ic] == 0xFC00) ++ic;\n"
    "            if (ic == ic_end) break;\n")
codeserve_edit(ggml/src/ggml-cpu/ops.cpp
    "${CODESERVE_LOOP}${CODESERVE_MASK}"
    "${CODESERVE_LOOP}${CODESERVE_SKIP}${CODESERVE_MASK}")

# A new KV cache is filled with zeros, so all of it is in memory before the first token. Pages that
# the kernel gives anew are zero and take no memory until they are written.
if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
    set(CODESERVE_CLEAR "        ggml_backend_buffer_clear(buf, 0);\n        ctxs_bufs.emplace_back")
    codeserve_edit(src/llama-kv-cache.cpp "#include <unordered_map>\n"
        "#include <unordered_map>\n#include \"${CMAKE_CURRENT_LIST_DIR}/fresh_pages.h\"\n")
    codeserve_edit(src/llama-kv-cache.cpp "${CODESERVE_CLEAR}"
        "        if (buft != ggml_backend_cpu_buffer_type() || !codeserve_fresh_pages(buf))\n    ${CODESERVE_CLEAR}")
endif()

# Kernels for many CPUs are libraries of their own, of which one is loaded (GGML_BACKEND_DL). They are
# looked for beside the executable, which is Python's, and in the current folder, where anybody's may
# lie; here beside llama.cpp's own libraries alone.
if(GGML_BACKEND_DL AND CMAKE_SYSTEM_NAME STREQUAL "Linux")
    codeserve_edit(ggml/src/ggml-backend-reg.cpp "namespace fs = std::filesystem;\n"
        "namespace fs = std::filesystem;\n#include \"${CMAKE_CURRENT_LIST_DIR}/beside_library.h\"\n")
    codeserve_edit(ggml/src/ggml-backend-reg.cpp
        "search_paths.push_back(get_executable_path());" "search_paths.push_back(codeserve_beside_library());")
    codeserve_edit(ggml/src/ggml-backend-reg.cpp "search_paths.push_back(cwd);" "(void) cwd;")
endif()
