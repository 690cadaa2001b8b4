# The ways in which this project adds targets, and what keeps the build short.

# tlsmux_compile_as_test(TARGET)
# For code that only tests use: without optimisation, which halves the time that it takes to compile. Not for tests of memory
# order or of speed.
function(tlsmux_compile_as_test target)
  target_compile_options(${target} PRIVATE "$<$<CONFIG:RelWithDebInfo>:-O0;-U_FORTIFY_SOURCE>")
endfunction()

# tlsmux_precompile_headers(TARGET)
# The headers that most tests include are compiled once, where TLSMUX_PRECOMPILED_HEADERS says so. doctest's is among them, so this
# is for programs that are linked with doctest.
function(tlsmux_precompile_headers target)
  if(TLSMUX_PRECOMPILED_BY)
    target_compile_options(${target} PRIVATE -fPIC) # as they were compiled, also in programs
    target_precompile_headers(${target} REUSE_FROM ${TLSMUX_PRECOMPILED_BY})
  endif()
endfunction()

# tlsmux_link_as_test(TARGET)
# mold takes a third of the time of the linker that what is installed is linked with.
include(CheckLinkerFlag)
check_linker_flag(CXX -fuse-ld=mold TLSMUX_HAVE_MOLD)
function(tlsmux_link_as_test target)
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/test-programs")
  if(TLSMUX_HAVE_MOLD)
    target_link_options(${target} PRIVATE -fuse-ld=mold)
  endif()
endfunction()

# tlsmux_reads_command_line(SOURCE...)
# For sources with CLI11, whose templates take longer than all else of a program, and which nothing waits for.
function(tlsmux_reads_command_line)
  set_source_files_properties(${ARGV} PROPERTIES COMPILE_OPTIONS "$<$<CONFIG:RelWithDebInfo>:-O1>")
endfunction()

# tlsmux_add_library(NAME [OPTIMISED] [SOURCES ...] [PUBLIC ...] [PRIVATE ...])
# A static library. PUBLIC and PRIVATE list the libraries it uses: those whose headers its own headers
# include, and those that only its sources use. With no sources it is a library of headers.
# Below tests/ it is compiled as a test unless OPTIMISED.
function(tlsmux_add_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "OPTIMISED" "" "SOURCES;PUBLIC;PRIVATE")
  if(arg_SOURCES)
    add_library(${name} STATIC ${arg_SOURCES})
    target_link_libraries(${name} PUBLIC ${arg_PUBLIC} PRIVATE ${arg_PRIVATE})
    if(TLSMUX_BELOW_TESTS AND NOT arg_OPTIMISED)
      tlsmux_compile_as_test(${name})
    endif()
  else()
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE ${arg_PUBLIC} ${arg_PRIVATE})
  endif()
endfunction()

# tlsmux_add_test(NAME SOURCES ... [LIBRARIES ...] [DEFINITIONS ...] [LABELS ...] [TIMEOUT_S n] [SERIAL] [OPTIMISED])
# A doctest program, with its main function supplied. Each test case is a test of its own in ctest, under its
# own name. A case that cannot run says why with skip() (tests/support/skip.hpp) and returns: ctest lists it.
# TLSMUX_PROGRAM_FOLDER is defined as the folder of tlsmuxd, tlsmux and tlsmux-host.
# OPTIMISED: its own sources are, as those of the project are; for tests of memory order or of speed.
# SERIAL: nothing else runs beside its cases. Each case is ended after TIMEOUT_S (60) seconds.
function(tlsmux_add_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "SERIAL;OPTIMISED" "TIMEOUT_S" "SOURCES;LIBRARIES;DEFINITIONS;LABELS")
  if(NOT arg_TIMEOUT_S)
    set(arg_TIMEOUT_S 60)
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ${arg_LIBRARIES} tlsmux_test_main tlsmux_test_support)
  target_compile_definitions(${name} PRIVATE ${arg_DEFINITIONS}
    "TLSMUX_PROGRAM_FOLDER=\"${CMAKE_RUNTIME_OUTPUT_DIRECTORY}\"")
  tlsmux_link_as_test(${name})
  if(NOT arg_OPTIMISED)
    tlsmux_compile_as_test(${name})
    tlsmux_precompile_headers(${name})
  endif()

  set(cases "${CMAKE_CURRENT_BINARY_DIR}/${name}_cases.cmake")
  add_custom_command(TARGET ${name} POST_BUILD
    BYPRODUCTS "${cases}"
    COMMAND "${CMAKE_COMMAND}"
      -D "PROGRAM=$<TARGET_FILE:${name}>" -D "TIMEOUT_S=${arg_TIMEOUT_S}" -D "LABELS=${arg_LABELS}"
      -D "SERIAL=${arg_SERIAL}" -D "OUTPUT=${cases}"
      -P "${PROJECT_SOURCE_DIR}/scripts/cmake/discover_tests.cmake"
    VERBATIM)
  set(include "${CMAKE_CURRENT_BINARY_DIR}/${name}_include.cmake")
  file(WRITE "${include}"
    "if(EXISTS [==[${cases}]==])\n  include([==[${cases}]==])\n"
    "else()\n  add_test(${name}_was_not_built false)\nendif()\n")
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES "${include}")
endfunction()

