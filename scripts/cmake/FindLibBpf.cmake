# Finds libbpf (target LibBpf::bpf).

find_package(PkgConfig QUIET)
if(PkgConfig_FOUND)
  pkg_check_modules(PC_LIBBPF QUIET libbpf)
  set(LibBpf_VERSION "${PC_LIBBPF_VERSION}")
endif()

find_path(LIBBPF_INCLUDE_DIR bpf/libbpf.h HINTS ${PC_LIBBPF_INCLUDE_DIRS})
find_library(LIBBPF_LIBRARY bpf HINTS ${PC_LIBBPF_LIBRARY_DIRS})
mark_as_advanced(LIBBPF_INCLUDE_DIR LIBBPF_LIBRARY)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LibBpf
  REQUIRED_VARS LIBBPF_LIBRARY LIBBPF_INCLUDE_DIR
  VERSION_VAR LibBpf_VERSION)

if(LibBpf_FOUND AND NOT TARGET LibBpf::bpf)
  add_library(LibBpf::bpf UNKNOWN IMPORTED)
  set_target_properties(LibBpf::bpf PROPERTIES
    IMPORTED_LOCATION "${LIBBPF_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${LIBBPF_INCLUDE_DIR}")
endif()
