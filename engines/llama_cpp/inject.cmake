# Read by CMake right after llama.cpp's own project() call; see build.py.

# llama-cpp-python forces llama.cpp's command-line helpers on, a third of the build, and uses none.
set(LLAMA_BUILD_COMMON OFF)

include("${CMAKE_CURRENT_LIST_DIR}/edits.cmake")

if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    add_compile_options("SHELL:-include \"${CMAKE_CURRENT_LIST_DIR}/amx_gcc.h\"")
endif()

# With AVX512-FP16 the half-precision loops take 128 elements a step and leave a head of 64 to the
# loop for leftovers; they also round every partial sum to half precision.
include(CheckCXXCompilerFlag)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    check_cxx_compiler_flag(-mno-avx512fp16 CODESERVE_KNOWS_FP16)
    if(CODESERVE_KNOWS_FP16)
        add_compile_options($<$<COMPILE_LANGUAGE:C,CXX>:-mno-avx512fp16>)
    endif()
endif()
