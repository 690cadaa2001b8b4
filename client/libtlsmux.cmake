# libtlsmux.so: the whole of tlsmux_client behind a C interface, exporting only tmx_* at version TLSMUX_0.

set(version_script "${CMAKE_CURRENT_SOURCE_DIR}/libtlsmux.map")
file(GENERATE OUTPUT "${CMAKE_CURRENT_BINARY_DIR}/empty.cpp" CONTENT "")
add_library(tlsmux SHARED "${CMAKE_CURRENT_BINARY_DIR}/empty.cpp")
add_library(tlsmux::tlsmux ALIAS tlsmux)
set_target_properties(tlsmux PROPERTIES
  VERSION ${PROJECT_VERSION}
  SOVERSION 0
  SKIP_BUILD_RPATH ON # it uses no library of ours
  INSTALL_RPATH ""
  LINK_DEPENDS "${version_script}")
target_link_libraries(tlsmux PRIVATE "$<LINK_LIBRARY:WHOLE_ARCHIVE,tlsmux_client>")
target_link_options(tlsmux PRIVATE "-Wl,--version-script=${version_script}")
if(NOT CMAKE_CXX_FLAGS MATCHES "-fsanitize")
  target_link_options(tlsmux PRIVATE -Wl,-z,defs)
endif()
target_include_directories(tlsmux INTERFACE
  "$<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include>"
  "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")

include(CMakePackageConfigHelpers)
set(package_folder "${CMAKE_INSTALL_LIBDIR}/cmake/tlsmux")
configure_package_config_file(cmake/tlsmuxConfig.cmake.in tlsmuxConfig.cmake
  INSTALL_DESTINATION "${package_folder}")
write_basic_package_version_file(tlsmuxConfigVersion.cmake COMPATIBILITY SameMinorVersion)
file(RELATIVE_PATH pc_to_prefix "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig" "${CMAKE_INSTALL_PREFIX}") # so that the tree can move
configure_file(cmake/tlsmux.pc.in tlsmux.pc @ONLY)
configure_file(cmake/tlsmux_ssl.pc.in tlsmux_ssl.pc @ONLY)

install(TARGETS tlsmux EXPORT tlsmuxTargets LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(EXPORT tlsmuxTargets NAMESPACE tlsmux:: DESTINATION "${package_folder}")
install(DIRECTORY include/tlsmux DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/tlsmuxConfig.cmake" "${CMAKE_CURRENT_BINARY_DIR}/tlsmuxConfigVersion.cmake"
  DESTINATION "${package_folder}")
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/tlsmux.pc" "${CMAKE_CURRENT_BINARY_DIR}/tlsmux_ssl.pc"
  DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
