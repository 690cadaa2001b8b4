# Finds Intel IPsec-MB (target IpsecMb::ipsec_mb). The shared library, not the static one: that is 20 MB.

find_path(IPSEC_MB_INCLUDE_DIR intel-ipsec-mb.h)
find_library(IPSEC_MB_LIBRARY IPSec_MB)
mark_as_advanced(IPSEC_MB_INCLUDE_DIR IPSEC_MB_LIBRARY)

if(IPSEC_MB_INCLUDE_DIR)
  file(STRINGS "${IPSEC_MB_INCLUDE_DIR}/intel-ipsec-mb.h" version_line REGEX "^#define[ \t]+IMB_VERSION_STR[ \t]")
  string(REGEX MATCH "[0-9]+\\.[0-9]+\\.[0-9]+" IpsecMb_VERSION "${version_line}")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(IpsecMb
  REQUIRED_VARS IPSEC_MB_LIBRARY IPSEC_MB_INCLUDE_DIR
  VERSION_VAR IpsecMb_VERSION)

if(IpsecMb_FOUND AND NOT TARGET IpsecMb::ipsec_mb)
  add_library(IpsecMb::ipsec_mb UNKNOWN IMPORTED)
  set_target_properties(IpsecMb::ipsec_mb PROPERTIES
    IMPORTED_LOCATION "${IPSEC_MB_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${IPSEC_MB_INCLUDE_DIR}")
endif()
