# Finds libseccomp (target LibSeccomp::seccomp).

find_package(PkgConfig QUIET)
if(PkgConfig_FOUND)
  pkg_check_modules(PC_LIBSECCOMP QUIET libseccomp)
  set(LibSeccomp_VERSION "${PC_LIBSECCOMP_VERSION}")
endif()

find_path(LIBSECCOMP_INCLUDE_DIR seccomp.h HINTS ${PC_LIBSECCOMP_INCLUDE_DIRS})
find_library(LIBSECCOMP_LIBRARY seccomp HINTS ${PC_LIBSECCOMP_LIBRARY_DIRS})
mark_as_advanced(LIBSECCOMP_INCLUDE_DIR LIBSECCOMP_LIBRARY)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LibSeccomp
  REQUIRED_VARS LIBSECCOMP_LIBRARY LIBSECCOMP_INCLUDE_DIR
  VERSION_VAR LibSeccomp_VERSION)

if(LibSeccomp_FOUND AND NOT TARGET LibSeccomp::seccomp)
  add_library(LibSeccomp::seccomp UNKNOWN IMPORTED)
  set_target_properties(LibSeccomp::seccomp PROPERTIES
    IMPORTED_LOCATION "${LIBSECCOMP_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${LIBSECCOMP_INCLUDE_DIR}")
endif()