# tlsmux_add_fuzzer(NAME SOURCES ... [LIBRARIES ...] [DICTIONARY file] [CORPUS folder])
# A libFuzzer program with TLSMUX_FUZZ, which ctest runs for TLSMUX_FUZZ_SECONDS from the corpus; in other builds one that
# gives it the corpus, file by file: tests/fuzz/corpus/NAME, and CORPUS.
set(TLSMUX_FUZZ_SECONDS 20 CACHE STRING "How long ctest runs each fuzz target")
function(tlsmux_add_fuzzer name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "DICTIONARY;CORPUS" "SOURCES;LIBRARIES")
  set(corpora)
  if(EXISTS "${PROJECT_SOURCE_DIR}/tests/fuzz/corpus/${name}")
    list(APPEND corpora "${PROJECT_SOURCE_DIR}/tests/fuzz/corpus/${name}")
  endif()
  if(arg_CORPUS)
    list(APPEND corpora "${CMAKE_CURRENT_SOURCE_DIR}/${arg_CORPUS}")
  endif()
  if(NOT TLSMUX_FUZZ)
    if(corpora)
      add_executable(${name}_replay ${arg_SOURCES} "${PROJECT_SOURCE_DIR}/tests/fuzz/replay_main.cpp")
      target_link_libraries(${name}_replay PRIVATE ${arg_LIBRARIES})
      tlsmux_compile_as_test(${name}_replay)
      tlsmux_link_as_test(${name}_replay)
      add_test(NAME "hostile.corpus of ${name}" COMMAND ${name}_replay ${corpora})
      set_tests_properties("hostile.corpus of ${name}" PROPERTIES TIMEOUT 60)
    endif()
    return()
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ${arg_LIBRARIES})
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/fuzzers")
  if(NOT TARGET fuzzers)
    add_custom_target(fuzzers)
  endif()
  add_dependencies(fuzzers ${name})
  set(found "${CMAKE_BINARY_DIR}/found/${name}") # new inputs go here, not into the source tree
  file(MAKE_DIRECTORY "${found}")
  set(arguments -max_total_time=${TLSMUX_FUZZ_SECONDS} -timeout=10 -print_final_stats=1)
  if(arg_DICTIONARY)
    list(APPEND arguments "-dict=${CMAKE_CURRENT_SOURCE_DIR}/${arg_DICTIONARY}")
  endif()
  list(APPEND arguments "${found}" ${corpora})
  add_test(NAME fuzz.${name} COMMAND ${name} ${arguments} WORKING_DIRECTORY "${found}")
  math(EXPR timeout_s "${TLSMUX_FUZZ_SECONDS} + 120")
  set_tests_properties(fuzz.${name} PROPERTIES LABELS fuzz TIMEOUT ${timeout_s})
endfunction()
