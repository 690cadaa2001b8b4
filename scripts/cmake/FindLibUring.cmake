# Finds liburing as a static library (target LibUring::liburing): the shared one of Debian 12 lacks
# functions that the headers declare.

find_package(PkgConfig QUIET)
if(PkgConfig_FOUND)
  pkg_check_modules(PC_LIBURING QUIET liburing)
  set(LibUring_VERSION "${PC_LIBURING_VERSION}")
endif()

find_path(LIBURING_INCLUDE_DIR liburing.h HINTS ${PC_LIBURING_INCLUDE_DIRS})
find_library(LIBURING_STATIC_LIBRARY liburing.a HINTS ${PC_LIBURING_LIBRARY_DIRS})
mark_as_advanced(LIBURING_INCLUDE_DIR LIBURING_STATIC_LIBRARY)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LibUring
  REQUIRED_VARS LIBURING_STATIC_LIBRARY LIBURING_INCLUDE_DIR
  VERSION_VAR LibUring_VERSION)

if(LibUring_FOUND AND NOT TARGET LibUring::liburing)
  add_library(LibUring::liburing STATIC IMPORTED)
  set_target_properties(LibUring::liburing PROPERTIES
    IMPORTED_LOCATION "${LIBURING_STATIC_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${LIBURING_INCLUDE_DIR}")
endif()
