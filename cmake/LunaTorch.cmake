# libtorch from the PyPI wheel, as four imported targets. TorchConfig.cmake is not used: it demands a CUDA toolkit.
# LUNA_TORCH_ROOT: the wheel's torch folder (./dev setup writes it to build/torch_root).
if(NOT LUNA_TORCH_ROOT)
  if(DEFINED ENV{LUNA_TORCH_ROOT})
    set(LUNA_TORCH_ROOT $ENV{LUNA_TORCH_ROOT})
  else()
    file(GLOB roots $ENV{HOME}/.cache/luna/torch-2.11.0-*/lib/python3.*/site-packages/torch)
    list(GET roots 0 LUNA_TORCH_ROOT)
  endif()
endif()
set(LUNA_TORCH_ROOT ${LUNA_TORCH_ROOT} CACHE PATH "Folder of the torch wheel")
if(NOT EXISTS ${LUNA_TORCH_ROOT}/lib/libtorch_cpu.so)
  message(FATAL_ERROR "no libtorch at '${LUNA_TORCH_ROOT}': run ./dev setup, or pass -DLUNA_TORCH_ROOT=<wheel>/torch")
endif()

# torch ships its own fmt, protobuf and pybind11 headers: -idirafter keeps the system's in front of them.
add_library(luna_torch_headers INTERFACE)
target_compile_options(luna_torch_headers INTERFACE
  "SHELL:$<$<COMPILE_LANGUAGE:CXX>:-idirafter ${LUNA_TORCH_ROOT}/include>"
  "SHELL:$<$<COMPILE_LANGUAGE:CXX>:-idirafter ${LUNA_TORCH_ROOT}/include/torch/csrc/api/include>")

foreach(name c10 torch_cpu c10_cuda torch_cuda)
  if(EXISTS ${LUNA_TORCH_ROOT}/lib/lib${name}.so)
    add_library(luna_lib_${name} SHARED IMPORTED GLOBAL)
    set_target_properties(luna_lib_${name} PROPERTIES IMPORTED_LOCATION ${LUNA_TORCH_ROOT}/lib/lib${name}.so)
  endif()
endforeach()

add_library(luna_torch INTERFACE)
target_link_libraries(luna_torch INTERFACE luna_torch_headers luna_lib_torch_cpu luna_lib_c10)

# at::parallel_for is OpenMP in the caller's own file, and serial in one compiled without it. Linked is the runtime that
# libtorch loads, so that there is one pool of threads; where the wheel hides it, or with clang, such files stay serial.
function(luna_use_openmp target source)
  set(runtime ${LUNA_TORCH_ROOT}/lib/libgomp.so.1)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "GNU" OR NOT EXISTS ${runtime})
    return()
  endif()
  if(NOT TARGET luna_lib_gomp)
    add_library(luna_lib_gomp SHARED IMPORTED GLOBAL)
    set_target_properties(luna_lib_gomp PROPERTIES IMPORTED_LOCATION ${runtime})
  endif()
  set_source_files_properties(${CMAKE_CURRENT_SOURCE_DIR}/${source} PROPERTIES
    COMPILE_OPTIONS -fopenmp SKIP_PRECOMPILE_HEADERS ON)
  target_link_libraries(${target} PUBLIC luna_lib_gomp)
endfunction()

# One precompiled <ATen/ATen.h> for every torch target (5-10 s a file without it).
file(WRITE ${CMAKE_BINARY_DIR}/torch_pch.cpp "")
add_library(luna_torch_pch OBJECT ${CMAKE_BINARY_DIR}/torch_pch.cpp)
target_link_libraries(luna_torch_pch PRIVATE luna_torch)
target_precompile_headers(luna_torch_pch PRIVATE <ATen/ATen.h> <string> <vector> <memory>)
function(luna_use_torch_pch target)
  target_precompile_headers(${target} REUSE_FROM luna_torch_pch)
endfunction()
