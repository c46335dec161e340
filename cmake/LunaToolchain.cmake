# Compiler settings shared by every target.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_LINK_LIBRARIES_ONLY_TARGETS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

find_program(LUNA_CCACHE ccache)
if(LUNA_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Precompiled headers defeat ccache without this sloppiness.
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${LUNA_CCACHE})
endif()

find_program(LUNA_MOLD mold)
if(LUNA_MOLD)
  add_link_options(-fuse-ld=mold)
endif()

if(LUNA_SANITIZE STREQUAL "address")
  # GCC 12 takes <regex> for uninitialised under this sanitizer (its bug 105562).
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
                      $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
  add_link_options(-fsanitize=address,undefined)
elseif(LUNA_SANITIZE STREQUAL "thread")
  # Asio's fences are unknown to the sanitizer; its locks are not.
  add_compile_options(-fsanitize=thread -fno-omit-frame-pointer $<$<CXX_COMPILER_ID:GNU>:-Wno-tsan>)
  add_link_options(-fsanitize=thread)
endif()

# Linked by every target of ours, never by generated code.
add_library(luna_warnings INTERFACE)
# A field that an initializer leaves out has a default; GCC 12 warns of it all the same.
target_compile_options(luna_warnings INTERFACE -Wall -Wextra -Wno-missing-field-initializers $<$<BOOL:${LUNA_WERROR}>:-Werror>)
