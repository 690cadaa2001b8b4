# The three ways in which this project adds targets.

# tlsmux_add_library(NAME [SOURCES ...] [PUBLIC ...] [PRIVATE ...])
# A static library. PUBLIC and PRIVATE list the libraries it uses: those whose headers its own headers
# include, and those that only its sources use. With no sources it is a library of headers.
function(tlsmux_add_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;PUBLIC;PRIVATE")
  if(arg_SOURCES)
    add_library(${name} STATIC ${arg_SOURCES})
    target_link_libraries(${name} PUBLIC ${arg_PUBLIC} PRIVATE ${arg_PRIVATE})
  else()
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE ${arg_PUBLIC} ${arg_PRIVATE})
  endif()
endfunction()

# tlsmux_add_test(NAME SOURCES ... [LIBRARIES ...] [DEFINITIONS ...] [LABELS ...] [TIMEOUT_S n] [SERIAL] [UNOPTIMISED])
# A doctest program, with its main function supplied. Each test case is a test of its own in ctest, under its
# own name. A case that cannot run prints a line with "SKIPPED:" and why, and returns: ctest lists it.
# TLSMUX_PROGRAM_FOLDER is defined as the folder of tlsmuxd, tlsmux and tlsmux-host.
# UNOPTIMISED: its own sources are, in every preset, which halves the time that they take to compile. Not for tests of
# memory order or of speed.
# SERIAL: nothing else runs beside its cases. Each case is ended after TIMEOUT_S (60) seconds.
function(tlsmux_add_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "SERIAL;UNOPTIMISED" "TIMEOUT_S" "SOURCES;LIBRARIES;DEFINITIONS;LABELS")
  if(NOT arg_TIMEOUT_S)
    set(arg_TIMEOUT_S 60)
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ${arg_LIBRARIES} tlsmux_test_main tlsmux_test_support)
  target_compile_definitions(${name} PRIVATE ${arg_DEFINITIONS}
    "TLSMUX_PROGRAM_FOLDER=\"${CMAKE_RUNTIME_OUTPUT_DIRECTORY}\"")
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/test-programs")
  # Lines and functions for a backtrace; who debugs builds with `dev`.
  target_compile_options(${name} PRIVATE $<$<CONFIG:RelWithDebInfo>:-g1>)
  if(arg_UNOPTIMISED)
    target_compile_options(${name} PRIVATE $<$<CONFIG:RelWithDebInfo>:-O0;-U_FORTIFY_SOURCE>)
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
# A libFuzzer program, built with TLSMUX_FUZZ only. ctest runs it for TLSMUX_FUZZ_SECONDS from the corpus.
set(TLSMUX_FUZZ_SECONDS 20 CACHE STRING "How long ctest runs each fuzz target")
function(tlsmux_add_fuzzer name)
  if(NOT TLSMUX_FUZZ)
    return()
  endif()
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "DICTIONARY;CORPUS" "SOURCES;LIBRARIES")
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ${arg_LIBRARIES})
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  set(found "${CMAKE_CURRENT_BINARY_DIR}/${name}_found") # new inputs go here, not into the source tree
  file(MAKE_DIRECTORY "${found}")
  set(arguments -max_total_time=${TLSMUX_FUZZ_SECONDS} -timeout=10 -print_final_stats=1)
  if(arg_DICTIONARY)
    list(APPEND arguments "-dict=${CMAKE_CURRENT_SOURCE_DIR}/${arg_DICTIONARY}")
  endif()
  list(APPEND arguments "${found}")
  if(arg_CORPUS)
    list(APPEND arguments "${CMAKE_CURRENT_SOURCE_DIR}/${arg_CORPUS}")
  endif()
  add_test(NAME fuzz.${name} COMMAND ${name} ${arguments} WORKING_DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}")
  set_tests_properties(fuzz.${name} PROPERTIES LABELS fuzz)
endfunction()
