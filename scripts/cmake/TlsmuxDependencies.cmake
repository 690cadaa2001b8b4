# Finds the libraries that tlsmux uses, and says what to install where one is missing.

# scripts/setup puts mbedTLS here where the system has none of the right version.
list(APPEND CMAKE_PREFIX_PATH "${PROJECT_SOURCE_DIR}/.deps/mbedtls")

# tlsmux_find(PACKAGE VERSION DEBIAN_PACKAGE [find_package arguments])
macro(tlsmux_find package version debian_package)
  find_package(${package} ${version} QUIET ${ARGN})
  if(NOT ${package}_FOUND)
    message(FATAL_ERROR "${package} ${version} or later was not found. On Debian, run scripts/setup or "
      "`apt-get install ${debian_package}`; elsewhere install its development files, "
      "or add the folder they are in to CMAKE_PREFIX_PATH.")
  endif()
endmacro()

find_package(Threads REQUIRED)
tlsmux_find(Boost 1.74 libboost-dev CONFIG)
tlsmux_find(nlohmann_json 3.11 nlohmann-json3-dev)
tlsmux_find(spdlog 1.10 libspdlog-dev)
tlsmux_find(CLI11 2.1 libcli11-dev)
tlsmux_find(LibUring 2.3 liburing-dev MODULE)
tlsmux_find(LibSeccomp 2.5 libseccomp-dev MODULE)
# IPsec-MB is for this architecture only; on others mbedTLS seals and opens.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64)$")
  tlsmux_find(IpsecMb 1.3 libipsec-mb-dev MODULE)
endif()
tlsmux_find(OpenSSL 3.0 libssl-dev) # of what is installed only libtlsmux_ssl uses it, and only the headers
if(TLSMUX_BUILD_TESTS)
  tlsmux_find(doctest 2.4 doctest-dev)
endif()

find_package(MbedTLS 3.6 QUIET CONFIG)
if(NOT MbedTLS_FOUND OR MbedTLS_VERSION VERSION_GREATER_EQUAL 4)
  message(FATAL_ERROR "mbedTLS 3.6 or a later 3.x was not found (4.x will not do: it has another interface). "
    "On Debian, run scripts/setup: it installs libmbedtls-dev, or builds it into .deps where Debian's is older. "
    "Elsewhere install mbedTLS 3.6 with its CMake package, built with MBEDTLS_THREADING_C and "
    "MBEDTLS_THREADING_PTHREAD, and add its folder to CMAKE_PREFIX_PATH. Looked at: ${MbedTLS_CONSIDERED_CONFIGS}")
endif()

include(CheckCSourceCompiles)
# tlsmux_require_mbedtls(OPTION WHY): stops unless the mbedTLS found was built with OPTION.
function(tlsmux_require_mbedtls option why)
  set(CMAKE_REQUIRED_LIBRARIES MbedTLS::mbedcrypto)
  set(CMAKE_REQUIRED_QUIET ON)
  set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
  check_c_source_compiles("
    #include <mbedtls/build_info.h>
    #ifndef ${option}
    #error
    #endif
    int main(void) { return 0; }" TLSMUX_HAVE_${option})
  if(NOT TLSMUX_HAVE_${option})
    unset(TLSMUX_HAVE_${option} CACHE) # look again after it was replaced
    message(FATAL_ERROR "The mbedTLS in ${MbedTLS_DIR} was built without ${option}: ${why} "
      "Use one built with it; on Debian, scripts/setup provides one.")
  endif()
endfunction()
tlsmux_require_mbedtls(MBEDTLS_THREADING_C "the engine does handshakes on several threads.")
tlsmux_require_mbedtls(MBEDTLS_THREADING_PTHREAD "the engine's threads are POSIX threads.")
tlsmux_require_mbedtls(MBEDTLS_PSA_KEY_STORE_DYNAMIC "a fixed key store limits the handshakes at one time.")
tlsmux_require_mbedtls(MBEDTLS_SSL_PROTO_TLS1_3 "hosts may demand TLS 1.3.")
