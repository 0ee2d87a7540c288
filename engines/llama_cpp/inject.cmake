# Read by CMake right after llama.cpp's own project() call; see build.py.

# llama-cpp-python forces llama.cpp's command-line helpers on, a third of the build, and uses none.
set(LLAMA_BUILD_COMMON OFF)

include("${CMAKE_CURRENT_LIST_DIR}/attention.cmake")

if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    add_compile_options("SHELL:-include \"${CMAKE_CURRENT_LIST_DIR}/amx_gcc.h\"")
endif()
