# Language level, warnings and output folders of everything in this project.

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 11)

# The static libraries end up in libtlsmux.so as well, which exports nothing by accident.
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
include(CheckPIESupported)
check_pie_supported()

set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/lib")
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/lib")
set(CMAKE_BUILD_RPATH_USE_ORIGIN ON)
set(CMAKE_INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

if(PROJECT_IS_TOP_LEVEL AND NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Build type" FORCE)
endif()

find_program(TLSMUX_CCACHE ccache)
mark_as_advanced(TLSMUX_CCACHE)
if(TLSMUX_CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER "${TLSMUX_CCACHE}")
  set(CMAKE_CXX_COMPILER_LAUNCHER "${TLSMUX_CCACHE}")
endif()

if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 12.2)
  message(FATAL_ERROR "tlsmux needs GCC 12.2 or later for C++23's std::expected; this is ${CMAKE_CXX_COMPILER_VERSION}.")
elseif(CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 19)
  message(FATAL_ERROR "tlsmux needs Clang 19 or later: earlier ones cannot compile libstdc++'s std::expected; "
    "this is ${CMAKE_CXX_COMPILER_VERSION}.")
endif()

add_compile_options(-Wall -Wextra -Wpedantic -Wshadow
  "$<$<COMPILE_LANGUAGE:CXX>:-Wconversion;-Wnon-virtual-dtor;-Woverloaded-virtual>")
add_compile_definitions(_GNU_SOURCE "TLSMUX_VERSION=\"${PROJECT_VERSION}\"")
include_directories("${PROJECT_SOURCE_DIR}")

if(TLSMUX_MUTANT)
  message(WARNING "Building with the deliberate bug ${TLSMUX_MUTANT}: for tests of the tests only.")
  string(TOUPPER "${TLSMUX_MUTANT}" mutant)
  add_compile_definitions("TLSMUX_MUTANT_${mutant}")
endif()

if(TLSMUX_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "TLSMUX_FUZZ needs Clang: use `cmake --preset fuzz`.")
  endif()
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
