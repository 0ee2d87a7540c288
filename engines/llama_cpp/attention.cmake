# Makes llama.cpp's attention on CPUs faster by two edits of its source; see docs/set-up.md.
# Stops the build where the source is not the one expected.

function(codeserve_edit file before after)
    set(path "${CMAKE_CURRENT_SOURCE_DIR}/ggml/src/ggml-cpu/${file}")
    file(READ "${path}" code)
    string(FIND "${code}" "${after}" edited)
    if(NOT edited EQUAL -1)
        return()
    endif()
    string(FIND "${code}" "${before}" position)
    if(position EQUAL -1)
        message(FATAL_ERROR "attention.cmake does not know this ${file}: it lacks\n${before}")
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
codeserve_edit(ops.cpp
    "${CODESERVE_LOOP}${CODESERVE_MASK}"
    "${CODESERVE_LOOP}${CODESERVE_SKIP}${CODESERVE_MASK}")

# With AVX512-FP16 the half-precision loops take 128 elements a step. A head of 64 then falls to
# the loop for leftovers, which looks every number up in a table.
codeserve_edit(simd-mappings.h
    "#define GGML_F16_STEP 128\n#define GGML_F16_EPR  32\n"
    "#define GGML_F16_STEP 64\n#define GGML_F16_EPR  32\n")
