# Makes llama.cpp's attention on CPUs faster by an edit of its source; see docs/set-up.md.
# Stops the build where the source is not the one expected.

# Sequences share one KV cache, so most of its cells are masked for any one of them. The loop does
# arithmetic before it passes over one; here it looks at nothing but the mask (0xFC00 is minus
# infinity in half precision).
set(CODESERVE_LOOP "for (int64_t ic = ic_start; ic < ic_end; ++ic) {\n")
set(CODESERVE_MASK "            const float mv = mp ? slope*GGML_CPU_FP16_TO_FP32(mp[ic]) : 0.0f;\n")
string(CONCAT CODESERVE_SKIP
    "            while (mp && ic < ic_end && mp[ic] == 0xFC00) ++ic;\n"
    "            if (ic == ic_end) break;\n")
set(CODESERVE_OPS "${CMAKE_CURRENT_SOURCE_DIR}/ggml/src/ggml-cpu/ops.cpp")
file(READ "${CODESERVE_OPS}" CODESERVE_CODE)
string(FIND "${CODESERVE_CODE}" "${CODESERVE_LOOP}${CODESERVE_SKIP}" CODESERVE_EDITED)
if(CODESERVE_EDITED EQUAL -1)
    string(REPLACE
        "${CODESERVE_LOOP}${CODESERVE_MASK}"
        "${CODESERVE_LOOP}${CODESERVE_SKIP}${CODESERVE_MASK}"
        CODESERVE_NEW "${CODESERVE_CODE}")
    if(CODESERVE_NEW STREQUAL CODESERVE_CODE)
        message(FATAL_ERROR "attention.cmake does not know this ops.cpp: it lacks\n${CODESERVE_MASK}")
    endif()
    file(WRITE "${CODESERVE_OPS}" "${CODESERVE_NEW}")
endif()
