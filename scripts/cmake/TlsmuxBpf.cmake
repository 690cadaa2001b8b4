# What the guard of ports needs beyond the rest: clang for the program, bpftool for its skeleton, libbpf. Without them
# everything else is built, and the guard says what it lacks. Sets TLSMUX_GUARD_LACKS, empty if there is all.

find_program(TLSMUX_BPF_CLANG NAMES clang-19 clang clang-21 clang-20 clang-18 clang-17 clang-16 clang-15 clang-14)
find_program(TLSMUX_BPFTOOL NAMES bpftool PATHS /usr/sbin /sbin)
find_package(LibBpf 1.1 QUIET MODULE)
mark_as_advanced(TLSMUX_BPF_CLANG TLSMUX_BPFTOOL)

set(TLSMUX_GUARD_LACKS "")
if(TLSMUX_BPF_CLANG)
  execute_process(COMMAND "${TLSMUX_BPF_CLANG}" -target bpf -mcpu=v3 -x c -c -o /dev/null /dev/null
    RESULT_VARIABLE status OUTPUT_QUIET ERROR_QUIET)
  if(NOT status EQUAL 0)
    list(APPEND TLSMUX_GUARD_LACKS "eBPF in ${TLSMUX_BPF_CLANG}")
  endif()
else()
  list(APPEND TLSMUX_GUARD_LACKS "clang")
endif()
if(NOT TLSMUX_BPFTOOL)
  list(APPEND TLSMUX_GUARD_LACKS "bpftool")
endif()
if(NOT LibBpf_FOUND)
  list(APPEND TLSMUX_GUARD_LACKS "libbpf 1.1 or later")
endif()
list(JOIN TLSMUX_GUARD_LACKS ", " TLSMUX_GUARD_LACKS)
if(TLSMUX_GUARD_LACKS)
  message(STATUS "Building without the eBPF guard of ports: ${TLSMUX_GUARD_LACKS} not found; see scripts/setup")
endif()

# All headers that a build makes, for tools that read the sources (scripts/tidy).
add_custom_target(made_headers)

# tlsmux_add_bpf_skeleton(TARGET SOURCE NAME [DEPENDS ...])
# A library of headers with NAME.skel.h, which holds the program compiled from SOURCE.
function(tlsmux_add_bpf_skeleton target source name)
  cmake_parse_arguments(PARSE_ARGV 3 arg "" "" "DEPENDS")
  set(folder "${CMAKE_CURRENT_BINARY_DIR}/${name}")
  file(MAKE_DIRECTORY "${folder}")
  # The kernel's headers include some of this processor's, which a compiler for bpf does not look for. bpftool links
  # the one object, which leaves out what only debuggers read. clang-tidy has no say in what bpftool writes.
  add_custom_command(OUTPUT "${folder}/${name}.skel.h"
    COMMAND "${TLSMUX_BPF_CLANG}" -target bpf -mcpu=v3 -std=gnu11 -O2 -g -Wall -Wextra -Werror
      "-I${PROJECT_SOURCE_DIR}" -isystem "${LIBBPF_INCLUDE_DIR}" -idirafter "/usr/include/${CMAKE_LIBRARY_ARCHITECTURE}"
      "-ffile-prefix-map=${PROJECT_SOURCE_DIR}/=" -c "${CMAKE_CURRENT_SOURCE_DIR}/${source}" -o "${name}.compiled.o"
    COMMAND "${TLSMUX_BPFTOOL}" gen object "${name}.bpf.o" "${name}.compiled.o"
    COMMAND "${CMAKE_COMMAND}" -E echo "// NOLINTBEGIN" > "${name}.skel.h"
    COMMAND "${TLSMUX_BPFTOOL}" gen skeleton "${name}.bpf.o" name "${name}" >> "${name}.skel.h"
    COMMAND "${CMAKE_COMMAND}" -E echo "// NOLINTEND" >> "${name}.skel.h"
    DEPENDS "${source}" ${arg_DEPENDS}
    WORKING_DIRECTORY "${folder}"
    COMMENT "Compiling ${source} for the kernel"
    VERBATIM)
  add_custom_target(${target}_files DEPENDS "${folder}/${name}.skel.h")
  add_dependencies(made_headers ${target}_files)
  add_library(${target} INTERFACE)
  add_dependencies(${target} ${target}_files)
  target_include_directories(${target} SYSTEM INTERFACE "${folder}")
endfunction()
